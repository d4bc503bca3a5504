"""The local stack: one Elasticsearch and one Redis, and the variables that lead programs to them.

from deploy.local.stack import Stack, default_home, environment

stack = Stack(default_home())
addresses = stack.up()
stack.elasticsearch.kill(); stack.elasticsearch.start()
stack.down()
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from deploy.local import choice, interrupts, keys
from deploy.local.errors import StackError
from deploy.local.locks import locked
from deploy.local.servers import Running, Server
from deploy.local.settings import GivenSettings, default_home, local_settings

__all__ = ["Addresses", "Stack", "default_home", "environment"]


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where both servers answer."""

    elasticsearch_url: str
    redis_url: str


class Stack:
    """The servers of one home (state folder). What it does is told on the console.

    `elasticsearch` and `redis` can be started, stopped and killed one by one.
    """

    def __init__(self, home: Path, console: Console | None = None) -> None:
        self.home = home
        self._console = console or Console(stderr=True, soft_wrap=True, highlight=False)
        settings = local_settings()
        self.elasticsearch: Server = choice.elasticsearch(home, settings, self._console)
        self.redis: Server = choice.redis(home, settings)

    def up(self) -> Addresses:
        """Start what does not run; returns when both answer.

        Raises StackError. Whatever interrupts it, what it started is stopped again.
        """
        with self._alone(), self._all_or_nothing():
            redis_url = self._start(self.redis)
            return Addresses(self._start(self.elasticsearch), redis_url)

    def down(self) -> None:
        """Stop what was started here, also while other addresses are given. Data and keys stay."""
        with self._alone():
            stopped = [
                server.recipe.name
                for server in choice.startable(self.home, local_settings(), self._console)
                if server.stop()
            ]
        what = " and ".join(stopped)
        self._console.print(f"{what} stopped." if stopped else "Nothing was running.")

    def status(self) -> dict[str, Running | None]:
        """What runs, by the server's name."""
        return {server.recipe.name: server.running() for server in (self.elasticsearch, self.redis)}

    def _start(self, server: Server) -> str:
        name = server.recipe.name
        if server.running():
            url = server.start()
            self._console.print(f"{name} is running already at {url}")
        else:
            self._console.print(f"Starting {name}")
            url = server.start()
            self._console.print(f"{name} answers at {url}")
        return url

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        ours = [server for server in (self.redis, self.elasticsearch) if not server.running()]
        try:
            yield
            interrupts.check()
        except BaseException:
            interrupts.arrived()
            for server in ours:
                server.stop()
            raise

    @contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            self.home.mkdir(parents=True, exist_ok=True)
            with locked(self.home / "lock", self._console, "Waiting for another command."):
                yield
        except OSError as error:
            raise StackError(f"{error.filename or self.home}: {error.strerror}.") from error


def environment(home: Path) -> dict[str, str]:
    """The settings of programs that use the stack of this home; what is set already wins.

    Raises StackError when one of the servers does not run.
    """
    given = GivenSettings()
    stack = Stack(home)
    values = {
        "RECORDINGS_ELASTICSEARCH_URL": given.elasticsearch_url or _url(stack.elasticsearch),
        "RECORDINGS_REDIS_URL": given.redis_url or _url(stack.redis),
        "RECORDINGS_AUTH_ISSUER": given.auth_issuer,
        "RECORDINGS_AUTH_AUDIENCE": given.auth_audience,
    }
    # The programs take one source of keys, not two.
    if given.auth_jwks_url:
        return values | {"RECORDINGS_AUTH_JWKS_URL": given.auth_jwks_url}
    key = given.auth_public_key or keys.public_key(home)
    return values | {"RECORDINGS_AUTH_PUBLIC_KEY": key}


def _url(server: Server) -> str:
    if running := server.running():
        return running.url
    name = server.recipe.name
    raise StackError(f"{name} is not running: start it with python -m deploy.local up")
