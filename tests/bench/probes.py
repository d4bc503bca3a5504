"""Two processes of their own for the section *freshness*: who probes, and who makes the load.

prober    publish one event ──▶ ask by HTTP for its word, every 10 ms, until it is found
feeder    publish lists of new recordings, paced to so many events a second, until told to stop

Each probe waits for a random part of a refresh interval first: what is published the moment that
another probe was found would always come right after a refresh.
"""

import io
import multiprocessing
import random
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from multiprocessing.connection import Connection
from typing import Any, Final

import orjson
from celery import Celery

from indexer import publisher
from indexer.celery_app import make_app
from indexer.publisher import LIST_COUNT
from services.settings import RedisSettings
from tests.bench.conversations import SEED, Event
from tests.bench.errors import BenchError
from tests.bench.service import target
from tests.bench.wire import Address

POLLING_SECONDS: Final = 0.01
REFRESH_SECONDS: Final = 1.0
FOUND_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Asking:
    """How a prober asks: where, and with which headers."""

    address: Address
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Fed:
    """What a feeder did in one round."""

    events: int
    seconds: float

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds


@dataclass(frozen=True, slots=True)
class Helper:
    """One process, spoken to through a pipe."""

    pid: int
    pipe: Connection

    def tell(self, what: object) -> None:
        self.pipe.send(what)

    def hear(self, seconds: float) -> Any:
        """The next word. Raises BenchError."""
        if not self.pipe.poll(seconds):
            raise BenchError(f"a process of the benchmark was silent for {seconds:.0f} s")
        try:
            return self.pipe.recv()
        except EOFError:
            raise BenchError("a process of the benchmark ended") from None


@contextmanager
def prober(redis_url: str, asking: Asking, event: Event) -> Iterator[Helper]:
    """Told a number of probes, it answers with as many latencies in seconds."""
    with _process(_probe, redis_url, asking, event) as helper:
        yield helper


@contextmanager
def feeder(redis_url: str, recordings: Sequence[Event]) -> Iterator[Helper]:
    """Told a rate (events a second), it publishes until told anything else; answers with Fed."""
    with _process(_feed, redis_url, recordings) as helper:
        yield helper


@contextmanager
def _process(work: Any, *given: object) -> Iterator[Helper]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=work, args=(theirs, *given), daemon=True)
    process.start()
    theirs.close()
    assert process.pid
    try:
        yield Helper(process.pid, ours)
    finally:
        process.kill()
        process.join()


def _probe(pipe: Connection, redis_url: str, asking: Asking, event: Event) -> None:
    app = _app(redis_url)
    rng = random.Random(SEED)
    connection = HTTPConnection(*asking.address, timeout=FOUND_SECONDS)
    number = 0
    while True:
        latencies = []
        for _ in range(pipe.recv()):
            number += 1
            time.sleep(rng.uniform(0, REFRESH_SECONDS))
            latencies.append(_until_found(app, connection, asking, _marked(event, number)))
        pipe.send(latencies)


def _word(number: int) -> str:
    """One that no conversation has."""
    return f"zqx{number:05}"


def _marked(event: Event, number: int) -> tuple[str, Event]:
    word = _word(number)
    turn = {"speaker": "agent", "offset": None, "text": word}
    recording = event["recording"]
    marked = recording | {"transcript": [*recording["transcript"], turn]}
    return word, event | {"recordingId": f"probe-{number}", "recording": marked}


def _until_found(
    app: Celery, connection: HTTPConnection, asking: Asking, marked: tuple[str, Event]
) -> float:
    """Seconds from before its publication to the end of the answer that has it."""
    word, event = marked
    line = orjson.dumps(event)
    request = target({"quantity": "1", "from": "0", "words": word})
    began = time.perf_counter()
    publisher.publish(app, io.BytesIO(line), lambda _: None)
    while (waited := time.perf_counter() - began) < FOUND_SECONDS:
        asked = time.perf_counter()
        connection.request("GET", request, headers=dict(asking.headers))
        response = connection.getresponse()
        answer = orjson.loads(response.read())
        now = time.perf_counter()
        if response.status != 200:
            raise BenchError(f"the API answered {response.status}")
        if answer["total"]:
            return now - began
        time.sleep(max(0.0, asked + POLLING_SECONDS - now))
    raise BenchError(f"an event was not found after {waited:.0f} s")


def _feed(pipe: Connection, redis_url: str, recordings: Sequence[Event]) -> None:
    app = _app(redis_url)
    number = 0
    while True:
        rate = pipe.recv()
        began = time.perf_counter()
        sent = 0
        while not pipe.poll(max(0.0, began + sent / rate - time.perf_counter())):
            lines = []
            for _ in range(LIST_COUNT):
                event = recordings[number % len(recordings)]
                lines.append(orjson.dumps(event | {"recordingId": f"load-{number}"}))
                number += 1
            publisher.publish(app, io.BytesIO(b"\n".join(lines)), lambda _: None)
            sent += LIST_COUNT
        pipe.recv()
        pipe.send(Fed(sent, time.perf_counter() - began))


def _app(redis_url: str) -> Celery:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    return make_app(RedisSettings(redis_url=redis_url))
