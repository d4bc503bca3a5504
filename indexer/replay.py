"""Dead letters back onto the queue, for another attempt.

    letter (event) ── read ──▶ publish ──▶ letter (replayedAt, no event) ─┬─ purge, some days later
       ▲                          │                                       │
       └──────── write ◀── the event fails again ◀── worker ◀─────────────┘

The event is published first; then the letter is marked, only if it is still the one that was read
(compare-and-set). So a crash in between publishes an event twice, which is harmless, and never
loses one. A letter whose event failed again before the mark was written has changed: it is left as
it is, waiting, with one attempt more. One that is marked keeps its ids and counters alone, because
the broker has the event as it has any other; when the event fails again, `dead_letters.write` puts
it back into the letter and goes on counting. Nobody has to find out whether a replayed event came
through: its mark is not listed, and `purge` removes it when the event cannot be in the queue any
more.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from celery import Celery
from elasticsearch import Elasticsearch

from indexer import dead_letters, publisher
from indexer.bulk import Verdict, verdict
from indexer.dead_letters import Letter
from services import instants
from services.errors import BackendError
from services.es_client import failures_as_ours
from services.indices import IndexNames


@dataclass(slots=True)
class Report:
    """How many events were published again, and which letters were not: (id, reason)."""

    replayed: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)


def replay(
    client: Elasticsearch, names: IndexNames, broker: Celery, letters: Iterable[Letter]
) -> Report:
    """Publish the events of these letters again; they are read anew, in lists of bounded size.

    Raises BackendError; what was published by then stays published.
    """
    report = Report()
    for ids in _lists(letters):
        held = []
        for letter in dead_letters.read(client, names, ids, with_event=True):
            if "event" in letter.source:
                held.append(letter)
            else:
                report.refused.append((letter.id, _why_not(letter)))
        published = _publish(broker, held, report)
        _mark(client, names, published)
        report.replayed += len(published)
    return report


def _lists(letters: Iterable[Letter]) -> Iterator[list[str]]:
    ids: list[str] = []
    size = 0
    for letter in letters:
        if ids and (
            len(ids) >= publisher.LIST_COUNT
            or size + letter.source.get("size", 0) > publisher.LIST_BYTES
        ):
            yield ids
            ids, size = [], 0
        ids.append(letter.id)
        size += letter.source.get("size", 0)
    if ids:
        yield ids


def _why_not(letter: Letter) -> str:
    if "replayedAt" in letter.source:
        return f"was replayed already, at {letter.source['replayedAt']}"
    return "cannot be replayed: its event was not kept"


def _publish(broker: Celery, letters: Sequence[Letter], report: Report) -> list[Letter]:
    """By the same way as the product's events; returns the letters whose events were sent."""
    lines = BytesIO("\n".join(letter.source["event"] for letter in letters).encode())
    sent = publisher.publish(broker, lines, lambda _: None)
    reasons = dict(sent.refused)
    for number, reason in sent.refused:
        report.refused.append((letters[number - 1].id, f"cannot be replayed: not JSON: {reason}"))
    return [letter for number, letter in enumerate(letters, start=1) if number not in reasons]


def _mark(client: Elasticsearch, names: IndexNames, letters: Sequence[Letter]) -> None:
    now = instants.render(time.time_ns() // 1_000_000)
    operations: list[dict[str, Any]] = []
    for letter in letters:
        kept = {name: value for name, value in letter.source.items() if name != "event"}
        operations += [{"index": {"_id": letter.id, **letter.seen}}, kept | {"replayedAt": now}]
    if not operations:
        return
    with failures_as_ours():
        answer = client.bulk(index=names.dead_letters, operations=operations, require_alias=True)
    for item in answer["items"]:
        what, error = verdict(item)
        # A conflict: it failed again already, or was erased or discarded.
        if what not in (Verdict.DONE, Verdict.CONFLICT):
            raise BackendError(f"a replayed letter could not be marked: {error}", retryable=True)
