"""What the product holds now, from one of three places, as states to be merged.

    live index (point in time, sliced) ─┐
    file of events (NDJSON, .gz) ───────┼──▶ pages of states, each with the position after it
    HTTP address (pages of events) ─────┘

A source is read in parts that know nothing of each other. A page says where to go on after it, so
that reading can be resumed; positions are JSON values that only their source understands.
"""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from indexer.reducer import State


class SourceError(Exception):
    """The source cannot be read, or contradicts itself; the text is for the operator."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a source holds of one recording or group; `written_at` where the live index said it."""

    state: State
    written_at: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Some of what a source holds.

    `read` makes the states, in the thread that needs them; it may raise SourceError. `position` is
    where to go on after this page, `amount` how far it gets, in the unit of the source's total.
    """

    read: Callable[[], list[Found]]
    position: Any
    amount: int


class Source(Protocol):
    """`total` is how much there is in all, None where that is not known.

    `as_of` (milliseconds since 1970): what the live index got later than that may be newer than
    the source and is no contradiction to it; None: the source is newer than all of it.
    """

    @property
    def total(self) -> int | None: ...

    @property
    def as_of(self) -> int | None: ...

    def beginning(self) -> Mapping[str, Any]:
        """The positions of all parts before anything is read. Raises BackendError."""
        ...

    def parts(self, positions: Mapping[str, Any]) -> Mapping[str, Generator[Page]]:
        """The parts by name, each from its position on. Raises SourceError; BackendError."""
        ...

    def rest(self, positions: Mapping[str, Any]) -> Generator[Page]:
        """What is to be read when all parts are; always whole. Raises BackendError."""
        ...
