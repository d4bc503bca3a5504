"""A message that takes its worker down every time: it is put aside, and nothing else is."""

import signal
from collections.abc import Callable
from random import Random
from typing import Final

import pytest

from tests.faults import history
from tests.faults.history import Message
from tests.faults.proxy import Proxy, Request
from tests.faults.world import START_SECONDS, World

DEATHS: Final = 3
VISIBILITY_TIMEOUT: Final = 3
POISON: Final = "this-kills-its-worker"


def kill_at_the_poison(world: World, proxy: Proxy) -> None:
    """The worker dies whenever it is about to write the poison to the index of recordings."""

    def watch(request: Request) -> None:
        all_of_it = request.path.encode() + request.body
        to_recordings = request.is_bulk and world.names.dead_letters.encode() not in all_of_it
        if to_recordings and POISON.encode() in all_of_it:
            world.workers[-1].kill()
            raise ConnectionAbortedError

    proxy.watch = watch


@pytest.mark.parametrize("alone", [True, False], ids=["among single messages", "a list"])
def test_a_message_that_kills_its_worker_goes_to_the_dead_letters(
    world: World, make_proxy: Callable[..., Proxy], seed: int, alone: bool
) -> None:
    events = history.events_of(Random(seed), 8)
    poison = events[0] | {"recordingId": POISON}
    messages = [Message([event], alone=True) for event in events]
    messages.insert(len(messages) // 2, Message([poison], alone))
    proxy = make_proxy()
    kill_at_the_poison(world, proxy)
    world.publish(messages)
    for _ in range(DEATHS):
        worker = world.start_worker(proxy.url, VISIBILITY_TIMEOUT)
        assert worker.wait(START_SECONDS) == -signal.SIGKILL
    survivor = world.start_worker(proxy.url, VISIBILITY_TIMEOUT)
    world.settle(START_SECONDS)
    assert survivor.poll() is None
    world.assert_converged(history.outcomes(events), [poison])
    ((_, reason),) = world.dead_letters()
    assert "worker" in reason
