"""The error budget: when most events fail for good, something else is wrong than the events.

A new release of the product that sends another form, or a mapping that does not fit: then taking
more events off the queue would only move the queue into the dead letters.
"""

from collections import deque
from threading import Lock
from typing import Final

from services.errors import BackendError

WINDOW: Final = 20
LEAST_EVENTS: Final = 500
SHARE: Final = 0.5


class BudgetSpentError(BackendError):
    """Most of the last events failed for good: the worker is to stop."""

    def __init__(self, dead: int, events: int) -> None:
        super().__init__(f"{dead} of the last {events} events failed for good", retryable=False)


class Budget:
    """Remembers the last `WINDOW` batches, of all threads."""

    def __init__(self) -> None:
        self._batches: deque[tuple[int, int]] = deque(maxlen=WINDOW)
        self._lock = Lock()

    def spend(self, dead: int, events: int) -> None:
        """Count a batch. Raises BudgetSpentError when more than `SHARE` of the window is dead."""
        with self._lock:
            self._batches.append((dead, events))
            dead_in_all, in_all = (sum(column) for column in zip(*self._batches, strict=True))
        if in_all >= LEAST_EVENTS and dead_in_all > SHARE * in_all:
            raise BudgetSpentError(dead_in_all, in_all)
