"""What the live index knows and a source of the product's cannot say, carried into the new index.

The product holds what is there now. What is deleted is known to the index alone: tombstones of
recordings and of notes, which keep older events away; so are notes that came before their
recording.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from elasticsearch import Elasticsearch

from indexer.reducer import RecordingState, Revision
from indexer.reindex.filling import Filler
from indexer.reindex.versions import FIELDS
from indexer.sources import Found
from indexer.sources.live import Hit, Snapshot, found_in_hits, get_many


@dataclass(frozen=True, slots=True)
class Carrier:
    """Carries from the index `old`."""

    client: Elasticsearch
    old: str
    filler: Filler

    def run(self) -> None:
        """Raises BackendError; SourceError for a document that no worker wrote."""
        stream = Snapshot(self.client, self.old, self.filler.stopping, FIELDS)
        try:
            for hits in stream.pages():
                self.filler.fill([*_deleted(hits), *self._notes_alone(hits)])
        finally:
            stream.close()

    def _notes_alone(self, hits: Sequence[Hit]) -> list[Found]:
        ids = [hit["_id"] for hit in hits if _has_no_recording(hit["_source"])]
        found = get_many(self.client, self.old, ids)
        return found_in_hits([one for one in found if one])


def _deleted(hits: Sequence[Hit]) -> Iterator[Found]:
    for hit in hits:
        source = hit["_source"]
        if source.get("deleted"):
            yield from found_in_hits([hit])
        elif notes := _deleted_notes(source):
            yield Found(RecordingState(source["tenantId"], source["recordingId"], notes=notes))


def _deleted_notes(source: dict[str, Any]) -> dict[str, Revision]:
    return {
        note["id"]: Revision(note["version"], None)
        for note in source.get("notes", ())
        if "authorId" not in note
    }


def _has_no_recording(source: dict[str, Any]) -> bool:
    return "ownerId" not in source and not source.get("deleted")
