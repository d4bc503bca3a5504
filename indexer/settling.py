"""What becomes of messages: acknowledged when every event in them is settled, else given back.

    messages ─┬─ fresh ──▶ lots ──▶ two lanes ──▶ sink ──▶ acknowledged
              │                                    └─ trouble ──▶ given back, and all that is left
              └─ came back (a worker was lost) ──▶ one by one, counted

A message that comes back is applied by itself, so that one that takes its worker down is found, and
takes no other along. All of it ends in a bounded time: a message is tried no longer than its
deadline, and nothing is begun after the first deadline, so twice the deadline and one request.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

import structlog

from indexer import broker, metrics
from indexer.budget import BudgetSpentError
from indexer.celery_app import StopFlag
from indexer.deliveries import DEATHS_ALLOWED, Deliveries
from indexer.gathering import Received
from indexer.sink import Sink
from services import traces
from services.errors import BackendError

# While one lot waits for Elasticsearch, another is validated and merged.
LANES: Final = 2
# After messages were given back, so that they do not come round in a tight circle.
PAUSE_SECONDS: Final = 1.0

log = structlog.get_logger("indexer")


@dataclass
class Settler:
    """Settles messages. `lot_events` is how many events are applied together.

    `budget_exit_status` is the worker's, when most events fail for good.
    """

    sink: Sink
    deliveries: Deliveries
    stopping: StopFlag
    lot_events: int
    budget_exit_status: int
    _lanes: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(LANES))

    def settle(self, messages: list[Received]) -> None:
        """Acknowledge each of these messages or give it back."""
        attempt = _Attempt(time.monotonic() + self.sink.deadline, self.stopping)
        lots = list(_lots((one for one in messages if not one.came_back), self.lot_events))
        done = self._lanes.map(lambda lot: attempt.make(lambda: self._apply(lot)), lots)
        self._answer(zip(lots, done, strict=True))
        for one in (one for one in messages if one.came_back):
            done_again = attempt.make(lambda one=one: self._apply_again(one))  # type: ignore[misc]
            self._answer([([one], done_again)])
        if attempt.failure:
            self._after(attempt.failure)

    def put_away(self, received: Received, reason: str) -> None:
        """Put what this message holds into the dead letters, and acknowledge it."""
        attempt = _Attempt(time.monotonic() + self.sink.deadline, self.stopping)
        done = attempt.make(lambda: self.sink.bury(received.events, reason))
        self._answer([([received], done)])
        if attempt.failure:
            self._after(attempt.failure)

    def _apply(self, lot: list[Received]) -> None:
        events = [event for one in lot for event in one.events]
        traceparents = (one.traceparent for one in lot)
        with metrics.BATCH_SECONDS.time(), traces.batch(traceparents, len(events)):
            outcomes = self.sink.apply(events)
        metrics.BATCH.observe(len(events))
        log.info("events_applied", **outcomes)

    def _apply_again(self, one: Received) -> None:
        lost = self.deliveries.begin(one.id)
        try:
            if lost < DEATHS_ALLOWED:
                self._apply([one])
            else:
                self.sink.bury(one.events, f"took its worker down {lost} times")
                log.error("message_buried", count=len(one.events))
        finally:
            self.deliveries.end(one.id)

    def _answer(self, settled: Iterable[tuple[list[Received], bool]]) -> None:
        done: list[Received] = []
        back: list[Received] = []
        for lot, is_done in settled:
            (done if is_done else back).extend(lot)
        broker.acknowledge([one.message for one in done])
        broker.give_back([one.message for one in back])
        metrics.GIVEN_BACK.inc(sum(len(one.events) for one in back))
        for one in done:
            _observe_lag(one.published_at)

    def _after(self, failure: BackendError) -> None:
        if isinstance(failure, BudgetSpentError):
            metrics.STOPPED.set(1)
            log.critical("budget_spent", reason=str(failure))
            self.stopping.stop(self.budget_exit_status)
            return
        log.warning("messages_given_back", reason=str(failure))
        self.stopping.wait(PAUSE_SECONDS)


@dataclass
class _Attempt:
    """One attempt of a batch: after the first failure, or at the end, nothing more is begun."""

    end: float
    stopping: StopFlag
    failure: BackendError | None = None

    def make(self, step: Callable[[], object]) -> bool:
        """Do one step; whether it is done."""
        if self.failure or self.stopping.requested or time.monotonic() > self.end:
            return False
        try:
            step()
        except BackendError as error:
            self.failure = self.failure or error
            return False
        return True


def _lots(messages: Iterable[Received], most: int) -> Iterator[list[Received]]:
    """The messages in lots of about so many events; a message is never divided."""
    lot: list[Received] = []
    count = 0
    for one in messages:
        if lot and count + len(one.events) > most:
            yield lot
            lot, count = [], 0
        lot.append(one)
        count += len(one.events)
    if lot:
        yield lot


def _observe_lag(published_at: object) -> None:
    if isinstance(published_at, int | float):
        metrics.PUBLISHED_LAG.observe(max(0.0, time.time() - published_at))
