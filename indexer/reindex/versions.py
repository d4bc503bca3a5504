"""What a document says of versions, without its content: enough to tell that one is not older than
another.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

# All that is read of a document; of a note its author tells that it is not deleted.
FIELDS: Final = (
    "tenantId",
    "recordingId",
    "ownerId",
    "version",
    "deleted",
    "writtenAt",
    "notes.id",
    "notes.version",
    "notes.authorId",
)
RECORDING: Final = "recording"

Source = Mapping[str, Any]
# The version of a thing, and whether it is there (1) or deleted (2): a deletion wins.
Version = tuple[int, int]


def versions(source: Source) -> dict[str, Version]:
    """The version of the recording and of each note (by `note <id>`) in this document."""
    if source.get("deleted"):
        return {RECORDING: (source["version"], 2)}
    notes = {
        f"note {note['id']}": (note["version"], 1 if "authorId" in note else 2)
        for note in source.get("notes", ())
    }
    if "ownerId" not in source:
        return notes
    return {RECORDING: (source["version"], 1), **notes}


def what_is_behind(new: Source | None, old: Source) -> str | None:
    """What the old document knows and the new one does not; None: nothing."""
    if new is None:
        return "missing"
    if new.get("deleted"):
        return _behind_a_tombstone(new, old)
    if old.get("deleted"):
        return "deleted, and not so in the new index"
    return next(_older_parts(versions(new), versions(old)), None)


def kind_of(source: Source) -> str:
    """What this document counts as."""
    if source.get("deleted"):
        return "deleted"
    return "recordings" if "ownerId" in source else "notes alone"


def _behind_a_tombstone(new: Source, old: Source) -> str | None:
    if not old.get("deleted"):
        return "deleted in the new index alone"
    if new["version"] < old["version"]:
        return f"deleted in version {new['version']} instead of {old['version']}"
    return None


def _older_parts(new: Mapping[str, Version], old: Mapping[str, Version]) -> Iterator[str]:
    for part, version in old.items():
        found = new.get(part)
        if found is None:
            yield f"{part} missing"
        elif found < version:
            yield f"{part} in version {found[0]} instead of {version[0]}" + (
                "" if found[0] != version[0] else ", not deleted"
            )
