"""The database of a round in PostgreSQL: a copy of one that is prepared once for each work.

A form (see `tables`, `relations`) says how recordings are kept there and how PGSync is told.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from tests.bench.postgres import Postgres
from tests.bench.workload import Lines, Workload

PREPARED: Final = "prepared"
LIVE: Final = "live"
KEY: Final = "id"  # the document's _id
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Form:
    """One way of keeping recordings.

    `prepare` and `change` make scripts: everything as it is before with what is to come beside it;
    the changes, so many in a transaction. `nodes` and `plugins` are for PGSync's schema.json,
    `added` is the mapping of what PGSync adds to a document.
    """

    name: str
    prepare: Callable[[Workload], str]
    change: Callable[[Workload, int], str]
    nodes: Mapping[str, Any]
    plugins: Sequence[str]
    added: Mapping[str, Any]


def prepare(postgres: Postgres, form: Form, work: Workload) -> None:
    """The database that each round copies."""
    postgres.run(f"DROP DATABASE IF EXISTS {PREPARED};")
    postgres.run(f"CREATE DATABASE {PREPARED};")
    postgres.run(form.prepare(work) + "ANALYZE;", PREPARED)


def copy(postgres: Postgres) -> None:
    """Make the database of a round."""
    postgres.run(f"CREATE DATABASE {LIVE} TEMPLATE {PREPARED};")


def change(postgres: Postgres, form: Form, work: Workload, together: int) -> None:
    """Commit what is to come, so many changes in a transaction."""
    postgres.run(form.change(work, together), LIVE)


def drop(postgres: Postgres) -> None:
    """Remove the database of a round; whoever is connected to it is not any more."""
    postgres.run(
        "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active;"
        "DO $$ BEGIN FOR tries IN 1..100 LOOP "
        "EXIT WHEN NOT EXISTS (SELECT FROM pg_replication_slots WHERE active); "
        "PERFORM pg_sleep(0.1); END LOOP; END $$;"
    )
    postgres.run(f"DROP DATABASE {LIVE} WITH (FORCE);")


def documents(requests: Sequence[Lines]) -> list[Row]:
    """The documents of bulk requests, each with its _id."""
    lines = [line for request in requests for line in request]
    pairs = zip(lines[::2], lines[1::2], strict=True)
    return [{KEY: orjson.loads(of)["index"]["_id"]} | orjson.loads(what) for of, what in pairs]


def incoming(rows: Iterable[Row]) -> str:
    """Fill the table `incoming` with these, numbered from 0."""
    texts = (orjson.dumps(row).decode().replace("\\", "\\\\") for row in rows)
    data = "".join(f"{number}\t{text}\n" for number, text in enumerate(texts))
    return (
        "CREATE TABLE IF NOT EXISTS incoming (number integer PRIMARY KEY, document jsonb);"
        f"TRUNCATE incoming;\nCOPY incoming FROM STDIN;\n{data}\\.\n"
    )


def in_transactions(count: int, together: int, statements: str) -> str:
    """Run these for all below `count`; `{incoming}` in them is what belongs to a transaction."""
    part = f"(SELECT * FROM incoming WHERE number >= n AND number < n + {together}) AS incoming"  # noqa: S608
    return (
        f"DO $$ BEGIN FOR n IN 0..{count - 1} BY {together} LOOP "
        f"{statements.replace('{incoming}', part)} COMMIT; END LOOP; END $$;\n"
    )
