"""Events into Elasticsearch: validate, group, read, merge, write, settle.

    raw events -> parse -> group by document -> read -> merge -> _bulk -> done
                    |                            ^                  |
                    v                            +-- conflict, 429 -+
               dead letters <--------- refused for good ------------+

Writing is compare-and-set: a document that somebody else changed meanwhile is read and merged
again, it alone. Nothing is lost on the way: `apply` returns when every event is in the index,
superseded or in the dead letters; else it raises, and the message stays in the queue.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
import structlog
from elasticsearch import Elasticsearch

from indexer import dead_letters, metrics, reducer
from indexer.budget import Budget
from indexer.bulk import ANSWER, Operation, Verdict, chunks, verdict
from indexer.documents import address_of, from_source, to_source
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
from services import instants
from services.errors import BackendError
from services.es_client import TooLargeError, failures_as_ours
from services.indices import IndexNames
from services.observability import place_of

FIRST_VERSION: Final = 1

log = structlog.get_logger("indexer")


@dataclass(slots=True)
class _Pending:
    """One document on its way: its events, and what the index holds of it."""

    alias: str
    identity: str
    raw: list[object] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    read: bool = False
    state: State | None = None
    seen: Mapping[str, int] | None = None  # if_seq_no and if_primary_term; None: no document yet

    def merged(self) -> State:
        known = self.state or reducer.nothing_of(self.events[0])
        return reducer.apply(known, self.events)

    def halves(self) -> list["_Pending"]:
        """The same document with half of the events each. Written at once, the second conflicts
        with the first, and is merged again.
        """
        middle = len(self.events) // 2
        return [
            _Pending(self.alias, self.identity, self.raw[part], self.events[part])
            for part in (slice(middle), slice(middle, None))
        ]

    def count(self, outcome: str) -> None:
        for event in self.events:
            metrics.EVENTS.labels(event.type, outcome).inc()


@dataclass(slots=True)
class _Batch:
    """What became of the events so far, and what must be tried again."""

    outcomes: Counter[str] = field(default_factory=Counter)
    dead: list[tuple[object, str]] = field(default_factory=list)
    again: list[_Pending] = field(default_factory=list)
    troubled: bool = False

    def later(self, pending: Iterable[_Pending], reason: str) -> None:
        """Read these again before the next attempt: who knows what was written."""
        for item in pending:
            item.read, item.state, item.seen = False, None, None
            self.again.append(item)
            metrics.RETRIES.labels(reason).inc()

    def refuse(self, item: _Pending, reason: str) -> None:
        """This document can never be written; of its events, the one that is to blame is found by
        halving.
        """
        if len(item.events) > 1:
            self.later(item.halves(), "refused")
            return
        item.count("dead")
        self.dead.append((item.raw[0], reason))


@dataclass(frozen=True, slots=True)
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
                "event_failed", kind=type(error).__name__, place=place_of(error)
            )
            return self.bury(raw_events, f"unexpected {type(error).__name__}")

    def bury(self, raw_events: Sequence[object], reason: str) -> Counter[str]:
        """Put these events into the dead letters. Raises BackendError."""
        letters = [(raw, reason) for raw in raw_events]
        self._patience().insist(lambda: dead_letters.write(self.client, self.names, letters))
        metrics.EVENTS.labels("unknown", "dead").inc(len(letters))
        return Counter(dead=len(letters))

    def _patience(self) -> Patience:
        return Patience(time.monotonic() + self.deadline, self.stopping)

    def _apply(self, raw_events: Sequence[object]) -> Counter[str]:
        batch, patience = _Batch(), self._patience()
        pending = list(_grouped(raw_events, self.names, batch.dead))
        deletions = _deletions(pending)
        while pending:
            batch.again, batch.troubled = [], False
            self._round(pending, batch)
            if batch.again and batch.troubled:
                patience.wait()
            pending = batch.again
        self.budget.spend(len(batch.dead), len(raw_events))
        client, names = self.client, self.names
        patience.insist(lambda: dead_letters.write(client, names, batch.dead))
        patience.insist(lambda: dead_letters.erase(client, names, deletions))
        return batch.outcomes + Counter(dead=len(batch.dead))

    def _round(self, pending: list[_Pending], batch: _Batch) -> None:
        """Read, merge and write once."""
        try:
            self._read([item for item in pending if not item.read])
        except BackendError as error:
            _in_trouble(pending, error, batch)
            return
        for chunk in chunks(self._changes(pending, batch), self.bulk_count, self.bulk_bytes):
            self._write(chunk, batch)

    def _read(self, pending: list[_Pending]) -> None:
        if not pending:
            return
        wanted = [{"_index": item.alias, "_id": item.identity} for item in pending]
        with failures_as_ours():
            found = self.client.mget(docs=wanted)
        for item, document in zip(pending, found["docs"], strict=True):
            if "error" in document:
                raise BackendError(f"read: {document['error']['type']}", retryable=True)
            item.read = True
            if document["found"]:
                item.state = from_source(document["_source"])
                item.seen = {
                    "if_seq_no": document["_seq_no"],
                    "if_primary_term": document["_primary_term"],
                }

    def _changes(self, pending: Iterable[_Pending], batch: _Batch) -> Iterator[Operation[_Pending]]:
        """What has to be written; the rest is superseded, or too large."""
        for item in pending:
            merged = item.merged()
            if merged == item.state:
                item.count("superseded")
                batch.outcomes["superseded"] += len(item.events)
                continue
            operation = self._operation(item, merged)
            if operation.size > self.max_document_bytes:
                batch.refuse(item, f"larger than {self.max_document_bytes} bytes")
                continue
            yield operation

    def _operation(self, item: _Pending, merged: State) -> Operation[_Pending]:
        address = {"_index": item.alias, "_id": item.identity}
        action = {"index": {**address, **item.seen}} if item.seen else {"create": address}
        source = to_source(merged, self.region_of(merged.tenant_id))
        if source.get("deleted"):
            source["writtenAt"] = instants.render(time.time_ns() // 1_000_000)
        return Operation(item, orjson.dumps(action), orjson.dumps(source))

    def _write(self, chunk: list[Operation[_Pending]], batch: _Batch) -> None:
        lines: list[Any] = [line for one in chunk for line in (one.action, one.source)]
        try:
            with failures_as_ours():
                answer = self.client.bulk(operations=lines, require_alias=True, filter_path=ANSWER)
        except TooLargeError:
            self._split(chunk, batch)
            return
        except BackendError as error:
            _in_trouble([one.owner for one in chunk], error, batch)
            return
        for one, result in zip(chunk, answer["items"], strict=True):
            _settle(one.owner, *verdict(result), batch)

    def _split(self, chunk: list[Operation[_Pending]], batch: _Batch) -> None:
        """Elasticsearch takes less at once than we thought."""
        if len(chunk) == 1:
            batch.refuse(chunk[0].owner, "larger than Elasticsearch takes")
            return
        metrics.RETRIES.labels("split").inc(len(chunk))
        middle = len(chunk) // 2
        self._write(chunk[:middle], batch)
        self._write(chunk[middle:], batch)


def _settle(item: _Pending, what: Verdict, error: str, batch: _Batch) -> None:
    match what:
        case Verdict.DONE:
            batch.outcomes["done"] += len(item.events)
            for event in item.events:
                metrics.written(event.type, event.occurred_at)
        case Verdict.CONFLICT:
            batch.later([item], "conflict")
        case Verdict.LATER:
            batch.later([item], "trouble")
            batch.troubled = True
        case Verdict.REFUSED:
            batch.refuse(item, f"Elasticsearch: {error}")


def _in_trouble(pending: Iterable[_Pending], error: BackendError, batch: _Batch) -> None:
    if not error.retryable:
        raise error
    batch.later(pending, "trouble")
    batch.troubled = True


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
    """The valid events by document; the others go to `dead`."""
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
        # Most likely there is no document yet: `create` finds out without a read.
        group.read |= isinstance(event, RecordingSaved | GroupSaved) and (
            event.version <= FIRST_VERSION
        )
    return groups.values()
