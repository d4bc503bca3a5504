"""One kind of work in its two forms: change events, and the documents that they end as."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import orjson

from indexer import reducer
from indexer.bulk import Operation, chunks
from indexer.documents import to_source
from indexer.events import Event as Parsed
from indexer.events import parse
from services.documents import document_id
from services.settings import WorkerSettings, load
from tests.bench.conversations import Event, note_of, update_of

EVERYTHING: Final[dict[str, Any]] = {"match_all": {}}
Lines = list[bytes]


@dataclass(frozen=True)
class Workload:
    """Events onto an index that holds what `before` made.

    `done` is the query that finds each document once the events are in it.
    """

    name: str
    events: Sequence[Event]
    before: Sequence[Event] = ()
    done: dict[str, Any] = field(default_factory=lambda: EVERYTHING)

    @cached_property
    def given(self) -> list[Lines]:
        """The bulk requests that write what is there before."""
        return _requests(self.before)

    @cached_property
    def result(self) -> list[Lines]:
        """The bulk requests that write the final documents, without any event."""
        return _requests([*self.before, *self.events])


def fresh(recordings: Sequence[Event]) -> Workload:
    """Recordings that the index does not know."""
    return Workload("new recordings", recordings)


def updates(recordings: Sequence[Event]) -> Workload:
    """Version 2 of recordings that it knows."""
    second = [update_of(event, 2) for event in recordings]
    return Workload("updates", second, recordings, {"term": {"version": 2}})


def notes(recordings: Sequence[Event]) -> Workload:
    """A first note to each recording that it knows."""
    added = [note_of(event) for event in recordings]
    return Workload("notes", added, recordings, {"term": {"hasNotes": True}})


def _requests(events: Iterable[Event]) -> list[Lines]:
    """The final documents of these events as bulk requests, bounded as a worker's are."""
    worker = load(WorkerSettings)
    together = chunks(_operations(events), worker.bulk_count, worker.bulk_bytes)
    return [[line for one in chunk for line in (one.action, one.source)] for chunk in together]


def _operations(events: Iterable[Event]) -> Iterator[Operation[None]]:
    """Without the name of an index: the request has it."""
    by_document: dict[str, list[Parsed]] = {}
    for raw in events:
        identity = document_id(raw["tenantId"], raw["recordingId"])
        by_document.setdefault(identity, []).append(parse(raw))
    for identity, history in by_document.items():
        action = {"index": {"_id": identity}}
        state = reducer.apply(reducer.nothing_of(history[0]), history)
        yield Operation(None, orjson.dumps(action), orjson.dumps(to_source(state, None)))
