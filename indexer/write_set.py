"""Which indices of recordings are written: one, or two during a reindex. No write is lost when
this changes.

The set is part of the document that holds the state of a reindex (`indexer.reindex.state`), and
changes with it by compare-and-set. A worker remembers the set, and asks again after it has written
and before it takes the events for done:

    write to the set as remembered ──▶ ask again ──▶ the same, or fewer: done
              ▲                                        │ an index more
              └──────── the same events to that one ───┘

Why nothing is lost. Let T be the moment at which the new index came into the set. Of an event that
a worker takes for done, the last question was asked before T or after it.

- Before T: all of its writes had been answered before, so they were in the old index before T.
  Backfill begins after T, refreshes the old index, and then reads all of it.
- After T: the answer named the new index, so the worker wrote the event there as well.

An event that is not yet taken for done is still in the queue: whoever takes it next asks after T.
So it does not matter how long a bulk request is on its way while the set changes, or what became of
it; nobody has to wait for anybody. Between the first write and the last the two indices may differ,
which is why verification looks again before it judges.

The question is a realtime get by id. The indices are addressed by an alias of each one's own
(`IndexNames.written`), which goes when the index goes: a worker whose set is out of date then gets
an error, waits a moment and asks again. The name of an index is never given twice, so that a set
that looks the same is the same.
"""

from dataclasses import dataclass, field
from typing import Final

from elasticsearch import ApiError, Elasticsearch, NotFoundError

from services.errors import BackendError
from services.es_client import failures_as_ours
from services.indices import IndexNames

DOCUMENT: Final = "recordings"
WRITES: Final = "writes"
NO_DOCUMENT: Final = 404


@dataclass(slots=True)
class WriteSet:
    """The aliases by which recordings are written, as this worker last heard."""

    client: Elasticsearch
    names: IndexNames
    _remembered: tuple[str, ...] = field(default=(), init=False)

    def remembered(self) -> tuple[str, ...]:
        """Without asking, if it was asked ever. Raises BackendError."""
        return self._remembered or self.ask()

    def ask(self) -> tuple[str, ...]:
        """As it is now; the index that is not new comes first. Raises BackendError."""
        self._remembered = tuple(
            self.names.written(index) for index in written_indices(self.client, self.names)
        )
        return self._remembered


def written_indices(client: Elasticsearch, names: IndexNames) -> list[str]:
    """The indices of recordings that are written now. Raises BackendError, also before `init`."""
    with failures_as_ours():
        try:
            found = client.get(index=names.reindex, id=DOCUMENT, source_includes=[WRITES])
        except NotFoundError as error:
            if _is_missing(error):
                raise BackendError(
                    "which indices are written is not known; run `recordings-indexer init`",
                    retryable=True,
                ) from error
            raise
    indices: list[str] = found["_source"][WRITES]
    return indices


def _is_missing(error: ApiError) -> bool:
    """The document, not its index."""
    return isinstance(error.body, dict) and error.body.get("found") is False
