"""Waiting between attempts: jittered backoff, until a deadline or a stop."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from services.errors import BackendError

FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0

T = TypeVar("T")


class Stopping(Protocol):
    """What can be waited on (seconds) and says whether the worker is to stop."""

    def wait(self, timeout: float) -> bool: ...


@dataclass(slots=True)
class Patience:
    """How long one batch may still wait; `end` as of time.monotonic."""

    end: float
    stopping: Stopping
    pause: float = FIRST_PAUSE

    def wait(self) -> None:
        """Wait, each time longer. Raises BackendError when there is no time left to."""
        pause = random.uniform(self.pause / 2, self.pause)  # noqa: S311 (jitter, not a secret)
        self.pause = min(self.pause * 2, LONGEST_PAUSE)
        if time.monotonic() + pause > self.end:
            raise BackendError("Elasticsearch did not take the events in time", retryable=True)
        if self.stopping.wait(pause):
            raise BackendError("the worker is stopping", retryable=True)

    def insist(self, step: Callable[[], T]) -> T:
        """Do this step until it does not fail; returns what it returns.

        Raises BackendError, too when trying is no use.
        """
        while True:
            try:
                return step()
            except BackendError as error:
                if not error.retryable:
                    raise
            self.wait()
