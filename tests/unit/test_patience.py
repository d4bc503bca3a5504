"""Waiting between attempts: what is tried again, how long, and what ends it."""

import time
from dataclasses import dataclass, field

import pytest

from indexer.patience import LONGEST_PAUSE, Patience
from services.errors import BackendError


@dataclass
class Clockless:
    """Waits no time at all, and remembers how long it should have."""

    requested: bool = False
    waited: list[float] = field(default_factory=list)

    def wait(self, timeout: float) -> bool:
        self.waited.append(timeout)
        return self.requested


@dataclass
class Step:
    """Fails so many times."""

    failures: int
    retryable: bool = True
    done: int = 0

    def __call__(self) -> None:
        self.done += 1
        if self.done <= self.failures:
            raise BackendError("trouble", retryable=self.retryable)


def patience(seconds: float = 3600, stopping: Clockless | None = None) -> Patience:
    return Patience(time.monotonic() + seconds, stopping or Clockless())


def test_a_step_is_done_until_it_does_not_fail() -> None:
    step = Step(failures=4)
    patience().insist(step)
    assert step.done == 5


def test_what_can_never_succeed_is_not_tried_again() -> None:
    step = Step(failures=4, retryable=False)
    with pytest.raises(BackendError, match="trouble"):
        patience().insist(step)
    assert step.done == 1


def test_pauses_grow_to_a_bound() -> None:
    stopping = Clockless()
    patience(stopping=stopping).insist(Step(failures=12))
    assert all(0.05 <= pause <= LONGEST_PAUSE for pause in stopping.waited)
    assert max(stopping.waited[:3]) <= 0.4
    assert min(stopping.waited[-3:]) >= LONGEST_PAUSE / 2


def test_nobody_waits_past_the_deadline() -> None:
    stopping = Clockless()
    with pytest.raises(BackendError, match="in time"):
        patience(seconds=0.04, stopping=stopping).insist(Step(failures=1))
    assert stopping.waited == []


def test_a_stop_ends_the_waiting() -> None:
    with pytest.raises(BackendError, match="stopping"):
        patience(stopping=Clockless(requested=True)).insist(Step(failures=1))
