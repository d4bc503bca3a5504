"""The live index as a source: a point in time, in slices that are read beside each other, and then
what changed meanwhile.

    sequence numbers  0 ...... | ...... L |
                      slice 0    slice 1
                                   S ............
                                   rest, when all slices are read

A slice is a range of sequence numbers, which is an order that outlives the point in time: reading
can go on after a kill, in a new point in time, where it stopped. A document that is written
meanwhile leaves its slice for a higher number, perhaps before it was read; and what the worker
wrote to the new index is the event alone, not all that was known before. So the rest is read last,
after a refresh: each document was either found in its slice, or has a number of S or above by then.

Each shard counts by itself. L is the highest number of all shards, and what is written later has a
number above the highest of its own shard, so S is the lowest of those, plus one. Shards are about
equally long, so only a little is read twice; with one shard S is L + 1.
"""

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from elasticsearch import Elasticsearch, NotFoundError

from indexer.documents import from_source
from indexer.patience import Patience, Stopping
from indexer.sources import Found, Page, SourceError
from services.errors import BackendError
from services.es_client import failures_as_ours

KEEP_ALIVE: Final = "5m"
PATIENCE_SECONDS: Final = 600.0
MOST_DOCUMENTS: Final = 1_000
FEWEST_DOCUMENTS: Final = 20
PAGE_BYTES: Final = 4_000_000
# A stored document is so much smaller than as JSON.
COMPRESSION: Final = 3

Hit = dict[str, Any]


@dataclass(slots=True)
class Snapshot:
    """A point in time of one index, opened anew when it was lost; ends with `close`.

    `fields` are those of the documents that are read, None: all. `size` documents are read at once;
    more than the index has shards, because the last number of a page begins the next one, and each
    shard can have a document of that number. `patience` (seconds): how long trouble is waited out.
    """

    client: Elasticsearch
    index: str
    stopping: Stopping
    fields: Sequence[str] | None = None
    size: int = MOST_DOCUMENTS
    patience: float = PATIENCE_SECONDS
    _id: str | None = field(default=None, init=False)

    def pages(self, first: int = 0, last: int | None = None) -> Iterator[list[Hit]]:
        """The documents with these sequence numbers, in their order; a few of them twice.

        Raises BackendError.
        """
        while True:
            patience = Patience(time.monotonic() + self.patience, self.stopping)
            hits = patience.insist(partial(self._page, first, last))
            if hits:
                yield hits
            if len(hits) < self.size:
                return
            first = number_of(hits[-1])

    def close(self) -> None:
        """Free what the server holds for it. Raises BackendError."""
        if self._id:
            with failures_as_ours():
                self.client.options(ignore_status=404).close_point_in_time(id=self._id)
            self._id = None

    def _page(self, first: int, last: int | None) -> list[Hit]:
        with failures_as_ours():
            try:
                return self._search(first, last)
            except NotFoundError:  # nobody asked it for too long, or the server was restarted
                self._id = None
                return self._search(first, last)

    def _search(self, first: int, last: int | None) -> list[Hit]:
        if not self._id:
            opened = self.client.open_point_in_time(index=self.index, keep_alive=KEEP_ALIVE)
            self._id = opened["id"]
        within = {"gte": first} | ({} if last is None else {"lte": last})
        answer = self.client.search(
            pit={"id": self._id, "keep_alive": KEEP_ALIVE},
            query={"range": {"_seq_no": within}},
            sort=[{"_seq_no": "asc"}],
            size=self.size,
            source_includes=self.fields,
            track_total_hits=False,
            allow_partial_search_results=False,
        )
        hits: list[Hit] = answer["hits"]["hits"]
        return hits


@dataclass(frozen=True, slots=True)
class LiveIndex:
    """All documents of this index, in so many slices; a position is {"next", "last"} numbers."""

    client: Elasticsearch
    index: str
    slices: int
    stopping: Stopping

    @property
    def total(self) -> int:
        """In documents."""
        with failures_as_ours():
            count: int = self.client.count(index=self.index)["count"]
        return count

    @property
    def as_of(self) -> None:
        """It is the live index itself."""

    def beginning(self) -> Mapping[str, Any]:
        counted = last_numbers(self.client, self.index)
        with failures_as_ours():
            # Slices find all that has a number by now.
            self.client.indices.refresh(index=self.index)
        last = max(counted)
        ends = [(last + 1) * n // self.slices for n in range(self.slices + 1)]
        return {
            f"slice {n}": {
                "next": ends[n],
                "last": ends[n + 1] - 1,
                "changes": min(counted) + 1,
            }
            for n in range(self.slices)
        }

    def parts(self, positions: Mapping[str, Any]) -> Mapping[str, Generator[Page]]:
        size = page_size(self.client, self.index)
        return {
            name: self._pages(position, size)
            for name, position in positions.items()
            if position["next"] <= position["last"]
        }

    def rest(self, positions: Mapping[str, Any]) -> Generator[Page]:
        with failures_as_ours():
            self.client.indices.refresh(index=self.index)
        changes = min(position["changes"] for position in positions.values())
        return self._pages({"next": changes}, page_size(self.client, self.index))

    def _pages(self, position: Mapping[str, int], size: int) -> Generator[Page]:
        last = position.get("last")
        snapshot = Snapshot(self.client, self.index, self.stopping, size=size)
        try:
            for hits in snapshot.pages(position["next"], last):
                after = number_of(hits[-1]) if len(hits) == size or last is None else last + 1
                yield Page(partial(found_in_hits, hits), {**position, "next": after}, len(hits))
        finally:
            snapshot.close()


def found_in_hits(hits: Sequence[Hit]) -> list[Found]:
    """The documents as states. Raises SourceError for what no worker has written."""
    found = []
    for hit in hits:
        source = hit["_source"]
        try:
            found.append(Found(from_source(source), source.get("writtenAt")))
        except (KeyError, TypeError, ValueError, StopIteration):
            raise SourceError(f"the document {hit['_id']} is none that a worker writes") from None
    return found


def number_of(hit: Hit) -> int:
    """The sequence number of a hit that was sorted by it."""
    number: int = hit["sort"][0]
    return number


def last_numbers(client: Elasticsearch, index: str) -> list[int]:
    """The highest sequence number of each shard; -1 where there is none. Raises BackendError."""
    with failures_as_ours():
        stats = client.indices.stats(index=index, metric="docs", level="shards")["indices"][index]
    return [
        copy["seq_no"]["max_seq_no"]
        for copies in stats["shards"].values()
        for copy in copies
        if copy["routing"]["primary"]
    ]


def page_size(client: Elasticsearch, index: str) -> int:
    """How many documents of this index are about PAGE_BYTES as JSON, and more than it has shards.
    Raises BackendError.
    """
    with failures_as_ours():
        answer = client.indices.stats(index=index, metric="docs,store")
    stats = answer["_all"]["primaries"]
    each = COMPRESSION * stats["store"]["size_in_bytes"] / max(1, stats["docs"]["count"])
    fewest: int = max(FEWEST_DOCUMENTS, 2 * answer["_shards"]["total"])
    return max(fewest, min(MOST_DOCUMENTS, int(PAGE_BYTES / max(1, each))))


def get_many(
    client: Elasticsearch, index: str, ids: Sequence[str], fields: Sequence[str] | None = None
) -> list[Hit | None]:
    """The documents with these ids as they are this very moment. Raises BackendError."""
    if not ids:
        return []
    with failures_as_ours():
        found = client.mget(index=index, ids=ids, source_includes=fields)["docs"]
    for one in found:
        if "error" in one:
            raise BackendError(f"read: {one['error']['type']}", retryable=True)
    return [one if one["found"] else None for one in found]
