"""The Celery application: queue, delivery and signals.

A message leaves the queue for good only when its events are settled (late acknowledgement); what a
lost worker had comes back after the visibility timeout. A worker is one process without a pool:
more workers are more processes, and a stop has nobody to wait for but the task at hand.
"""

import json
import time
from typing import Any, Final

import orjson
from celery import Celery, signals
from celery.worker import state as worker_state
from kombu.serialization import register
from kombu.utils.json import dumps

from indexer import broker
from services.observability import configure_logging
from services.settings import RedisSettings, WorkerSettings

QUEUE: Final = "recordings"


class StopFlag:
    """Says that the worker is to stop, and with which exit status.

    A flag and short sleeps, because it is set by a signal handler in the same thread that waits:
    a lock could be held right then.
    """

    requested = False
    exit_status = 0

    def stop(self, exit_status: int) -> None:
        """Let the worker end before it takes another message."""
        self.requested = True
        self.exit_status = exit_status
        worker_state.should_stop = exit_status

    def wait(self, timeout: float) -> bool:
        """Wait so many seconds, less when a stop is asked for; returns whether it is."""
        end = time.monotonic() + timeout
        while not self.requested and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 0.1))
        return self.requested


stopping: Final = StopFlag()


def make_app(redis: RedisSettings, worker: WorkerSettings | None = None) -> Celery:
    """A Celery application on this broker; the same for a worker and for who only publishes."""
    broker.install()
    register("json", dumps, _read_json, "application/json", "utf-8")
    app = Celery("indexer", broker=redis.broker_url, set_as_current=False)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        task_default_queue=QUEUE,
        task_ignore_result=True,
        broker_transport_options={
            "visibility_timeout": redis.visibility_timeout,
            # Look for lost messages often; the library's own pace is every 100 seconds, and it
            # waits 300 more when a worker was lost in the middle of looking.
            "unacked_restore_interval": min(10, redis.visibility_timeout / 2),
            "unacked_restore_throttle": 1,
            "unacked_mutex_expire": 10,
            "queue": QUEUE,
        },
        broker_connection_retry_on_startup=True,
        worker_hijack_root_logger=False,
    )
    if worker:
        app.conf.worker_prefetch_multiplier = worker.prefetch_count
        app.conf.broker_transport_options |= {
            "prefetch_bytes": worker.prefetch_bytes,
            "max_message_bytes": worker.max_message_bytes,
        }
    return app


def _read_json(text: str | bytes) -> Any:
    """JSON as it stands: the library's own reading makes objects of some names in it."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:  # also for large numbers and for halves of surrogate pairs
        return json.loads(text)


def _our_logging(**_: Any) -> None:
    """Being connected is what keeps Celery from setting up its own."""
    configure_logging()


def _remember_the_stop(**_: Any) -> None:
    stopping.requested = True


signals.setup_logging.connect(_our_logging)
signals.worker_shutting_down.connect(_remember_the_stop)
