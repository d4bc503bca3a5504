"""Recordings as rows of PostgreSQL, in the form that costs a general tool the least.

One row a recording, its columns those of the index's document: turns, notes, telephone keys and the
like are jsonb in the very shape that is sent to Elasticsearch. So a tool has neither to join
tables nor to work anything out, and both sides write the same documents.
"""

from collections.abc import Sequence
from typing import Final

import orjson

from tests.bench.postgres import Postgres
from tests.bench.workload import Lines, Workload

TABLE: Final = "recording"
KEY: Final = "id"  # the document's _id
COLUMNS: Final = {
    "tenantId": "text",
    "recordingId": "text",
    "version": "bigint",
    "hasNotes": "boolean",
    "notes": "jsonb",
    "ownerId": "text",
    "direction": "text",
    "from": "jsonb",
    "to": "jsonb",
    "date": "text",
    "duration": "double precision",
    "channels": "integer",
    "analysisResult": "jsonb",
    "tags": "jsonb",
    "video": "jsonb",
    "language": "text",
    "phones": "jsonb",
    "transcript": "jsonb",
}
PREPARED: Final = "prepared"
LIVE: Final = "live"


def prepare(postgres: Postgres, work: Workload) -> None:
    """The database that each round copies: rows as they are before, and as they are to become."""
    columns = ", ".join(f'"{name}" {kind}' for name, kind in COLUMNS.items())
    postgres.run(f"DROP DATABASE IF EXISTS {PREPARED};")
    postgres.run(f"CREATE DATABASE {PREPARED};")
    tables = (
        f"CREATE TABLE {TABLE} ({KEY} text PRIMARY KEY, {columns});"
        "CREATE TABLE incoming (number integer PRIMARY KEY, document jsonb);"
    )
    before = _copy(work.given) + _change(len(work.before), len(work.before)) if work.before else ""
    after = "TRUNCATE incoming;" + _copy(work.result) + "ANALYZE;"
    postgres.run(tables + before + after, PREPARED)


def copy(postgres: Postgres) -> None:
    """Make the database of a round."""
    postgres.run(f"CREATE DATABASE {LIVE} TEMPLATE {PREPARED};")


def change(postgres: Postgres, work: Workload, together: int) -> None:
    """Commit what is to come, so many rows in a transaction."""
    postgres.run(_change(len(work.events), together), LIVE)


def drop(postgres: Postgres) -> None:
    """Remove the database of a round; whoever is connected to it is not any more."""
    postgres.run(
        "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active;"
        "DO $$ BEGIN FOR tries IN 1..100 LOOP "
        "EXIT WHEN NOT EXISTS (SELECT FROM pg_replication_slots WHERE active); "
        "PERFORM pg_sleep(0.1); END LOOP; END $$;"
    )
    postgres.run(f"DROP DATABASE {LIVE} WITH (FORCE);")


def _copy(requests: Sequence[Lines]) -> str:
    """The documents of bulk requests as numbered rows."""
    lines = [line for request in requests for line in request]
    pairs = zip(lines[::2], lines[1::2], strict=True)
    rows = ({KEY: orjson.loads(of)["index"]["_id"]} | orjson.loads(what) for of, what in pairs)
    texts = (orjson.dumps(row).decode().replace("\\", "\\\\") for row in rows)
    data = "".join(f"{number}\t{text}\n" for number, text in enumerate(texts))
    return f"COPY incoming FROM STDIN;\n{data}\\.\n"


def _change(count: int, together: int) -> str:
    names = ", ".join(f'"{name}"' for name in COLUMNS)
    values = ", ".join(f'EXCLUDED."{name}"' for name in COLUMNS)
    return (
        f"DO $$ BEGIN FOR n IN 0..{count - 1} BY {together} LOOP "  # noqa: S608 (names of ours)
        f"INSERT INTO {TABLE} SELECT (jsonb_populate_record(null::{TABLE}, document)).* "
        f"FROM incoming WHERE number >= n AND number < n + {together} "
        f"ON CONFLICT ({KEY}) DO UPDATE SET ({names}) = ROW ({values}); "
        "COMMIT; END LOOP; END $$;\n"
    )
