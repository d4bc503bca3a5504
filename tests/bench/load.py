"""The load: a process of its own that asks over keep-alive connections, one request at a time each.

It is kept cheap, so that it does not hold up what it measures: requests are bytes that were made
before, of an answer only status, length and end are looked at, and nothing is parsed. How many
cores it kept busy, and how fast it is against a server that does nothing, is measured as well.
"""

import asyncio
import gc
import multiprocessing
import re
import signal
import time
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, Final

import uvloop

from tests.bench.errors import BenchError
from tests.bench.wire import HEAD_END, Address

LAST_CHUNK: Final = b"0\r\n\r\n"
GOOD: Final = b"HTTP/1.1 200 "
READY_SECONDS: Final = 60.0
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Job:
    """Ask these requests in turns, over so many connections, for so many seconds.

    It takes longer where by then one of the requests was not answered yet.
    `lengths` are those of the bodies that were found to be right before.
    """

    address: Address
    requests: Sequence[bytes]
    lengths: Sequence[int]
    connections: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """Seconds to each answer, by request in the order of the job; and how long it all took."""

    latencies: Sequence["array[float]"]
    seconds: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return sum(map(len, self.latencies)) / self.seconds


@dataclass(frozen=True, slots=True)
class Generator:
    """The process that makes the load."""

    pid: int
    pipe: Connection

    def run(self, job: Job) -> Outcome:
        """Do the job. Raises BenchError for an answer that is not good."""
        self.pipe.send(job)
        outcome = self.hear(job.seconds + READY_SECONDS)
        if not isinstance(outcome, Outcome):
            raise BenchError(f"a search was not answered: {outcome}")
        return outcome

    def hear(self, seconds: float) -> Any:
        """Wait for a word of the process. Raises BenchError."""
        if not self.pipe.poll(seconds):
            raise BenchError(f"the load was silent for {seconds:.0f} s")
        try:
            return self.pipe.recv()
        except EOFError:
            raise BenchError("the load ended") from None


@contextmanager
def generator() -> Iterator[Generator]:
    """The process, until the end."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    assert process.pid
    try:
        load = Generator(process.pid, ours)
        load.hear(READY_SECONDS)
        yield load
    finally:
        process.kill()
        process.join()


def _serve(pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    # A pause would be measured as a slow answer; between jobs only what a job left is looked at.
    gc.disable()
    gc.collect()
    gc.freeze()
    pipe.send("ready")
    while True:
        try:
            pipe.send(uvloop.run(_do(pipe.recv())))
        except BenchError as error:
            pipe.send(str(error))
        gc.collect()


async def _do(job: Job) -> Outcome:
    loop = asyncio.get_running_loop()
    run = _Run(job, loop.create_future())
    opened = [
        await loop.create_connection(partial(_Connection, run, place), *job.address)
        for place in range(job.connections)
    ]
    began = time.perf_counter()
    run.end = began + job.seconds
    for _, connection in opened:
        connection.ask()
    try:
        await run.over
    finally:
        for transport, _ in opened:
            transport.abort()
    return Outcome(run.latencies, time.perf_counter() - began)


@dataclass(slots=True)
class _Run:
    """What the connections of one job share; `over` is done when all have stopped."""

    job: Job
    over: "asyncio.Future[None]"
    end: float = 0.0
    stopped: int = 0
    latencies: list["array[float]"] = field(init=False)

    def __post_init__(self) -> None:
        self.latencies = [array("d") for _ in self.job.requests]

    def stop(self) -> None:
        self.stopped += 1
        if self.stopped == self.job.connections and not self.over.done():
            self.over.set_result(None)

    def fail(self, reason: str) -> None:
        if not self.over.done():
            self.over.set_exception(BenchError(reason))


class _Connection(asyncio.Protocol):
    """Each begins at another request, so that not all ask the same at once."""

    def __init__(self, run: _Run, place: int) -> None:
        self._run = run
        self._kind = place % len(run.job.requests)
        self._answer = b""
        self._asked = 0.0
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def ask(self) -> None:
        self._asked = time.perf_counter()
        self._transport.write(self._run.job.requests[self._kind])

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        self._answer += data
        length = body_length(self._answer)
        if length is None:
            return
        if not self._answer.startswith(GOOD) or length != self._run.job.lengths[self._kind]:
            status = self._answer.partition(b"\r\n")[0].decode(errors="replace")
            self._run.fail(f"{status}, {length} bytes")
            return
        self._answer = b""
        self._run.latencies[self._kind].append(now - self._asked)
        self._kind = (self._kind + 1) % len(self._run.latencies)
        if now < self._run.end or not all(self._run.latencies):
            self.ask()
        else:
            self._run.stop()

    def connection_lost(self, _: Exception | None) -> None:
        self._run.fail("a connection was closed")


def body_length(answer: bytes) -> int | None:
    """The bytes of the body once these bytes are a whole answer; None before its end."""
    head, found, body = answer.partition(HEAD_END)
    if not found:
        return None
    length = _LENGTH.search(head)
    if length is None:
        return _chunks_length(body) if body.endswith(LAST_CHUNK) else None
    return len(body) if len(body) == int(length[1]) else None


def _chunks_length(body: bytes) -> int:
    """Of a body in chunks (RFC 9112, 7.1), each with its size in a line before it."""
    length = place = 0
    while size := int(body[place : (end := body.index(b"\r\n", place))], 16):
        length += size
        place = end + size + 4
    return length
