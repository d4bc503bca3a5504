"""Recordings as rows of PostgreSQL, in the form that costs a general tool the least.

One row a recording, its columns those of the index's document: turns, notes, telephone keys and the
like are jsonb in the very shape that is sent to Elasticsearch. So a tool has neither to join
tables nor to work anything out, and both sides write the same documents. No product keeps its data
like this.
"""

from typing import Final

from tests.bench.databases import KEY, Form, documents, in_transactions, incoming
from tests.bench.workload import Workload

TABLE: Final = "recording"
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


def _prepare(work: Workload) -> str:
    columns = ", ".join(f'"{name}" {kind}' for name, kind in COLUMNS.items())
    before = documents(work.given)
    together = max(1, len(before))
    return (
        f"CREATE TABLE {TABLE} ({KEY} text PRIMARY KEY, {columns});"
        + incoming(before)
        + in_transactions(len(before), together, _UPSERT)
        + incoming(documents(work.result))
    )


def _change(work: Workload, together: int) -> str:
    return in_transactions(len(work.events), together, _UPSERT)


_NAMES: Final = ", ".join(f'"{name}"' for name in COLUMNS)
_VALUES: Final = ", ".join(f'EXCLUDED."{name}"' for name in COLUMNS)
_UPSERT: Final = (
    f"INSERT INTO {TABLE} SELECT (jsonb_populate_record(null::{TABLE}, document)).* "  # noqa: S608
    f"FROM {{incoming}} ON CONFLICT ({KEY}) DO UPDATE SET ({_NAMES}) = ROW ({_VALUES});"
)

READY_MADE: Final = Form(
    name="ready-made rows",
    prepare=_prepare,
    change=_change,
    nodes={"table": TABLE, "schema": "public", "columns": list(COLUMNS)},
    plugins=(),
    # Nothing is searched in it: there are no children.
    added={"type": "object", "enabled": False},
)
