"""One bulk request: what goes into it, and what Elasticsearch says of each item."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final, Generic, TypeVar

from services.es_client import RETRYABLE_STATUS

CREATED_OR_DONE: Final = 300
CONFLICT: Final = 409
# What a verdict needs of an answer.
ANSWER: Final = ("errors", "items.*.status", "items.*.error.type")
NOT_ALLOWED: Final = frozenset({401, 403})
NO_RIGHT: Final = "security_exception"
NO_INDEX: Final = "index_not_found_exception"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Operation(Generic[T]):
    """One document to write: its two lines as they are sent, and whom it belongs to."""

    owner: T
    action: bytes
    source: bytes

    @property
    def size(self) -> int:
        """In bytes, with the line ends."""
        return len(self.action) + len(self.source) + 2


class Verdict(Enum):
    """What becomes of an item: it is done, must be merged again, tried later, or is refused."""

    DONE = auto()
    CONFLICT = auto()
    LATER = auto()
    REFUSED = auto()


def verdict(item: Mapping[str, Any]) -> tuple[Verdict, str]:
    """The verdict on one item of a bulk answer, and the type of its error ("" without one)."""
    (answered,) = item.values()
    status, error = answered["status"], answered.get("error", {}).get("type", "")
    if status < CREATED_OR_DONE:
        return Verdict.DONE, error
    if status == CONFLICT:
        return Verdict.CONFLICT, error
    # An index that is missing, and a right that our key lacks, can come back; an event that is put
    # away does not.
    if status in RETRYABLE_STATUS | NOT_ALLOWED or error == NO_INDEX:
        return Verdict.LATER, error
    return Verdict.REFUSED, error


def chunks(
    operations: Iterable[Operation[T]], count: int, size: int
) -> Iterator[list[Operation[T]]]:
    """At most so many operations and so many bytes at once; one alone always goes."""
    chunk: list[Operation[T]] = []
    held = 0
    for operation in operations:
        if chunk and (len(chunk) >= count or held + operation.size > size):
            yield chunk
            chunk, held = [], 0
        chunk.append(operation)
        held += operation.size
    if chunk:
        yield chunk
