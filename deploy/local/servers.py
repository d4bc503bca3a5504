"""What a server of the stack is, in three kinds: given, a container, or a process here.

`Recipe` says what is peculiar to Elasticsearch or to Redis; `Server` is one of them, somewhere.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final, Literal, Protocol

from deploy.local import interrupts
from deploy.local.accounts import Account
from deploy.local.errors import StackError

DEADLINE_SECONDS: Final = 120.0
PAUSE_SECONDS: Final = 0.1
Kind = Literal["given", "docker", "process"]


@dataclass(frozen=True, slots=True)
class Running:
    """A server that is there: its address, and the process that was started (None: not ours)."""

    kind: Kind
    url: str
    pid: int | None = None
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Program:
    """A process to be started; `account` is who it runs as, None: who we are."""

    command: Sequence[str | Path]
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path = Path("/")
    account: Account | None = None


@dataclass(frozen=True, slots=True)
class Image:
    """A container to be started: `port` and `data` are those inside of it."""

    name: str
    port: int
    data: str
    environment: Mapping[str, str] = field(default_factory=dict)
    command: Sequence[str] = ()


class Recipe(Protocol):
    """What is peculiar to one kind of server.

    `variable` is the environment variable that gives a server instead, `port` the one that the
    settings fix.
    """

    @property
    def name(self) -> str: ...
    @property
    def variable(self) -> str: ...
    @property
    def port(self) -> int | None: ...

    def url(self, host: str, port: int) -> str: ...

    def fault(self, url: str, folder: Path | None) -> str | None:
        """Why the server is not ready to work, None when it is.

        `folder` is the state folder when it must be the very server that was started there.
        """
        ...

    def program(self, folder: Path, port: int) -> Program:
        """Prepare the state folder and say what to start. Raises StackError."""
        ...

    def image(self, folder: Path) -> Image: ...


class Server(Protocol):
    """One server of the stack; each method may be called again and again."""

    @property
    def recipe(self) -> Recipe: ...

    def running(self) -> Running | None:
        """Where it is, None when it is not running; it may not answer yet."""
        ...

    def start(self) -> str:
        """Start it if it does not run; its address when it answers. Raises StackError."""
        ...

    def stop(self) -> bool:
        """End it in order, keeping its data; whether there was anything to end."""
        ...

    def kill(self) -> bool:
        """End it at once, as a power cut would; whether there was anything to end."""
        ...


@dataclass(frozen=True, slots=True)
class GivenServer:
    """A server whose address is in the environment; it is never started or stopped."""

    recipe: Recipe
    url: str

    def running(self) -> Running | None:
        return Running("given", self.url) if self.recipe.fault(self.url, None) is None else None

    def start(self) -> str:
        if fault := self.recipe.fault(self.url, None):
            raise StackError(
                f"{self.recipe.variable} names a server that does not answer ({fault}); "
                "unset it to have one started here."
            )
        return self.url

    def stop(self) -> bool:
        return False

    def kill(self) -> bool:
        return False


def wait(ready: Callable[[], bool], deadline_seconds: float = DEADLINE_SECONDS) -> bool:
    """Poll until it is ready; False when the deadline passed. Raises KeyboardInterrupt."""
    end = time.monotonic() + deadline_seconds
    with interrupts.polling():
        while not ready():
            interrupts.check()
            if time.monotonic() > end:
                return False
            time.sleep(PAUSE_SECONDS)
    return True
