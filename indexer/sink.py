"""Events into Elasticsearch: validate, group, read, merge, write, settle.

    raw events -> parse -> group by document -> read, merge, _bulk -> done, and written everywhere?
                    |                            ^             |                        |
                    v                            +- conflict --+                        |
               dead letters <--- refused for good -------------+     an index more <----+

Writing is compare-and-set (`indexer.compare_and_set`): a document that somebody else changed
meanwhile is read and merged again, it alone. During a reindex a recording is written to two
indices, each by a compare-and-set of its own, and its events are done when both have them
(`indexer.write_set`). Nothing is lost on the way: `apply` returns when every event is in the index,
superseded or in the dead letters; else it raises, and the message stays in the queue.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog
from elasticsearch import Elasticsearch

from indexer import dead_letters, metrics, reducer
from indexer.budget import Budget
from indexer.compare_and_set import Attempt, Change, Writer
from indexer.documents import address_of
from indexer.events import (
    Event,
    GroupSaved,
    InvalidEventError,
    RecordingDeleted,
    RecordingSaved,
    parse,
)
from indexer.patience import Patience, Stopping
from indexer.reducer import State
from indexer.write_set import WriteSet
from services.errors import BackendError
from services.indices import IndexNames
from services.observability import place_of
from services.pseudonyms import Pseudonyms

FIRST_VERSION: Final = 1

log = structlog.get_logger("indexer")


@dataclass(slots=True)
class _Pending(Change):
    """One document of one index on its way: its events, and what the index holds of it.

    Of several indices only one is `counted`.
    """

    raw: list[object] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    counted: bool = True

    def merged(self) -> State:
        known = self.state or reducer.nothing_of(self.events[0])
        return reducer.apply(known, self.events)

    def on(self, target: str, *, counted: bool) -> "_Pending":
        """The same for this index."""
        return _Pending(
            target, self.identity, self.raw, self.events, counted, read=_is_fresh(self.events)
        )

    def halves(self) -> list["_Pending"]:
        """The same document with half of the events each. Written at once, the second conflicts
        with the first, and is merged again.
        """
        middle = len(self.events) // 2
        return [
            _Pending(self.target, self.identity, self.raw[part], self.events[part], self.counted)
            for part in (slice(middle), slice(middle, None))
        ]

    def count(self, outcome: str) -> None:
        for event in self.events:
            metrics.EVENTS.labels(event.type, outcome).inc()


@dataclass(slots=True)
class _Batch:
    """What became of the events so far."""

    outcomes: Counter[str] = field(default_factory=Counter)
    dead: list[tuple[object, str]] = field(default_factory=list)
    _buried: set[int] = field(default_factory=set)

    def settle(self, attempt: Attempt[_Pending]) -> None:
        """Count what is settled; what is refused goes to the dead letters, or again in halves."""
        for item in (item for item in attempt.done if item.counted):
            self.outcomes["done"] += len(item.events)
            for event in item.events:
                metrics.written(event.type, event.occurred_at)
        for item in (item for item in attempt.superseded if item.counted):
            item.count("superseded")
            self.outcomes["superseded"] += len(item.events)
        for item, reason in attempt.refused:
            self._refuse(item, reason, attempt)

    def _refuse(self, item: _Pending, reason: str, attempt: Attempt[_Pending]) -> None:
        """This document can never be written; of its events, the one that is to blame is found by
        halving.
        """
        if len(item.events) > 1:
            attempt.later(item.halves(), "refused")
        elif id(item.raw[0]) not in self._buried:  # by another index
            self._buried.add(id(item.raw[0]))
            item.count("dead")
            self.dead.append((item.raw[0], reason))


@dataclass(slots=True)
class Sink:
    """Applies events. Times in seconds, sizes in bytes as the client sends them."""

    client: Elasticsearch
    names: IndexNames
    region_of: Callable[[str], str | None]
    stopping: Stopping
    bulk_count: int
    bulk_bytes: int
    max_document_bytes: int
    deadline: float
    budget: Budget = field(default_factory=Budget)
    pseudonyms: Pseudonyms = field(default_factory=Pseudonyms)
    _writer: Writer = field(init=False)
    _write_set: WriteSet = field(init=False)

    def __post_init__(self) -> None:
        self._write_set = WriteSet(self.client, self.names)
        self._writer = Writer(
            self.client, self.region_of, self.bulk_count, self.bulk_bytes, self.max_document_bytes
        )

    def apply(self, raw_events: Sequence[object]) -> Counter[str]:
        """Apply the events; returns how many ended how: done, superseded, dead.

        Raises BackendError when the deadline passed, the worker is to stop, or Elasticsearch
        refuses us; BudgetSpentError when most events fail. What was written by then stays;
        applying the same events again is harmless. An event on which our own code fails is found
        by halving, and goes alone.
        """
        try:
            return self._apply(raw_events)
        except BackendError:
            raise
        except Exception as error:  # noqa: BLE001 (a fault of ours takes no other event along)
            if len(raw_events) > 1:
                middle = len(raw_events) // 2
                return self.apply(raw_events[:middle]) + self.apply(raw_events[middle:])
            # A stack trace may hold what was said.
            log.error(  # noqa: TRY400
                "event_failed",
                kind=type(error).__name__,
                place=place_of(error),
                tenant=self._tenant_of(raw_events[0]),
            )
            return self.bury(raw_events, f"unexpected {type(error).__name__}")

    def bury(self, raw_events: Sequence[object], reason: str) -> Counter[str]:
        """Put these events into the dead letters. Raises BackendError."""
        letters = [(raw, reason) for raw in raw_events]
        self._patience().insist(lambda: dead_letters.write(self.client, self.names, letters))
        metrics.EVENTS.labels("unknown", "dead").inc(len(letters))
        return Counter(dead=len(letters))

    def _tenant_of(self, raw: object) -> str | None:
        """The pseudonym of whose event this is, where it says so."""
        tenant = raw.get("tenantId") if isinstance(raw, Mapping) else None
        return self.pseudonyms.word_for(tenant) if isinstance(tenant, str) else None

    def _patience(self) -> Patience:
        return Patience(time.monotonic() + self.deadline, self.stopping)

    def _apply(self, raw_events: Sequence[object]) -> Counter[str]:
        batch, patience = _Batch(), self._patience()
        documents = list(_grouped(raw_events, self.names, batch.dead))
        self._write_everywhere(documents, batch, patience)
        self.budget.spend(len(batch.dead), len(raw_events))
        client, names = self.client, self.names
        patience.insist(lambda: dead_letters.write(client, names, batch.dead))
        patience.insist(lambda: dead_letters.erase(client, names, _deletions(documents)))
        return batch.outcomes + Counter(dead=len(batch.dead))

    def _write_everywhere(
        self, documents: Sequence[_Pending], batch: _Batch, patience: Patience
    ) -> None:
        """To every index that is written, also to one that came into the set meanwhile."""
        recordings = [one for one in documents if one.target == self.names.recordings]
        pending = [one for one in documents if one.target != self.names.recordings]
        targets = patience.insist(self._write_set.remembered) if recordings else ()
        written: list[str] = []
        while pending or targets:
            for target in targets:
                counted = not written
                pending += [document.on(target, counted=counted) for document in recordings]
                written.append(target)
            self._write(pending, batch, patience)
            now = patience.insist(self._write_set.ask) if recordings else ()
            pending, targets = [], tuple(target for target in now if target not in written)

    def _write(self, pending: list[_Pending], batch: _Batch, patience: Patience) -> None:
        while pending:
            attempt = self._writer.attempt(pending)
            batch.settle(attempt)
            pending = attempt.again
            if pending and attempt.troubled:
                patience.wait()
                pending = self._still_written(pending, patience)

    def _still_written(self, pending: list[_Pending], patience: Patience) -> list[_Pending]:
        """Without what was to go to an index that is gone from the set."""
        targets = {*patience.insist(self._write_set.ask), self.names.groups}
        return [item for item in pending if item.target in targets]


def _deletions(pending: Iterable[_Pending]) -> set[tuple[str, str]]:
    """The recordings to erase letters of: also those where the deletion changes nothing any more,
    because a worker may have been lost before it erased.
    """
    return {
        (event.tenant_id, event.recording_id)
        for item in pending
        for event in item.events
        if isinstance(event, RecordingDeleted)
    }


def _grouped(
    raw_events: Iterable[object], names: IndexNames, dead: list[tuple[object, str]]
) -> Iterable[_Pending]:
    """The valid events by document, the target its alias; the others go to `dead`."""
    groups: dict[tuple[str, str], _Pending] = {}
    for raw in raw_events:
        try:
            event = parse(raw)
        except InvalidEventError as error:
            metrics.EVENTS.labels("invalid", "dead").inc()
            dead.append((raw, str(error)))
            continue
        address = address_of(event, names)
        group = groups.setdefault(address, _Pending(*address))
        group.raw.append(raw)
        group.events.append(event)
        group.read = _is_fresh(group.events)
    return groups.values()


def _is_fresh(events: Iterable[Event]) -> bool:
    """Most likely there is no document yet: `create` finds out without a read."""
    return any(
        isinstance(event, RecordingSaved | GroupSaved) and event.version <= FIRST_VERSION
        for event in events
    )
