"""A rolling restart under load: old ones stopped by SIGTERM while new ones start."""

import contextlib
import json
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import requests

from api.cli import GRACE_SECONDS
from tests.e2e.conftest import Relay

ROUNDS: Final = 3
CALLERS: Final = 4
EVENTS: Final = 4000


@dataclass(frozen=True)
class Replica:
    """A process of the API and where it answers."""

    process: subprocess.Popen[bytes]
    base: str


@dataclass
class Balancer:
    """What a Service is to its callers: requests go to the replicas that are in it."""

    replicas: list[Replica]
    answers: list[int] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    _turn: int = 0

    def ask(self, session: requests.Session, headers: dict[str, str]) -> None:
        self._turn += 1
        replicas = self.replicas
        base = replicas[self._turn % len(replicas)].base
        try:
            parameters = "quantity=50&from=0&words=refund&facets=day"
            answer = session.get(f"{base}/v1/recordings?{parameters}", headers=headers, timeout=30)
            self.answers.append(answer.status_code)
        except requests.RequestException as error:
            self.failures.append(type(error).__name__)


@dataclass
class SlowRelay(Relay):
    """Holds back for so many seconds what comes from Elasticsearch or goes there."""

    delay: float = 0.0
    asked: threading.Event = field(default_factory=threading.Event)

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                if self.delay:
                    self.asked.set()
                    time.sleep(self.delay)
                sink.sendall(data)


@contextmanager
def load(balancer: Balancer, headers: dict[str, str]) -> Iterator[None]:
    """Callers that ask all the time, each request on a connection of its own."""
    end = threading.Event()

    def call() -> None:
        while not end.is_set():
            with requests.Session() as session:
                balancer.ask(session, headers)

    callers = [threading.Thread(target=call) for _ in range(CALLERS)]
    for one in callers:
        one.start()
    try:
        yield
    finally:
        end.set()
        for one in callers:
            one.join()


def saved(number: int) -> bytes:
    transcript = [{"speaker": "agent", "offset": 0, "text": "refund " * 100}]
    recording = {
        "ownerId": "1efc024d-0000-4000-8000-00000000000a",
        "date": "2026-04-25T10:30:00Z",
        "transcript": transcript,
    }
    event: dict[str, Any] = {
        "type": "recording.saved",
        "tenantId": "acme",
        "recordingId": f"r-{number}",
    }
    event |= {"version": 1, "occurredAt": "2026-04-25T10:30:00Z", "recording": recording}
    return json.dumps(event).encode()


def test_no_request_fails_and_nothing_is_lost(
    make_deployment: Any,
    make_token: Callable[..., str],
    eventually: Callable[..., Any],
    tmp_path: Path,
) -> None:
    headers = {
        "Authorization": "Bearer "
        + make_token("1efc024d-0000-4000-8000-00000000000a", "administrator", "acme")
    }
    file = tmp_path / "events.ndjson"
    file.write_bytes(b"\n".join(saved(number) for number in range(EVENTS)))
    with make_deployment() as deployment:

        def serve() -> Replica:
            return Replica(deployment.serve(), deployment.base)

        apis = [serve(), serve()]
        balancer = Balancer(apis)
        workers = [deployment.start("recordings-indexer", "worker") for _ in range(2)]
        with load(balancer, headers):
            eventually(lambda: len(balancer.answers) > 20)
            assert deployment.run("recordings-indexer", "publish", str(file)).returncode == 0
            for _ in range(ROUNDS):
                old_api, old_worker = balancer.replicas[0], workers.pop(0)
                balancer.replicas = [*balancer.replicas[1:], serve()]
                workers.append(deployment.start("recordings-indexer", "worker"))
                _stop_in_order(old_api.process, old_worker)
            eventually(lambda: deployment.total() == EVENTS, seconds=90)
        assert balancer.failures == []
        assert set(balancer.answers) == {200}
        assert len(balancer.answers) > 100


def test_a_request_under_way_is_answered_after_sigterm(
    make_deployment: Any, elasticsearch_url: str, interrupt: Callable[..., float]
) -> None:
    address = urlsplit(elasticsearch_url)
    slow = SlowRelay((address.hostname or "", address.port or 80))
    with make_deployment() as deployment, ThreadPoolExecutor(1) as caller:
        process = deployment.serve(RECORDINGS_ELASTICSEARCH_URL=f"http://127.0.0.1:{slow.port}")
        assert deployment.get().status_code == 200
        slow.delay = 2 * GRACE_SECONDS
        answer = caller.submit(deployment.get)
        assert slow.asked.wait(timeout=30)
        assert interrupt(process, signal.SIGTERM) > GRACE_SECONDS
        assert process.returncode == 0
        assert answer.result().status_code == 200


def _stop_in_order(*processes: subprocess.Popen[bytes]) -> None:
    """As Kubernetes does it: first nothing new comes, a moment later SIGTERM."""
    time.sleep(0.5)  # the preStop of the manifests, of which this is a shorter form
    for process in processes:
        process.send_signal(signal.SIGTERM)
    for process in processes:
        assert process.wait(timeout=60) == 0
