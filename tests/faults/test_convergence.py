"""Thousands of events, shuffled and repeated, while workers, Elasticsearch and Redis are killed: in
the end the index holds what the history says, document by document.

Messages are published in as many portions as there are faults, each right before its fault and
when the workers stand ready for it, so that there is always work to be interrupted. Which worker is
killed, and how far into its work, follows from the seed; where exactly that finds it does not. A
worker holds few messages at once here, so that a portion takes them both a while.
"""

import time
from collections.abc import Sequence
from random import Random
from typing import Final, Literal

from deploy.local.servers import wait
from deploy.local.stack import Stack
from tests.faults import history
from tests.faults.history import Message
from tests.faults.world import START_SECONDS, World, answers

Fault = Literal["worker", "elasticsearch", "redis"]

WORKERS: Final = 2
LONGEST_SECONDS: Final = 0.5
PREFETCH: Final = 5


def test_the_index_converges(world: World, servers: Stack, seed: int, full: bool) -> None:
    recordings, kills = (2_000, 12) if full else (200, 3)
    random = Random(seed)
    events = history.events_of(random, recordings)
    wrong = history.invalid(random, recordings // 50)
    messages = history.messages_of(random, [*events, *wrong])
    faults = plan(random, kills)
    print(f"{len(events)} events in {len(messages)} messages; {', '.join(faults)}")
    for _ in range(WORKERS):
        world.start_worker(prefetch=PREFETCH)
    began = time.monotonic()
    interrupted = 0
    for fault, portion in zip(faults, portions(messages, len(faults)), strict=True):
        assert wait(lambda: world.listening() >= WORKERS, START_SECONDS), world.logs_of_all()
        interrupted += strike(world, servers, fault, random, portion)
    print(f"{interrupted} of {kills} killed workers held messages")
    assert interrupted, "no worker was killed in the middle of its work"
    world.settle(600 if full else 120)
    print(f"settled after {time.monotonic() - began:.0f} s")
    world.assert_converged(history.outcomes(events), wrong)


def plan(random: Random, kills: int) -> list[Fault]:
    """The faults in the order in which they happen; the last one is a worker's."""
    faults: list[Fault] = ["elasticsearch", "redis"]
    faults += ["worker"] * (kills - 2)  # one more dies with Elasticsearch, one at the end
    random.shuffle(faults)
    return [*faults, "worker"]


def portions(messages: Sequence[Message], count: int) -> list[Sequence[Message]]:
    return [messages[n::count] for n in range(count)]


def strike(
    world: World, servers: Stack, fault: Fault, random: Random, portion: Sequence[Message]
) -> int:
    """Publish the portion and let the fault happen; how many killed workers held messages."""
    interrupted = 0
    match fault:
        case "worker":
            world.publish(portion)
            interrupted = replace_worker(world, random)
        case "elasticsearch":
            servers.elasticsearch.kill()
            world.publish(portion)
            # One worker more dies while there is nobody to write to.
            interrupted = replace_worker(world, random)
            servers.elasticsearch.start()
            index = world.names.recordings
            assert wait(lambda: answers(world.elasticsearch, index), START_SECONDS)
        case "redis":
            world.publish(portion)
            servers.redis.kill()
            servers.redis.start()
            world.redis.config_set("appendfsync", "always")
    return interrupted


def replace_worker(world: World, random: Random) -> bool:
    """Kill one of the workers and start another; whether messages were in work."""
    victim = random.choice(world.workers[-WORKERS:])
    time.sleep(random.uniform(0, LONGEST_SECONDS))  # the random moment itself
    victim.kill()
    victim.wait()
    held = world.unacknowledged() > 0
    world.start_worker(prefetch=PREFETCH)
    return held
