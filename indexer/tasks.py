"""The tasks on the queue: thin, everything happens in the sink.

`indexer.apply_events` takes a list of events; `indexer.apply_event` takes one, and many such
messages are gathered into one bulk request. A message whose events could not be settled goes back
to the queue.
"""

from collections.abc import Collection
from functools import cache
from typing import Any, Final

import structlog
from celery import Celery
from celery.exceptions import Reject
from celery_batches import Batches, SimpleRequest
from celery_batches.trace import apply_batches_task

from indexer.celery_app import stopping
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
        deadline=deadline,
    )


def _settle(events: list[object]) -> bool:
    """Apply the events; False when they must come back later."""
    try:
        outcomes = process_sink().apply(events)
    except BackendError as error:
        log.warning("events_given_back", count=len(events), reason=str(error))
        stopping.wait(PAUSE_SECONDS)
        return False
    log.info("events_applied", **outcomes)
    return True


class Gathered(Batches):  # type: ignore[misc]  # the library has no types
    """Batches that acknowledge only what was settled.

    The library acknowledges whatever the outcome; here a batch that failed goes back to the queue.
    """

    flush_every = GATHER_COUNT
    flush_interval = GATHER_SECONDS

    def flush(self, requests: Collection[Any]) -> Any:
        def settle(applied: object) -> None:
            for request in requests:
                if applied is True:
                    request.acknowledge()
                else:
                    request.reject(requeue=True)

        gathered = [SimpleRequest.from_request(request) for request in requests]
        return self._pool.apply_async(
            apply_batches_task, (self, (gathered,), 0, None), callback=settle
        )


def apply_events(*lists: object, **named: object) -> None:
    """One message with a list of events. What is no list is taken for an event, and judged so."""
    given = (*lists, *named.values())
    if not _settle([event for one in given for event in (one if isinstance(one, list) else [one])]):
        raise Reject("not settled", requeue=True)


def apply_event(requests: list[SimpleRequest]) -> bool:
    """Many messages with one event each."""
    return _settle([event for r in requests for event in (*r.args, *r.kwargs.values())])


def register(app: Celery) -> None:
    """Add both tasks to the application."""
    app.task(name=APPLY_EVENTS)(apply_events)
    app.task(name=APPLY_EVENT, base=Gathered)(apply_event)
