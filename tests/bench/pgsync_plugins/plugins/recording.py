"""PGSync's plugin for the relational form: from its nested rows to the document.

It runs within PGSync, in its environment, so it imports nothing of ours. PGSync has joined the
tables; what is left is names, the place of each text (side and language), the order of turns.
"""

from typing import Any, Final

from pgsync.plugin import Plugin  # type: ignore[import-not-found]

Row = dict[str, Any]

LANGUAGES: Final = frozenset(("de", "en", "es", "fr", "it", "nl", "pt"))


class Recording(Plugin):  # type: ignore[misc]
    """What the name in schema.json stands for."""

    name = "Recording"

    def transform(self, doc: Row, **_: Any) -> Row:
        """The document of a row of `recording` with its children."""
        language = doc["language"] if doc["language"] in LANGUAGES else "none"
        notes = doc["notes"] or ()
        return {
            "_meta": doc["_meta"],
            "tenantId": doc["tenant_id"],
            "recordingId": doc["external_id"],
            "version": doc["version"],
            "hasNotes": bool(notes),
            "notes": [_note(row, language) for row in notes],
            "ownerId": doc["owner_id"],
            "direction": doc["direction"],
            "from": _party(doc["from_name"], doc["from_number"]),
            "to": _party(doc["to_name"], doc["to_number"]),
            "date": doc["date"],
            "duration": doc["duration"],
            "channels": doc["channels"],
            "analysisResult": _analysis(doc),
            "tags": doc["tags"] or [],
            "video": {"status": doc["video_status"], "errorDetail": doc["video_error"]},
            "language": doc["language"],
            "phones": doc["phones"],
            "transcript": [
                {"offset": row["offset"], row["speaker"]: {language: row["text"]}}
                for row in sorted(doc["turns"] or (), key=_position)
            ],
        }


def _position(row: Row) -> int:
    position: int = row["position"]
    return position


def _analysis(doc: Row) -> Row | None:
    analysis = {name: doc[name] for name in ("score", "sentiment", "status")}
    return None if set(analysis.values()) == {None} else analysis


def _party(name: str | None, number: str | None) -> Row:
    return {"fullName": name, "phoneNumber": number}


def _note(row: Row, language: str) -> Row:
    return {
        "id": row["note_id"],
        "version": row["version"],
        "authorId": row["author_id"],
        "text": {language: row["text"]},
        "createdAt": row["created_at"],
    }
