"""Events into Elasticsearch: validate, read, merge, write, settle.

    raw events -> parse -> group by document -> read -> merge -> _bulk -> done
                    |                            ^                  |
                    v                            +-- conflict, 429 -+
               dead letters <--------- refused for good ------------+

Writing is compare-and-set: a document that somebody else changed meanwhile is read and merged
again, it alone. Nothing is lost on the way: `apply` returns when every event is in the index,
superseded or in the dead letters; else it raises, and the message stays in the queue.
"""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import orjson
import structlog
from elasticsearch import Elasticsearch

from indexer import dead_letters, reducer
from indexer.documents import from_source, to_source
from indexer.events import Event, InvalidEventError, parse
from indexer.reducer import State
from services.documents import document_id
from services.errors import BackendError
from services.es_client import RETRYABLE_STATUS, failures_as_ours
from services.indices import IndexNames

CONFLICT: Final = 409
FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0

log = structlog.get_logger("indexer")


class Stopping(Protocol):
    """What can be waited on and says that the worker is to stop."""

    def wait(self, timeout: float) -> bool: ...


@dataclass(slots=True)
class _Pending:
    """One document on its way: its events, and after a read what the index held."""

    identity: str
    raw: list[object] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    state: State | None = None
    seen: Mapping[str, int] | None = None  # if_seq_no and if_primary_term; None: no document yet


@dataclass(frozen=True, slots=True)
class Sink:
    """Applies events. Times in seconds; `bulk_bytes` as the client serializes them."""

    client: Elasticsearch
    names: IndexNames
    region_of: Callable[[str], str | None]
    stopping: Stopping
    bulk_count: int
    bulk_bytes: int
    deadline: float

    def apply(self, raw_events: Sequence[object]) -> Counter[str]:
        """Apply the events; returns how many ended how: done, superseded, dead.

        Raises BackendError when the deadline passed, the worker is to stop, or Elasticsearch
        refuses us. What was written by then stays; applying the same events again is harmless.
        An event on which our own code fails is found by halving, and goes alone.
        """
        try:
            return self._apply(raw_events)
        except BackendError:
            raise
        except Exception as error:  # a fault of ours must not take the other events along
            if len(raw_events) > 1:
                middle = len(raw_events) // 2
                return self.apply(raw_events[:middle]) + self.apply(raw_events[middle:])
            log.exception("event_failed", kind=type(error).__name__)
            reason = f"unexpected {type(error).__name__}"
            dead_letters.write(self.client, self.names.dead_letters, [(raw_events[0], reason)])
            return Counter(dead=1)

    def _apply(self, raw_events: Sequence[object]) -> Counter[str]:
        outcomes: Counter[str] = Counter()
        dead: list[tuple[object, str]] = []
        pending = list(_grouped(raw_events, dead))
        end = time.monotonic() + self.deadline
        pause = FIRST_PAUSE
        while pending:
            retry, troubled = self._round(pending, outcomes, dead)
            if retry and troubled:
                self._wait(pause, end)
                pause = min(pause * 2, LONGEST_PAUSE)
            pending = retry
        dead_letters.write(self.client, self.names.dead_letters, dead)
        return outcomes + Counter(dead=len(dead))

    def _round(
        self, pending: list[_Pending], outcomes: Counter[str], dead: list[tuple[object, str]]
    ) -> tuple[list[_Pending], bool]:
        """Read, merge, write: what must be tried again, and whether the server is in trouble."""
        try:
            self._read(pending)
            changed = list(self._merged(pending, outcomes))
        except BackendError as error:
            return _again(pending, error)
        retry: list[_Pending] = []
        troubled = False
        for chunk in _chunks(changed, self.bulk_count, self.bulk_bytes):
            again, trouble = self._write(chunk, outcomes, dead)
            retry += again
            troubled |= trouble
        return retry, troubled

    def _read(self, pending: list[_Pending]) -> None:
        with failures_as_ours():
            found = self.client.mget(index=self.names.recordings, ids=[p.identity for p in pending])
        for item, document in zip(pending, found["docs"], strict=True):
            if "error" in document:
                raise BackendError(f"read: {document['error']['type']}", retryable=True)
            if document["found"]:
                item.state = from_source(document["_source"])
                item.seen = {
                    "if_seq_no": document["_seq_no"],
                    "if_primary_term": document["_primary_term"],
                }
            else:
                item.state = item.seen = None

    def _merged(
        self, pending: list[_Pending], outcomes: Counter[str]
    ) -> Iterator[tuple[_Pending, list[bytes]]]:
        """What changes, as the two lines of a bulk request."""
        for item in pending:
            first = item.events[0]
            known = item.state or State(first.tenant_id, first.recording_id)
            merged = reducer.apply(known, item.events)
            if merged == known:
                outcomes["superseded"] += len(item.events)
                continue
            action = (
                {"index": {"_id": item.identity, **item.seen}}
                if item.seen
                else {"create": {"_id": item.identity}}
            )
            source = to_source(merged, self.region_of(first.tenant_id))
            yield item, [orjson.dumps(action), orjson.dumps(source)]

    def _write(
        self,
        chunk: list[tuple[_Pending, list[bytes]]],
        outcomes: Counter[str],
        dead: list[tuple[object, str]],
    ) -> tuple[list[_Pending], bool]:
        operations: list[Any] = [line for _, lines in chunk for line in lines]
        try:
            with failures_as_ours():
                answer = self.client.bulk(
                    index=self.names.recordings, operations=operations, require_alias=True
                )
        except BackendError as error:
            return _again([item for item, _ in chunk], error)
        retry: list[_Pending] = []
        troubled = False
        for (item, _), result in zip(chunk, answer["items"], strict=True):
            (answered,) = result.values()
            status, error_type = answered["status"], answered.get("error", {}).get("type", "")
            if status < 300:
                outcomes["done"] += len(item.events)
            elif status == CONFLICT:
                retry.append(item)
            elif status in RETRYABLE_STATUS or error_type == "index_not_found_exception":
                retry.append(item)
                troubled = True
            else:
                dead += [(raw, f"Elasticsearch: {error_type}") for raw in item.raw]
        return retry, troubled

    def _wait(self, pause: float, end: float) -> None:
        pause = random.uniform(pause / 2, pause)  # noqa: S311 (jitter, not a secret)
        if time.monotonic() + pause > end:
            raise BackendError("Elasticsearch did not take the events in time", retryable=True)
        if self.stopping.wait(pause):
            raise BackendError("the worker is stopping", retryable=True)


def _again(pending: list[_Pending], error: BackendError) -> tuple[list[_Pending], bool]:
    if not error.retryable:
        raise error
    return pending, True


def _grouped(raw_events: Iterable[object], dead: list[tuple[object, str]]) -> Iterable[_Pending]:
    """The valid events by document; the others go to `dead`."""
    groups: dict[str, _Pending] = {}
    for raw in raw_events:
        try:
            event = parse(raw)
        except InvalidEventError as error:
            dead.append((raw, str(error)))
            continue
        identity = document_id(event.tenant_id, event.recording_id)
        group = groups.setdefault(identity, _Pending(identity))
        group.raw.append(raw)
        group.events.append(event)
    return groups.values()


def _chunks(
    changed: Iterable[tuple[_Pending, list[bytes]]], count: int, size: int
) -> Iterator[list[tuple[_Pending, list[bytes]]]]:
    """At most so many documents and so many bytes at once; one document always fits."""
    chunk: list[tuple[_Pending, list[bytes]]] = []
    held = 0
    for entry in changed:
        weight = sum(len(line) + 1 for line in entry[1])
        if chunk and (len(chunk) >= count or held + weight > size):
            yield chunk
            chunk, held = [], 0
        chunk.append(entry)
        held += weight
    if chunk:
        yield chunk
