"""Messages that are none of our tasks: they are put away where an operator sees them.

Celery drops what it cannot decode and what it has no task for, with a line in the log. Here such a
message becomes one dead letter, its text the event. What it says cannot be told from it, so it
is kept until it is too old, whatever is deleted meanwhile (indexer.purge).
"""

from typing import Any

from celery.worker.consumer import Consumer as CeleryConsumer
from kombu.message import Message

from indexer.broker import UNREADABLE
from indexer.gathering import Received
from indexer.settling import Settler


def consumer_with(settler: Settler) -> type[Any]:
    """The consumer of a worker, which puts away by this settler."""

    class Consumer(CeleryConsumer):  # type: ignore[misc]  # the library has no types
        def on_decode_error(self, message: Message, exc: Exception) -> None:
            _put_away(message, f"cannot be decoded: {type(exc).__name__}")

        def on_unknown_message(self, _body: object, message: Message) -> None:
            _put_away(message, "names no task")

        def on_unknown_task(self, _body: object, message: Message, _exc: Exception) -> None:
            _put_away(message, "names an unknown task")

        def on_invalid_task(self, _body: object, message: Message, _exc: Exception) -> None:
            _put_away(message, "has no arguments of a task")

    def _put_away(message: Message, reason: str) -> None:
        reason = message.headers.get(UNREADABLE, f"the message {reason}")
        settler.put_away(Received(message, [_text(message.body)]), reason)

    return Consumer


def _text(body: object) -> str:
    return body.decode(errors="replace") if isinstance(body, bytes) else str(body)
