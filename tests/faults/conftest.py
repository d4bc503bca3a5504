"""Servers of these tests' own, because they are killed; a seed that can be given; a new world for
each test.

RECORDINGS_TEST_SEED repeats a run; RECORDINGS_TEST_SIZE=full makes it a long one.
"""

import contextlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.local.settings import state_root
from deploy.local.stack import Stack
from indexer import admin
from services.indices import IndexNames
from tests.faults.proxy import Proxy
from tests.faults.world import World


@contextlib.contextmanager
def _own_settings() -> Iterator[None]:
    """No given servers and no Docker engine: processes, which can be killed."""
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            kept = ("RECORDINGS_LOCAL_CACHE", "RECORDINGS_LOCAL_MAVEN_URL")
            if name.startswith("RECORDINGS_") and name not in kept:
                patch.delenv(name)
        patch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
        patch.setenv("RECORDINGS_LOCAL_ELASTICSEARCH_HEAP", "512m")
        yield


@pytest.fixture(scope="session")
def servers() -> Iterator[Stack]:
    home = state_root() / f"faults-{uuid.uuid4().hex[:8]}"
    with _own_settings():
        stack = Stack(home)
        stack.up()
    yield stack
    stack.elasticsearch.kill()
    stack.redis.kill()
    shutil.rmtree(home)


@pytest.fixture
def world(servers: Stack, tmp_path: Path) -> Iterator[World]:
    made = World(
        servers.elasticsearch.start(),
        servers.redis.start(),
        IndexNames(f"faults-{uuid.uuid4().hex[:8]}"),
        tmp_path,
    )
    # What is published must survive a kill of Redis in the very next moment; the setting of a
    # deployment (everysec) may lose the last second, which is nothing that a worker can mend.
    made.redis.config_set("appendfsync", "always")
    admin.create_missing(made.elasticsearch, made.names)
    yield made
    made.close()


@pytest.fixture
def make_proxy(world: World, seed: int) -> Iterator[Callable[..., Proxy]]:
    with contextlib.ExitStack() as entered:
        yield lambda **changes: entered.enter_context(
            Proxy(world.elasticsearch_url, seed, **changes)
        )
