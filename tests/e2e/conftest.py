"""The programs as an operator runs them: processes, the broker, HTTP."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt
import pytest
import redis
import requests
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import AnyHttpUrl

from indexer import admin
from services.es_client import connect
from services.indices import IndexNames
from services.settings import ElasticsearchSettings

BIN = Path(sys.executable).parent
KEY = ec.generate_private_key(ec.SECP256R1())
PEM = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
# Of Redis, for the deployments of one moment: each has its own, emptied when it ends.
_free_databases = list(range(1, 10))


def eventually(check: Callable[[], Any], seconds: float = 60.0) -> Any:
    """Poll until the check gives something true; returns it. Fails at the deadline."""
    end = time.monotonic() + seconds
    while True:
        result = check()
        if result:
            return result
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.1)


@pytest.fixture(name="eventually", scope="session")
def _eventually() -> Callable[..., Any]:
    return eventually


@dataclass
class Relay:
    """A TCP relay in front of a server, which can be cut and mended; listens on 127.0.0.1."""

    target: tuple[str, int]
    connected: bool = True
    _open: list[socket.socket] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        self.connected = False
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def mend(self) -> None:
        self.connected = True

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            if not self.connected:
                client.close()
                continue
            server = socket.create_connection(self.target)
            self._open += [client, server]
            for ends in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=ends, daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


@pytest.fixture
def relay(elasticsearch_url: str) -> Relay:
    address = urlsplit(elasticsearch_url)
    return Relay((address.hostname or "", address.port or 80))


@dataclass
class Deployment:
    """One index prefix and one queue, and the programs that work on them."""

    environment: dict[str, str]
    logs: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    base: str = ""

    def run(
        self, *command: str, given: bytes = b"", seconds: float = 300, **changes: str
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [BIN / command[0], *command[1:]],
            env=self.environment | changes,
            input=given,
            capture_output=True,
            timeout=seconds,
            check=False,
        )
        return subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
        )

    def start(self, *command: str, **changes: str) -> subprocess.Popen[bytes]:
        with (self.logs / f"{len(self.processes)}-{command[-1]}.log").open("wb") as log:
            process = subprocess.Popen(
                [BIN / command[0], *command[1:]],
                env=self.environment | changes,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.processes.append(process)
        return process

    def log_of(self, process: subprocess.Popen[bytes]) -> str:
        place = self.processes.index(process)
        (log,) = self.logs.glob(f"{place}-*.log")
        return log.read_text()

    def serve(self, **changes: str) -> subprocess.Popen[bytes]:
        """Start the API and wait until it answers."""
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        self.base = f"http://127.0.0.1:{port}"
        process = self.start("recordings-api", "serve", RECORDINGS_API_PORT=str(port), **changes)
        eventually(self._answers)
        return process

    def _answers(self) -> bool:
        with contextlib.suppress(requests.ConnectionError):
            return requests.get(f"{self.base}/healthz", timeout=5).ok
        return False

    def get(
        self,
        path: str = "/v1/recordings",
        *,
        headers: dict[str, str] | None = None,
        user: str = "1efc024d-0000-4000-8000-00000000000a",
        role: str = "administrator",
        tenant: str = "acme",
        groups: list[str] | None = None,
        **parameters: Any,
    ) -> requests.Response:
        """A request; with headers given, those alone."""
        if headers is None:
            headers = {"Authorization": f"Bearer {token(user, role, tenant, groups=groups)}"}
        if path == "/v1/recordings":
            parameters = {"quantity": 100, "from": 0} | parameters
        return requests.get(self.base + path, params=parameters, headers=headers, timeout=60)

    def ids(self, **parameters: Any) -> list[str]:
        answer = self.get(**parameters)
        assert answer.status_code == 200, answer.text
        return [recording["id"] for recording in answer.json()["recordings"]]

    def total(self, **parameters: Any) -> int:
        answer = self.get(**parameters)
        assert answer.status_code == 200, answer.text
        total: int = answer.json()["total"]
        return total

    def stop(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


def token(user: str, role: str | None, tenant: str | None, **changes: Any) -> str:
    now = int(time.time())
    claims = {"sub": user, "role": role, "tenant": tenant, "iss": "tests", "aud": "recordings-api"}
    claims |= {"iat": now, "exp": now + 3600} | changes
    given = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(given, KEY, algorithm="ES256")


@pytest.fixture(name="make_token", scope="session")
def _make_token() -> Callable[..., str]:
    return token


@pytest.fixture(scope="session")
def make_deployment(
    elasticsearch_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], contextlib.AbstractContextManager[Deployment]]:
    @contextlib.contextmanager
    def make() -> Iterator[Deployment]:
        names = IndexNames(f"e2e-{uuid.uuid4().hex[:8]}")
        database = _free_databases.pop()
        broker = f"{redis_url.rpartition('/')[0]}/{database}"
        environment = {
            "PATH": os.environ["PATH"],
            "RECORDINGS_ELASTICSEARCH_URL": elasticsearch_url,
            "RECORDINGS_REDIS_URL": broker,
            "RECORDINGS_INDEX_PREFIX": names.prefix,
            "RECORDINGS_AUTH_PUBLIC_KEY": PEM,
            "RECORDINGS_AUTH_ISSUER": "tests",
            "RECORDINGS_AUTH_AUDIENCE": "recordings-api",
        }
        deployment = Deployment(environment, tmp_path_factory.mktemp("logs"))
        with connect(ElasticsearchSettings(url=AnyHttpUrl(elasticsearch_url))) as client:
            admin.create_missing(client, names)
            try:
                yield deployment
            finally:
                deployment.stop()
                client.indices.delete(index=list(client.indices.get(index=f"{names.prefix}-*")))
                with redis.Redis.from_url(broker) as emptied:
                    emptied.flushdb()
                _free_databases.append(database)
        shutil.rmtree(deployment.logs)

    return make


@pytest.fixture(scope="module")
def deployment(make_deployment: Any) -> Iterator[Deployment]:
    with make_deployment() as made:
        yield made


@pytest.fixture(scope="session")
def interrupt() -> Callable[..., float]:
    """Stop a process as Ctrl-C does; returns how long it took, in seconds."""

    def stop(process: subprocess.Popen[bytes], signal_: int = signal.SIGINT) -> float:
        began = time.monotonic()
        process.send_signal(signal_)
        process.wait(timeout=30)
        return time.monotonic() - began

    return stop
