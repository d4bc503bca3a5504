"""The tasks on the queue: thin, everything happens in the sink.

`indexer.apply_events` takes a list of events; `indexer.apply_event` takes one, and many such
messages are gathered into one bulk request. A message whose events could not be settled goes back
to the queue. One that comes back is applied by itself and counted, so that a message that takes
its worker down is found, and takes no other along.
"""

import time
from collections.abc import Collection
from functools import cache
from queue import Queue
from typing import Any, Final

import redis
import structlog
from celery import Celery, Task
from celery.exceptions import Reject
from celery.worker import state as worker_state
from celery_batches import Batches, SimpleRequest
from celery_batches.trace import apply_batches_task

from indexer import metrics
from indexer.budget import BudgetSpentError
from indexer.celery_app import stopping
from indexer.deliveries import DEATHS_ALLOWED, Deliveries
from indexer.sink import Sink
from services.errors import BackendError
from services.es_client import TIMEOUT_SECONDS, connect
from services.indices import IndexNames
from services.settings import (
    ElasticsearchSettings,
    IndexSettings,
    PhoneSettings,
    RedisSettings,
    WorkerSettings,
    load,
)

APPLY_EVENTS: Final = "indexer.apply_events"
APPLY_EVENT: Final = "indexer.apply_event"
GATHER_COUNT: Final = 128
GATHER_SECONDS: Final = 0.2
# Before a message is given back, so that it does not come round in a tight circle.
PAUSE_SECONDS: Final = 1.0

log = structlog.get_logger("indexer")


@cache
def process_sink() -> Sink:
    """The one sink of this process."""
    worker, deadline = load(WorkerSettings), load(RedisSettings).deadline
    return Sink(
        client=connect(load(ElasticsearchSettings), min(deadline, TIMEOUT_SECONDS)),
        names=IndexNames(load(IndexSettings).prefix),
        region_of=load(PhoneSettings).region_of,
        stopping=stopping,
        bulk_count=worker.bulk_count,
        bulk_bytes=worker.bulk_bytes,
        max_document_bytes=worker.max_document_bytes,
        deadline=deadline,
    )


@cache
def process_deliveries() -> Deliveries:
    """The one counter of redeliveries of this process."""
    return Deliveries(redis.Redis.from_url(load(RedisSettings).redis_url))


def _settle(events: list[object]) -> bool:
    """Apply the events; False when they must come back later."""
    try:
        with metrics.BATCH_SECONDS.time():
            outcomes = process_sink().apply(events)
    except BackendError as error:
        _give_back(len(events), error)
        return False
    metrics.BATCH.observe(len(events))
    log.info("events_applied", **outcomes)
    return True


def _give_back(count: int, error: BackendError) -> None:
    metrics.GIVEN_BACK.inc(count)
    if isinstance(error, BudgetSpentError):
        metrics.STOPPED.set(1)
        log.critical("budget_spent", reason=str(error))
        stopping.exit_status = load(WorkerSettings).budget_exit_status
        worker_state.should_stop = stopping.exit_status
        return
    log.warning("events_given_back", count=count, reason=str(error))
    stopping.wait(PAUSE_SECONDS)


def _settle_again(message_id: str, events: list[object]) -> bool:
    """Apply a message that came back, unless it took its worker down too often."""
    deliveries = process_deliveries()
    try:
        lost = deliveries.begin(message_id)
        if lost >= DEATHS_ALLOWED:
            process_sink().bury(events, f"took its worker down {lost} times")
            log.error("message_buried", count=len(events))
            settled = True
        else:
            settled = _settle(events)
        deliveries.end(message_id)
    except BackendError as error:
        _give_back(len(events), error)
        return False
    return settled


def _observe_lag(published_at: object) -> None:
    """`published_at` is a header, seconds since 1970; the product may leave it out."""
    if isinstance(published_at, int | float):
        metrics.PUBLISHED_LAG.observe(max(0.0, time.time() - published_at))


class Gathered(Batches):  # type: ignore[misc]  # the library has no types
    """Batches that acknowledge only what was settled.

    The library acknowledges whatever the outcome; here a batch that failed goes back to the queue.
    """

    flush_every = GATHER_COUNT
    flush_interval = GATHER_SECONDS
    _tref: Any

    def Strategy(self, *args: Any) -> Any:  # noqa: N802 (the library's name)
        """Begin anew with every connection: what the last one held comes back by itself."""
        self._buffer: Queue[Any] = Queue()
        self._pending: Queue[Any] = Queue()
        if self._tref:
            self._tref.cancel()
            self._tref = None
        return super().Strategy(*args)

    def flush(self, requests: Collection[Any]) -> None:
        fresh = [request for request in requests if not _came_back(request.delivery_info)]
        again = [[request] for request in requests if _came_back(request.delivery_info)]
        for group in ([fresh] if fresh else []) + again:
            self._apply_together(group)

    def _apply_together(self, requests: list[Any]) -> None:
        def settle(applied: object) -> None:
            for request in requests:
                if applied is True:
                    request.acknowledge()
                else:
                    request.reject(requeue=True)

        gathered = [SimpleRequest.from_request(request) for request in requests]
        self._pool.apply_async(apply_batches_task, (self, (gathered,), 0, None), callback=settle)


def _came_back(delivery_info: dict[str, Any]) -> bool:
    return bool(delivery_info.get("redelivered"))


def apply_events(task: Task, *lists: object, **named: object) -> None:
    """One message with a list of events. What is no list is taken for an event, and judged so."""
    given = (*lists, *named.values())
    events = [event for one in given for event in (one if isinstance(one, list) else [one])]
    if _came_back(task.request.delivery_info or {}):
        settled = _settle_again(task.request.id, events)
    else:
        settled = _settle(events)
    if not settled:
        raise Reject("not settled", requeue=True)
    _observe_lag(task.request.get("published_at"))


def apply_event(requests: list[SimpleRequest]) -> bool:
    """Many messages with one event each; one that came back is alone."""
    events = [event for r in requests for event in (*r.args, *r.kwargs.values())]
    if _came_back(requests[0].delivery_info):
        settled = _settle_again(requests[0].id, events)
    else:
        settled = _settle(events)
    if settled:
        for request in requests:
            _observe_lag((request.request_dict or {}).get("published_at"))
    return settled


def register(app: Celery) -> None:
    """Add both tasks to the application."""
    app.task(name=APPLY_EVENTS, bind=True, typing=False)(apply_events)
    app.task(name=APPLY_EVENT, base=Gathered)(apply_event)
