"""Two indices side by side: what the old one knows and the new one does not.

    old index ── pages of versions ──▶ mget from the new one ──▶ newer or the same
                                                └─ behind ─┬─▶ younger than the source: copied
                                                           └─▶ looked at again ──▶ a difference

One stream over the old index, in bounded memory. What the live index got when the source had been
made, or when its worker was lost between two writes, is no contradiction and is copied. What is
behind for another reason may be an event on its way, and is looked at again before it counts.
"""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from elasticsearch import Elasticsearch

from indexer.reindex.filling import Filler
from indexer.reindex.versions import FIELDS, kind_of, what_is_behind
from indexer.sources.live import Hit, Snapshot, found_in_hits, get_many
from services import instants

MOST_SUSPECTS: Final = 1_000
SAMPLES: Final = 200
AGAIN_SECONDS: Final = 3.0
PAUSE_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Difference:
    """Something of a recording, or of what a principal sees, that is not the same."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass(slots=True)
class Compared:
    """What the stream found. `old` and `new` count documents by (tenant, kind); `sample` are ids
    of documents that are equal.
    """

    old: Counter[tuple[str, str]] = field(default_factory=Counter)
    new: Counter[tuple[str, str]] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)
    copied: int = 0
    sample: list[str] = field(default_factory=list)
    complete: bool = True


@dataclass(slots=True)
class Comparison:
    """`as_of`: what the old index got later (milliseconds since 1970) is copied; None: all."""

    client: Elasticsearch
    old: str
    new: str
    as_of: int | None
    filler: Filler
    show: Callable[[int], None]
    _suspects: list[str] = field(default_factory=list)
    _seen: int = 0
    _result: Compared = field(default_factory=Compared)

    def run(self) -> Compared:
        """Raises BackendError; SourceError for a document that no worker wrote."""
        stream = Snapshot(self.client, self.old, self.filler.stopping, FIELDS)
        try:
            for hits in stream.pages():
                self._compare(hits)
                self.show(self._seen)
                if len(self._suspects) > MOST_SUSPECTS:
                    self._result.complete = False
                    break
        finally:
            stream.close()
        self._result.differences = self._look_again()
        return self._result

    def _compare(self, hits: Sequence[Hit]) -> None:
        copied = []
        ids = [hit["_id"] for hit in hits]
        for hit, found in zip(hits, get_many(self.client, self.new, ids, FIELDS), strict=True):
            old, new = hit["_source"], found and found["_source"]
            if "tenantId" not in old or "recordingId" not in old:
                found_in_hits([hit])  # says so
            self._result.old[old["tenantId"], kind_of(old)] += 1
            if new:
                self._result.new[new["tenantId"], kind_of(new)] += 1
            if what_is_behind(new, old) is None:
                self._maybe_sample(hit["_id"])
            elif self._is_later_than_the_source(old):
                copied.append(hit["_id"])
            else:
                self._suspects.append(hit["_id"])
        self._copy(copied)

    def _is_later_than_the_source(self, old: dict[str, Any]) -> bool:
        if self.as_of is None:
            return True
        written_at = old.get("writtenAt")
        return written_at is not None and instants.parse(written_at).floor_ms >= self.as_of

    def _copy(self, ids: Sequence[str]) -> None:
        """As they are now, whole; a look at each of them comes after."""
        for start in range(0, len(ids), self.filler.writer.bulk_count):
            part = ids[start : start + self.filler.writer.bulk_count]
            found = get_many(self.client, self.old, part)
            self.filler.fill(found_in_hits([one for one in found if one]))
            self._result.copied += len(part)
            for identity in part:
                self._maybe_sample(identity)

    def _maybe_sample(self, identity: str) -> None:
        """Each document with the same chance, however many there are."""
        self._seen += 1
        if len(self._result.sample) < SAMPLES:
            self._result.sample.append(identity)
        elif (place := random.randrange(self._seen)) < SAMPLES:  # noqa: S311 (a sample)
            self._result.sample[place] = identity

    def _look_again(self) -> list[Difference]:
        """What is still behind after a while; what both hold of it at one moment."""
        left = self._suspects
        for _ in attempts():
            left = [identity for identity, _ in self._behind(left)]
            if not left:
                return []
        return [difference for _, difference in self._behind(left)]

    def _behind(self, ids: Sequence[str]) -> Iterator[tuple[str, Difference]]:
        for start in range(0, len(ids), 500):
            part = ids[start : start + 500]
            # The old one first: what is written to both meanwhile is then newer in the new one.
            olds = get_many(self.client, self.old, part, FIELDS)
            news = get_many(self.client, self.new, part, FIELDS)
            for old, new in zip(olds, news, strict=True):
                what = old and what_is_behind(new and new["_source"], old["_source"])
                if old and what:
                    yield old["_id"], Difference(name_of_document(old["_source"]), what)


def name_of_document(source: Mapping[str, Any]) -> str:
    """The recording, for an operator to find."""
    return f"recording {source['tenantId']}/{source['recordingId']}"


def attempts() -> Iterator[None]:
    """Some attempts, with pauses between them: an event on its way arrives."""
    end = time.monotonic() + AGAIN_SECONDS
    while True:
        yield
        if time.monotonic() > end:
            return
        time.sleep(PAUSE_SECONDS)
