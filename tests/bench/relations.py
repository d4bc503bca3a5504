"""Recordings as a product keeps them in PostgreSQL: tables that a general tool has to join.

    recording ──< turn        a row for each turn
              ──< note
              ──< recording_tag >── tag

All references are foreign keys with an index, as PGSync asks for (`pgsync --analyze`). What it is
spared: keys are the documents' ids, dates are text in the form of the document, and the keys of
telephone numbers are ready in a column, as they would be where the product works them out. No
column of `recording` has the name of a reference to it: PGSync 7.3 would join by that, and find no
turns.
"""

from typing import Any, Final

from tests.bench.databases import KEY, Form, Row, documents, in_transactions, incoming
from tests.bench.workload import Workload

_COLUMNS: Final = {
    "tenant_id": "text",
    "external_id": "text",
    "version": "bigint",
    "owner_id": "text",
    "direction": "text",
    "from_name": "text",
    "from_number": "text",
    "to_name": "text",
    "to_number": "text",
    "date": "text",
    "duration": "double precision",
    "channels": "integer",
    "score": "double precision",
    "sentiment": "text",
    "status": "integer",
    "video_status": "text",
    "video_error": "text",
    "language": "text",
    "phones": "jsonb",
}
_TURN: Final = ("position", "speaker", "offset", "text")
_NOTE: Final = ("note_id", "version", "author_id", "text", "created_at")
_TABLES: Final = f"""
CREATE TABLE recording ({KEY} text PRIMARY KEY, {", ".join(map(" ".join, _COLUMNS.items()))});
CREATE TABLE turn (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  recording_id text NOT NULL REFERENCES recording,
  position integer NOT NULL, speaker text NOT NULL, "offset" double precision, text text NOT NULL
);
CREATE INDEX ON turn (recording_id);
CREATE TABLE note (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  recording_id text NOT NULL REFERENCES recording,
  note_id text NOT NULL, version bigint NOT NULL, author_id text, text text, created_at text
);
CREATE INDEX ON note (recording_id);
CREATE TABLE tag (id text PRIMARY KEY, value text NOT NULL);
CREATE TABLE recording_tag (
  recording_id text NOT NULL REFERENCES recording, tag_id text NOT NULL REFERENCES tag,
  PRIMARY KEY (recording_id, tag_id)
);
CREATE INDEX ON recording_tag (tag_id);
"""
_TAGS: Final = """
INSERT INTO tag SELECT DISTINCT one.* FROM incoming,
  jsonb_populate_recordset(null::tag, document->'tags') AS one ON CONFLICT DO NOTHING;
"""
_ADD_RECORDINGS: Final = """
INSERT INTO recording SELECT one.* FROM {incoming},
  jsonb_populate_record(null::recording, document->'recording') AS one;
INSERT INTO turn (recording_id, position, speaker, "offset", text)
  SELECT document->'recording'->>'id', position, speaker, "offset", text FROM {incoming},
  jsonb_populate_recordset(null::turn, document->'turns') ORDER BY number, position;
INSERT INTO recording_tag SELECT document->'recording'->>'id', one.id FROM {incoming},
  jsonb_populate_recordset(null::tag, document->'tags') AS one;
"""
_ADD_NOTES: Final = """
INSERT INTO note (recording_id, note_id, version, author_id, text, created_at)
  SELECT document->'recording'->>'id', note_id, one.version, author_id, text, created_at
  FROM {incoming}, jsonb_populate_recordset(null::note, document->'notes') AS one;
"""
_UPDATE: Final = """
UPDATE recording SET version = one.version, score = one.score FROM {incoming},
  jsonb_populate_record(null::recording, document->'recording') AS one
  WHERE recording.id = one.id;
"""
_CHANGES: Final = {
    "new recordings": _ADD_RECORDINGS,
    "notes": _ADD_NOTES,
    "updates": _UPDATE,
}


def _prepare(work: Workload) -> str:
    before = [_rows(document) for document in documents(work.given)]
    together = max(1, len(before))
    after = incoming(_rows(document) for document in documents(work.result))
    there = incoming(before) + _TAGS + in_transactions(len(before), together, _ADD_RECORDINGS)
    return _TABLES + there + after + _TAGS


def _change(work: Workload, together: int) -> str:
    return in_transactions(len(work.events), together, _CHANGES[work.name])


def _rows(document: Row) -> Row:
    """The rows of a document by table."""
    analysis, video = document["analysisResult"] or {}, document["video"] or {}
    caller, called = document["from"] or {}, document["to"] or {}
    recording = {
        KEY: document[KEY],
        "tenant_id": document["tenantId"],
        "external_id": document["recordingId"],
        "owner_id": document["ownerId"],
        "from_name": caller.get("fullName"),
        "from_number": caller.get("phoneNumber"),
        "to_name": called.get("fullName"),
        "to_number": called.get("phoneNumber"),
        "video_status": video.get("status"),
        "video_error": video.get("errorDetail"),
    }
    alike = ("version", "direction", "date", "duration", "channels", "language", "phones")
    recording |= {name: document[name] for name in alike}
    recording |= {name: analysis.get(name) for name in ("score", "sentiment", "status")}
    return {
        "recording": recording,
        "turns": [_turn(place, turn) for place, turn in enumerate(document["transcript"])],
        "tags": document["tags"],
        "notes": [_note(note) for note in document["notes"]],
    }


def _turn(place: int, turn: Row) -> Row:
    (speaker,) = turn.keys() - {"offset"}
    (text,) = turn[speaker].values()
    return {"position": place, "speaker": speaker, "offset": turn["offset"], "text": text}


def _note(note: Row) -> Row:
    (text,) = note["text"].values()
    return {
        "note_id": note["id"],
        "version": note["version"],
        "author_id": note["authorId"],
        "text": text,
        "created_at": note["createdAt"],
    }


def _child(table: str, label: str, columns: tuple[str, ...], **relationship: Any) -> Row:
    many = {"variant": "object", "type": "one_to_many", **relationship}
    return {"table": table, "label": label, "columns": list(columns), "relationship": many}


RELATIONAL: Final = Form(
    name="tables",
    prepare=_prepare,
    change=_change,
    nodes={
        "table": "recording",
        "schema": "public",
        "columns": list(_COLUMNS),
        "children": [
            _child("turn", "turns", _TURN),
            _child("note", "notes", _NOTE),
            _child("tag", "tags", ("id", "value"), through_tables=["recording_tag"]),
        ],
    },
    plugins=("Recording",),
    # As PGSync lets Elasticsearch make it: it searches here for the documents of a child's row.
    added={"type": "object", "dynamic": True},
)
