"""What a worker measures of the way in. No ids and no words: types and outcomes only."""

import time
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

_LAGS: Final = (0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600, 6 * 3600, 24 * 3600)

EVENTS: Final = Counter(
    "recordings_indexer_events",
    "Events by type and outcome: done, superseded or dead",
    ["type", "outcome"],
)
RETRIES: Final = Counter(
    "recordings_indexer_retries",
    "Documents tried again: after a conflict, trouble of Elasticsearch, a refusal, or split",
    ["reason"],
)
BATCH: Final = Histogram(
    "recordings_indexer_batch_events",
    "Events applied together",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000),
)
BATCH_SECONDS: Final = Histogram(
    "recordings_indexer_batch_seconds", "Time to settle the events of a batch, in seconds"
)
GIVEN_BACK: Final = Counter(
    "recordings_indexer_given_back_events", "Events given back to the queue unsettled"
)
LAG: Final = Histogram(
    "recordings_indexer_lag_seconds",
    "From an event's occurredAt to its being written, in seconds; found one refresh later",
    buckets=_LAGS,
)
PUBLISHED_LAG: Final = Histogram(
    "recordings_indexer_published_lag_seconds",
    "From a message's publication to its being settled, in seconds; found one refresh later",
    buckets=_LAGS,
)
QUEUE: Final = Gauge("recordings_indexer_queue_messages", "Messages waiting in the queue")
STOPPED: Final = Gauge(
    "recordings_indexer_budget_spent", "1 when the worker stopped because most events failed"
)


def written(kind: str, occurred_at: int) -> None:
    """An event of this type is in the index; `occurred_at` in milliseconds since 1970."""
    EVENTS.labels(kind, "done").inc()
    LAG.observe(max(0.0, time.time() - occurred_at / 1000))
