"""Everything that a network and a server in trouble can do to a request, one by one and all at
once: the index ends the same as without."""

from collections.abc import Callable
from random import Random

import pytest

from tests.faults import history
from tests.faults.proxy import Fault, Proxy
from tests.faults.world import World

SECONDS = 120


@pytest.mark.parametrize("kind", list(Fault), ids=lambda kind: str(kind).replace("_", " "))
def test_one_kind_of_fault(
    world: World, make_proxy: Callable[..., Proxy], seed: int, kind: Fault
) -> None:
    proxy = make_proxy()
    proxy.kinds = (kind,)
    world.start_worker(proxy.url)
    converge(world, seed, recordings=15)
    assert proxy.done[kind], "the plan had no such fault"


def test_all_kinds_at_once(
    world: World, make_proxy: Callable[..., Proxy], seed: int, full: bool
) -> None:
    proxy = make_proxy()
    proxy.kinds = tuple(Fault)
    for _ in range(2):
        world.start_worker(proxy.url)
    converge(world, seed, recordings=500 if full else 100)
    assert proxy.done.keys() == set(Fault), "the plan had not every fault"


def converge(world: World, seed: int, recordings: int) -> None:
    """Publish a history and see the index end as it says."""
    random = Random(seed)
    events = history.events_of(random, recordings)
    wrong = history.invalid(random, 3)
    world.publish(history.messages_of(random, [*events, *wrong]))
    world.settle(SECONDS)
    world.assert_converged(history.outcomes(events), wrong)
