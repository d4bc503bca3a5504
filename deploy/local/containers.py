"""A server as a container of the official image, found again by its label.

testcontainers talks to the engine, without its reaper: the container outlives the program that
started it. The data is in a volume named after the state folder, which outlives the container.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

import docker.errors  # type: ignore[import-untyped]
import requests
from testcontainers.core.config import testcontainers_config
from testcontainers.core.docker_client import DockerClient

from deploy.local.errors import StackError
from deploy.local.ports import LOOPBACK, free_port, is_free
from deploy.local.servers import Recipe, Running, wait

LABEL: Final = "recordings-search.state-folder"
# The first answer of an engine may be slow; pulling an image is one long request.
ENGINE_SECONDS: Final = 600
STOP_SECONDS: Final = 30
LOG_LINES: Final = 15
FAILURES: Final = (docker.errors.DockerException, requests.RequestException)


@cache
def engine() -> DockerClient | None:
    """The Docker engine that the environment leads to, None where none answers."""
    testcontainers_config.ryuk_disabled = True
    try:
        client = DockerClient(timeout=ENGINE_SECONDS)
        client.client.ping()
    except (*FAILURES, OSError):
        return None
    return client


class ContainerServer:
    """A server in a container; of the state folder only its last port is kept here."""

    def __init__(self, recipe: Recipe, folder: Path, engine: DockerClient) -> None:
        self.recipe = recipe
        self._folder = folder
        self._engine = engine
        self._image = recipe.image(folder)
        self._port_file = folder / "port"

    def running(self) -> Running | None:
        with _failures_as_ours():
            found = self._container()
        if found is None or found.status != "running":
            return None
        # The engine writes nanoseconds; seconds are enough.
        since = datetime.fromisoformat(found.attrs["State"]["StartedAt"][:19] + "+00:00")
        return Running("docker", self._url(found), None, since)

    def start(self) -> str:
        with _failures_as_ours():
            found = self._container()
            if found and found.status != "running":
                found.remove(v=True)
                found = None
            found = found or self._run()
            return self._answered(found)

    def stop(self) -> bool:
        with _failures_as_ours():
            if found := self._container():
                found.stop(timeout=STOP_SECONDS)
                found.remove(v=True)
        return found is not None

    def kill(self) -> bool:
        with _failures_as_ours():
            if found := self._container():
                found.remove(v=True, force=True)
        return found is not None

    def _container(self) -> Any | None:
        label = {"label": f"{LABEL}={self._folder}"}
        found = self._engine.client.containers.list(all=True, filters=label)
        return found[0] if found else None

    def _run(self) -> Any:
        port = self.recipe.port or self._free_port()
        local = self._engine.host() == "localhost"
        volume = f"recordings-{hashlib.sha256(bytes(self._folder)).hexdigest()[:8]}"
        started = self._engine.run(
            self._image.name,
            command=list(self._image.command) or None,
            detach=True,
            environment=dict(self._image.environment),
            # An engine elsewhere (in CI, for example) has another loopback than we.
            ports={f"{self._image.port}/tcp": (LOOPBACK, port) if local else port},
            labels={LABEL: str(self._folder)},
            volumes={volume: {"bind": self._image.data, "mode": "rw"}},
        )
        self._folder.mkdir(parents=True, exist_ok=True)
        self._port_file.write_text(f"{port}\n", "utf-8")
        return started

    def _free_port(self) -> int:
        try:
            last = int(self._port_file.read_text("utf-8"))
        except (FileNotFoundError, ValueError):
            return free_port()
        return last if is_free(last) else free_port()

    def _url(self, container: Any) -> str:
        host = self._engine.host()
        bindings = container.attrs["NetworkSettings"]["Ports"][f"{self._image.port}/tcp"]
        port = int(bindings[0]["HostPort"])
        return self.recipe.url(LOOPBACK if host == "localhost" else host, port)

    def _answered(self, container: Any) -> str:
        fault: str | None = None

        def settled() -> bool:
            nonlocal fault
            container.reload()
            if container.status != "running":
                fault = f"the container is {container.status}"
                return True
            fault = self.recipe.fault(self._url(container), None)
            return fault is None

        wait(settled)
        if fault is None:
            return self._url(container)
        log = container.logs(tail=LOG_LINES).decode(errors="replace")
        raise StackError(f"{self.recipe.name} does not answer ({fault}); its log ends with:\n{log}")


@contextmanager
def _failures_as_ours() -> Iterator[None]:
    try:
        yield
    except FAILURES as error:
        raise StackError(f"The Docker engine failed: {error}.") from error
