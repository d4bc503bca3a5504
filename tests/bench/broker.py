"""One database of Redis with a queue in it, filled before the clock starts.

Messages are published once, in the ordinary way, and put aside. For a round a copy of them is
renamed to the queue: one command, after which all of them are there at once for workers that
wait already. So neither publishing nor the start of a worker is measured.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import redis
from celery import Celery

from indexer.celery_app import QUEUE, make_app
from services.settings import RedisSettings
from tests.bench.errors import BenchError

PREPARED: Final = "bench:prepared"
STAGED: Final = "bench:staged"
TAKEN: Final = "bench:taken"
UNACKNOWLEDGED: Final = "unacked"  # kombu's name
DATABASES: Final = 16  # as Redis is configured by default


class Queue:
    """The queue of one side of a comparison."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.client = redis.Redis.from_url(url)
        self.app: Celery = make_app(RedisSettings(redis_url=url))

    def unused(self) -> bool:
        """Whether the database holds nothing."""
        return self.client.dbsize() == 0

    def prepare(self, publish: Callable[[Celery], None]) -> None:
        """Publish and put the messages aside."""
        publish(self.app)
        self.client.rename(QUEUE, PREPARED)

    def stage(self) -> None:
        """Make the copy that a round uses up."""
        self.client.copy(PREPARED, STAGED, replace=True)

    def release(self) -> None:
        """Put the copy into the queue."""
        self.client.rename(STAGED, QUEUE)

    def waiting(self) -> int:
        """The messages that no worker has taken."""
        return self.client.llen(QUEUE)

    def empty(self) -> bool:
        """Whether every message is done: none waits, and no worker holds one."""
        with self.client.pipeline(transaction=True) as pipe:
            pipe.llen(QUEUE)
            pipe.hlen(UNACKNOWLEDGED)
            waiting, held = pipe.execute()
        return not waiting and not held

    def listeners(self) -> int:
        """How many clients block on this database: the workers that wait for messages."""
        database = str(self.client.get_connection_kwargs()["db"])
        clients = self.client.client_list()
        return sum(one["db"] == database and "b" in one["flags"] for one in clients)


@contextmanager
def unused_queue(redis_url: str) -> Iterator[Queue]:
    """A queue in the first database that is empty; emptied again at the end."""
    queue = next((found for found in map(Queue, _databases(redis_url)) if found.unused()), None)
    if queue is None:
        raise BenchError("Redis has no empty database to work in")
    queue.client.set(TAKEN, 1)
    try:
        yield queue
    finally:
        queue.client.flushdb()
        queue.app.close()
        queue.client.close()


def _databases(redis_url: str) -> Iterator[str]:
    address = urlsplit(redis_url)
    for number in range(1, DATABASES):
        yield urlunsplit(address._replace(path=f"/{number}"))
