"""A worker is killed or stopped while it waits for Elasticsearch: where its messages are then."""

from collections.abc import Callable, Sequence
from random import Random
from threading import Event as Signal
from typing import Final

from deploy.local.servers import wait
from deploy.local.stack import Stack
from tests.faults import history
from tests.faults.history import Message
from tests.faults.proxy import Fault, Proxy
from tests.faults.world import START_SECONDS, VISIBILITY_TIMEOUT, World

RECORDINGS: Final = 30
SECONDS: Final = 60


def alone(events: Sequence[history.Event]) -> list[Message]:
    return [Message([event], alone=True) for event in events]


def hang(proxy: Proxy) -> Signal:
    """No request is answered from now on; the signal is set when the first one has come."""
    asked = Signal()
    proxy.watch = lambda _: asked.set()
    proxy.kinds, proxy.rate = (Fault.STALL,), 1.0
    return asked


def mend(proxy: Proxy) -> None:
    proxy.kinds = ()


def test_a_worker_killed_while_it_writes_takes_no_message_along(
    world: World, make_proxy: Callable[..., Proxy], seed: int
) -> None:
    """Above all the one that the queue hands out while the worker is busy."""
    events = history.events_of(Random(seed), RECORDINGS)
    few, more = alone(events[:20]), alone(events[20:])
    proxy = make_proxy(stall_seconds=60)
    worker = world.start_worker(proxy.url, visibility_timeout=120)
    assert wait(lambda: world.listening() == 1, START_SECONDS)
    asked = hang(proxy)
    world.publish(few)
    assert asked.wait(START_SECONDS)
    world.publish(more)
    worker.kill()
    worker.wait()
    assert world.waiting() + world.unacknowledged() == len(events)
    mend(proxy)
    world.start_worker(proxy.url)
    world.settle(SECONDS)
    world.assert_converged(history.outcomes(events), [])


def test_a_worker_stopped_while_elasticsearch_hangs_gives_back_what_it_has(
    world: World, make_proxy: Callable[..., Proxy], seed: int
) -> None:
    """SIGTERM; it need not end before its request has timed out."""
    events = history.events_of(Random(seed), RECORDINGS)
    messages = [*alone(events[:150]), Message(events[150:200]), *alone(events[200:])]
    proxy = make_proxy(stall_seconds=60)
    worker = world.start_worker(proxy.url)
    assert wait(lambda: world.listening() == 1, START_SECONDS)
    asked = hang(proxy)
    world.publish(messages)
    assert asked.wait(START_SECONDS)
    assert world.terminate(worker, seconds=VISIBILITY_TIMEOUT + 10) == 0
    assert (world.waiting(), world.unacknowledged()) == (len(messages), 0)
    mend(proxy)
    world.start_worker(proxy.url)
    world.settle(SECONDS)
    world.assert_converged(history.outcomes(events), [])


def test_few_messages_are_applied_soon_after_a_restart_of_redis(
    world: World, servers: Stack, seed: int
) -> None:
    """Fewer than a batch: there must still be something that ends the gathering."""
    events = history.events_of(Random(seed), RECORDINGS)
    worker = world.start_worker()
    world.publish(alone(events[:20]))
    assert wait(lambda: world.has_worked(worker), START_SECONDS)
    world.publish(alone(events[20:40]))
    servers.redis.kill()
    servers.redis.start()
    world.settle(SECONDS)
    world.publish(alone(events[40:60]))
    world.settle(SECONDS)
    world.assert_converged(history.outcomes(events[:60]), [])
    assert worker.poll() is None
