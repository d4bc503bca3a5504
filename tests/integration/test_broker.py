"""Taking a message from Redis: in one step, bounded in bytes, and back after the timeout."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from celery import Celery

from indexer import celery_app
from indexer.deliveries import Deliveries
from services.settings import RedisSettings

DATABASE = 11
Take = Callable[[int], list[Any]]


@pytest.fixture
def broker_url(redis_url: str) -> str:
    return f"{redis_url.rpartition('/')[0]}/{DATABASE}"


@pytest.fixture
def broker(broker_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(broker_url) as client:
        client.flushdb()
        yield client
        client.flushdb()


@pytest.fixture
def app(broker_url: str) -> Celery:
    settings = RedisSettings(redis_url=broker_url, visibility_timeout=2)
    return celery_app.make_app(settings, prefetch_bytes=10_000)


def send(app: Celery, *texts: str) -> None:
    for text in texts:
        app.send_task("test", args=[[text]])


def taken(app: Celery, connection: Any, at_most: int) -> list[Any]:
    """Consume without acknowledging until nothing comes any more."""
    messages: list[Any] = []
    channel = connection.default_channel
    channel.basic_qos(0, at_most, apply_global=False)
    queue = app.amqp.queues[celery_app.QUEUE](channel)
    with connection.Consumer(queue, on_message=messages.append):
        try:
            while True:
                connection.drain_events(timeout=1)
        except TimeoutError:
            return messages


def test_what_is_taken_is_noted_in_the_same_step(app: Celery, broker: redis.Redis) -> None:
    send(app, "a", "b")
    with app.connection_for_read() as connection:
        messages = taken(app, connection, at_most=10)
        assert len(messages) == 2
        assert broker.llen(celery_app.QUEUE) == 0
        assert broker.hlen("unacked") == 2
        messages[0].ack()
        assert broker.hlen("unacked") == 1
        messages[1].reject(requeue=True)
        assert broker.llen(celery_app.QUEUE) == 1
        assert broker.hlen("unacked") == 0


def test_who_waits_takes_nothing(app: Celery, broker: redis.Redis) -> None:
    """The way in which a message was lost: popped for a worker that never read the answer."""
    with app.connection_for_read() as connection:
        channel = connection.default_channel
        with connection.Consumer(app.amqp.queues[celery_app.QUEUE](channel)):
            channel.client.connection = channel.client.connection_pool.get_connection()
            channel._brpop_start(timeout=30)
            send(app, "a")
            assert broker.llen(celery_app.QUEUE) == 1


def test_a_worker_killed_right_after_taking_has_noted_it(app: Celery, broker: redis.Redis) -> None:
    send(app, "a")
    with app.connection_for_read() as connection:
        channel = connection.default_channel
        channel._waited_for = celery_app.QUEUE
        assert channel._take()
        assert broker.llen(celery_app.QUEUE) == 0
        assert broker.hlen("unacked") == broker.zcard("unacked_index") == 1


def test_what_is_held_is_bounded_in_bytes(app: Celery, broker: redis.Redis) -> None:
    send(app, *["x" * 4_000] * 10)
    with app.connection_for_read() as connection:
        assert len(taken(app, connection, at_most=100)) == 3
        assert broker.llen(celery_app.QUEUE) == 7


def test_what_a_lost_worker_held_comes_back_marked(app: Celery, broker: redis.Redis) -> None:
    send(app, "a")
    lost = app.connection_for_read()
    assert len(taken(app, lost, at_most=10)) == 1
    lost.default_channel.qos._on_collect.cancel()  # it gives nothing back when we end
    with app.connection_for_read() as connection:
        messages: list[Any] = []
        while not messages:
            messages = taken(app, connection, at_most=10)
        assert messages[0].delivery_info["redelivered"] is True
        messages[0].ack()


def test_deaths_are_counted_and_forgotten(broker: redis.Redis) -> None:
    deliveries = Deliveries(broker)
    assert [deliveries.begin("m") for _ in range(3)] == [1, 2, 3]
    deliveries.end("m")
    assert deliveries.begin("m") == 1
    assert 0 < broker.ttl("recordings:begun:m") <= 24 * 3600
