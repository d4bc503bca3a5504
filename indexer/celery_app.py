"""The Celery application: queue, delivery and signals.

A message leaves the queue for good only when its events are settled (late acknowledgement); what a
lost worker had comes back after the visibility timeout. A worker is one process without a pool:
more workers are more processes, and a stop has nobody to wait for but the task at hand.
"""

import time
from typing import Any, Final

from celery import Celery, signals

from indexer import broker
from services.observability import configure_logging
from services.settings import RedisSettings

QUEUE: Final = "recordings"


class StopFlag:
    """Says that the worker is to stop, and with which exit status.

    A flag and short sleeps, because it is set by a signal handler in the same thread that waits:
    a lock could be held right then.
    """

    requested = False
    exit_status = 0

    def wait(self, timeout: float) -> bool:
        """Wait so many seconds, less when a stop is asked for; returns whether it is."""
        end = time.monotonic() + timeout
        while not self.requested and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, 0.1))
        return self.requested


stopping: Final = StopFlag()


def make_app(redis: RedisSettings, prefetch_bytes: int = 0) -> Celery:
    """A Celery application on this broker; the same for the worker and for `publish`.

    A worker holds `prefetch_bytes` of messages, beyond the first; who only publishes holds none.
    """
    broker.install()
    app = Celery("indexer", broker=redis.redis_url, set_as_current=False)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        task_default_queue=QUEUE,
        task_ignore_result=True,
        task_acks_late=True,
        task_acks_on_failure_or_timeout=False,
        broker_transport_options={
            "visibility_timeout": redis.visibility_timeout,
            # Look for lost messages often; the library's own pace is every 100 seconds, and it
            # waits 300 more when a worker was lost in the middle of looking.
            "unacked_restore_interval": min(10, redis.visibility_timeout / 2),
            "unacked_restore_throttle": 1,
            "unacked_mutex_expire": 10,
            "priority_steps": [0],
            "prefetch_bytes": prefetch_bytes,
        },
        broker_connection_retry_on_startup=True,
        worker_hijack_root_logger=False,
        worker_prefetch_multiplier=128,
    )
    return app


def _our_logging(**_: Any) -> None:
    """Being connected is what keeps Celery from setting up its own."""
    configure_logging()


def _remember_the_stop(**_: Any) -> None:
    stopping.requested = True


signals.setup_logging.connect(_our_logging)
signals.worker_shutting_down.connect(_remember_the_stop)
