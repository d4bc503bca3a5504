"""One stack for the whole run, of a home of its own: a demo that runs meanwhile is not touched."""

import os
import random
import shutil
from collections.abc import Iterator

import pytest

from deploy.local.stack import Addresses, Stack, default_home


@pytest.fixture(scope="session")
def stack() -> Iterator[Addresses]:
    home = default_home().with_name(f"{default_home().name}-test")
    servers = Stack(home)
    servers.down()  # what a run that was killed left
    shutil.rmtree(home, ignore_errors=True)
    yield servers.up()
    servers.down()
    shutil.rmtree(home)


@pytest.fixture(scope="session")
def elasticsearch_url(stack: Addresses) -> str:
    return stack.elasticsearch_url


@pytest.fixture(scope="session")
def redis_url(stack: Addresses) -> str:
    return stack.redis_url


@pytest.fixture
def seed() -> int:
    """What everything random of the test follows from; pytest shows it when the test fails."""
    given = os.environ.get("RECORDINGS_TEST_SEED")
    seed = int(given) if given else random.SystemRandom().randrange(2**32)
    print(f"RECORDINGS_TEST_SEED={seed}")
    return seed


@pytest.fixture
def full() -> bool:
    """Whether this is the long run."""
    return os.environ.get("RECORDINGS_TEST_SIZE") == "full"
