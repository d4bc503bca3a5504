"""`publish`: events from a file of JSON lines onto the queue, in lists.

It sends whatever is JSON: whether an event is valid is the worker's to say.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Final, NoReturn

from celery import Celery
from kombu.exceptions import OperationalError

from indexer.broker import UNTRUSTED, is_untrusted
from indexer.tasks import APPLY_EVENTS
from services.errors import BackendError

LIST_COUNT: Final = 200
LIST_BYTES: Final = 500_000


@dataclass(slots=True)
class Report:
    """What was sent, and which lines were not JSON: (1-based number, reason)."""

    events: int = 0
    messages: int = 0
    refused: list[tuple[int, str]] = field(default_factory=list)


def publish(app: Celery, lines: BinaryIO, progress: Callable[[Report], None]) -> Report:
    """Send the events of these lines; `progress` is called after each message.

    Raises BackendError when the broker cannot be reached, or not be trusted.
    """
    report = Report()
    try:
        with app.producer_or_acquire() as producer:
            for events in _lists(lines, report):
                headers = {"published_at": time.time()}
                app.send_task(APPLY_EVENTS, args=[events], headers=headers, producer=producer)
                report.events += len(events)
                report.messages += 1
                progress(report)
    except OperationalError as error:
        if is_untrusted(error):
            raise BackendError(UNTRUSTED, retryable=False) from error
        raise BackendError("the broker (Redis) cannot be reached", retryable=True) from error
    return report


def _lists(lines: BinaryIO, report: Report) -> Iterator[list[object]]:
    """The events in lists, bounded by count and by the bytes of their lines."""
    events: list[object] = []
    size = 0
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            events.append(json.loads(line, parse_constant=_not_json))
        except (ValueError, RecursionError) as error:
            report.refused.append((number, _reason(error)))
            continue
        size += len(line)
        if len(events) >= LIST_COUNT or size >= LIST_BYTES:
            yield events
            events, size = [], 0
    if events:
        yield events


def _not_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _reason(error: Exception) -> str:
    """Why the line is not JSON, without a word of it."""
    match error:
        case json.JSONDecodeError():
            return f"{error.msg} at character {error.pos}"
        case UnicodeDecodeError():
            return f"not UTF-8 at byte {error.start}"
        case RecursionError():
            return "nested too deeply"
    return str(error)
