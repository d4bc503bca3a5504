"""The Celery application: queue, delivery and signals.

A message leaves the queue for good only when its events are settled (late acknowledgement); what a
lost worker had comes back after the visibility timeout.
"""

import multiprocessing
from typing import Any, Final

from celery import Celery, signals

from services.observability import configure_logging
from services.settings import RedisSettings

QUEUE: Final = "recordings"

# Set in the parent when a stop is asked for; its pool processes inherit it by fork.
stopping = multiprocessing.get_context("fork").Event()


def make_app(redis: RedisSettings) -> Celery:
    """A Celery application on this broker; the same for the worker and for `publish`."""
    app = Celery("indexer", broker=redis.redis_url, set_as_current=False)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        task_default_queue=QUEUE,
        task_ignore_result=True,
        task_acks_late=True,
        task_acks_on_failure_or_timeout=False,
        task_reject_on_worker_lost=True,
        broker_transport_options={"visibility_timeout": redis.visibility_timeout},
        broker_connection_retry_on_startup=True,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_hijack_root_logger=False,
        worker_prefetch_multiplier=128,
    )
    return app


def _our_logging(**_: Any) -> None:
    """Being connected is what keeps Celery from setting up its own."""
    configure_logging()


def _tell_the_pool(**_: Any) -> None:
    stopping.set()


signals.setup_logging.connect(_our_logging)
signals.worker_shutting_down.connect(_tell_the_pool)
