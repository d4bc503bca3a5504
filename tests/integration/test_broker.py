"""Messages from and to Redis: taken in one step, bounded, and never lost."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from celery import Celery

from indexer import celery_app, health
from indexer.broker import UNREADABLE, acknowledge, give_back
from indexer.deliveries import Deliveries
from services.settings import RedisSettings, WorkerSettings

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


def make_app(broker_url: str, visibility_timeout: int) -> Celery:
    settings = RedisSettings(redis_url=broker_url, visibility_timeout=visibility_timeout)
    worker = WorkerSettings(prefetch_bytes=10_000, max_message_bytes=20_000)
    return celery_app.make_app(settings, worker)


@pytest.fixture
def app(broker_url: str) -> Celery:
    return make_app(broker_url, visibility_timeout=60)


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
        channel.basic_qos(0, 10, apply_global=False)
        assert channel._take()
        assert broker.llen(celery_app.QUEUE) == 0
        assert broker.hlen("unacked") == broker.zcard("unacked_index") == 1


def test_what_is_held_is_bounded_in_bytes(app: Celery, broker: redis.Redis) -> None:
    send(app, *["x" * 4_000] * 10)
    with app.connection_for_read() as connection:
        assert len(taken(app, connection, at_most=100)) == 2
        assert broker.llen(celery_app.QUEUE) == 8


def test_what_is_held_is_bounded_in_number(app: Celery, broker: redis.Redis) -> None:
    send(app, *"abcde")
    with app.connection_for_read() as connection:
        messages = taken(app, connection, at_most=3)
        assert len(messages) == 3
        acknowledge(messages[:2])
        assert broker.hlen("unacked") == 1
        assert len(taken(app, connection, at_most=3)) == 2
        assert broker.llen(celery_app.QUEUE) == 0


def test_priorities(app: Celery, broker: redis.Redis) -> None:
    """They order what waits; no message is left because of one."""
    for priority in (9, 5, 0, 1):
        app.send_task("test", args=[[str(priority)]], priority=priority)
    assert health._length(broker, celery_app.QUEUE) == 4
    with app.connection_for_read() as connection:
        messages = taken(app, connection, at_most=10)
        assert [message.payload[0] for message in messages] == [[["0"]], [["1"]], [["5"]], [["9"]]]
        give_back(messages)
        assert broker.hlen("unacked") == 0
        assert len(taken(app, connection, at_most=10)) == 4


def test_a_message_of_the_last_priority_alone(app: Celery, broker: redis.Redis) -> None:
    app.send_task("test", args=[["a"]], priority=9)
    messages: list[Any] = []
    with app.connection_for_read() as connection:
        channel = connection.default_channel
        queue = app.amqp.queues[celery_app.QUEUE](channel)
        with connection.Consumer(queue, on_message=messages.append):
            channel.client.connection = channel.client.connection_pool.get_connection()
            channel._brpop_start(timeout=0.1)  # waits for the first list only
            channel._brpop_read()
            assert len(messages) == broker.hlen("unacked") == 1


def test_what_is_given_back_is_as_it_was_and_behind_the_others(
    app: Celery, broker: redis.Redis
) -> None:
    send(app, "a", "b", "c")
    before = broker.lrange(celery_app.QUEUE, 0, -1)
    with app.connection_for_read() as connection:
        give_back(taken(app, connection, at_most=1))
        assert broker.lrange(celery_app.QUEUE, 0, -1) == [before[-1], *before[:-1]]
        assert broker.hlen("unacked") == broker.zcard("unacked_index") == 0


def test_what_an_ended_worker_holds_is_given_back_unmarked(
    app: Celery, broker: redis.Redis
) -> None:
    send(app, "a", "b")
    before = broker.lrange(celery_app.QUEUE, 0, -1)
    with app.connection_for_read() as connection:
        assert len(taken(app, connection, at_most=10)) == 2
    assert sorted(broker.lrange(celery_app.QUEUE, 0, -1)) == sorted(before)
    assert broker.hlen("unacked") == broker.zcard("unacked_index") == 0


STRANGE = {
    "no JSON": b"{",
    "bytes": b"\xff\x00",
    "a number": b"5",
    "no properties": b"{}",
    "headers of another kind": b'{"headers": [], "properties": {"delivery_info": {}}}',
    "a tag, but no JSON": b'{"delivery_tag": "t", ',
    "a tag at another place": b'{"headers": {}, "delivery_tag": "t", "properties": {}}',
}


@pytest.mark.parametrize("raw", STRANGE.values(), ids=STRANGE)
def test_what_is_no_message_is_handed_over_as_text(
    app: Celery, broker: redis.Redis, raw: bytes
) -> None:
    broker.lpush(celery_app.QUEUE, raw)
    send(app, "good")
    with app.connection_for_read() as connection:
        strange, good = taken(app, connection, at_most=10)
        assert strange.body == raw.decode(errors="replace").encode()
        assert strange.headers == {UNREADABLE: "not a message of Celery"}
        acknowledge([strange, good])
    assert broker.llen(celery_app.QUEUE) == broker.hlen("unacked") == 0


@pytest.mark.parametrize("raw", STRANGE.values(), ids=STRANGE)
def test_what_is_no_message_comes_back_too(app: Celery, broker: redis.Redis, raw: bytes) -> None:
    broker.lpush(celery_app.QUEUE, raw)
    with app.connection_for_read() as connection:
        (message,) = taken(app, connection, at_most=10)
        connection.default_channel.qos.restore_by_tag(message.delivery_tag)
        assert broker.lrange(celery_app.QUEUE, 0, -1) == [raw]


def test_a_message_that_is_too_large_is_not_read(app: Celery, broker: redis.Redis) -> None:
    send(app, "x" * 30_000, "good")
    with app.connection_for_read() as connection:
        (large,) = taken(app, connection, at_most=1)
        assert large.body == f"message {large.delivery_tag}, not read".encode()
        assert "more than 20000" in large.headers[UNREADABLE]
        large.ack()
        assert len(taken(app, connection, at_most=10)) == 1


def test_an_encoding_that_is_a_lie_stops_nobody(app: Celery, broker: redis.Redis) -> None:
    properties = {"delivery_tag": "t", "body_encoding": "base64", "delivery_info": {}}
    raw = {"body": "abcde", "headers": {"task": "test"}, "properties": properties}
    broker.lpush(celery_app.QUEUE, json.dumps(raw))
    with app.connection_for_read() as connection:
        (message,) = taken(app, connection, at_most=10)
        assert message.body == b"abcde"
        message.ack()


def test_what_a_lost_worker_held_comes_back_marked(broker_url: str, broker: redis.Redis) -> None:
    app = make_app(broker_url, visibility_timeout=2)
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
