"""Messages that came together, as one batch: many messages, few bulk requests.

    broker ── take ──▶ receive, receive, ... ──▶ flush ──▶ settle (indexer.settling)

What one take brought is applied at once, so nothing waits for a timer: while a batch is applied
the queue grows, and the next take brings more. It is the strategy of our Celery tasks; the usual
one makes an attempt of its own of each message. A message's countdown and expiry are not looked
at: events are welcome in any order, and none may be missed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from celery import Celery, Task
from celery.exceptions import InvalidTaskError
from kombu.message import Message

EventsOf = Callable[[list[object]], list[object]]


@dataclass(frozen=True, slots=True)
class Received:
    """A message and the events in it."""

    message: Message
    events: list[object]

    @property
    def id(self) -> str:
        return str(self.message.headers.get("id", self.message.delivery_tag))

    @property
    def came_back(self) -> bool:
        """Whether a worker was lost with it."""
        return bool(self.message.delivery_info.get("redelivered"))

    @property
    def published_at(self) -> object:
        """A header, seconds since 1970; the product may leave it out."""
        return self.message.headers.get("published_at")

    @property
    def traceparent(self) -> object:
        """A header, as W3C's Trace Context has it; the product may leave it out."""
        return self.message.headers.get("traceparent")


@dataclass
class Gathering:
    """What came and is not applied yet."""

    settle: Callable[[list[Received]], None]
    messages: list[Received] = field(default_factory=list)

    def add(self, received: Received, call_soon: Callable[[Callable[[], None]], object]) -> None:
        if not self.messages:
            call_soon(self.flush)
        self.messages.append(received)

    def flush(self) -> None:
        messages, self.messages = self.messages, []
        if messages:
            self.settle(messages)

    def begin_anew(self) -> None:
        """With every connection: what the last one brought comes back by itself."""
        self.messages = []


class Gathered(Task):  # type: ignore[misc]  # the library has no types
    """A task whose messages go to a gathering, which several tasks may share.

    `events_of` makes events of the arguments of a message.
    """

    typing = False

    def __init__(self, name: str, events_of: EventsOf, gathering: Gathering) -> None:
        self.name = name
        self.events_of = events_of
        self.gathering = gathering

    def start_strategy(self, app: Celery, consumer: Any, **_: Any) -> Callable[..., None]:  # noqa: ARG002 (the library's form)
        self.gathering.begin_anew()

        def receive(message: Message, *_: object, **__: object) -> None:
            received = Received(message, self.events_of(arguments_of(message)))
            self.gathering.add(received, consumer.call_soon)

        return receive


def arguments_of(message: Message) -> list[object]:
    """All arguments in the message, in either protocol of Celery. Raises InvalidTaskError."""
    match message.payload:
        case [list() as args, dict() as named, *_]:
            return [*args, *named.values()]
        case Mapping() as body:
            args, named = body.get("args") or [], body.get("kwargs") or {}
            if isinstance(args, list) and isinstance(named, dict):
                return [*args, *named.values()]
    raise InvalidTaskError("no arguments")
