"""The two sides of a comparison: processes that stand ready, and one call that sets them off.

worker processes     the queue is filled by one command; done when nothing waits or is held
bare bulk clients    each has its share of rendered requests; done at the last answer
"""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, Protocol

from pydantic import AnyHttpUrl

from services.es_client import connect
from services.indices import IndexNames
from services.settings import ElasticsearchSettings
from tests.bench.broker import Queue
from tests.bench.errors import BenchError
from tests.bench.workload import Lines

BIN: Final = Path(sys.executable).parent
ROOT: Final = Path(__file__).parents[2]
WORKER: Final = (str(BIN / "recordings-indexer"), "worker")
ORDINARY: Final = (
    str(BIN / "celery"),
    "--quiet",
    "--app=tests.bench.ordinary",
    "worker",
    "--pool=solo",
    "--loglevel=ERROR",
)
START_SECONDS: Final = 60.0
ROUND_SECONDS: Final = 900.0
POLL_SECONDS: Final = 0.01


class Crew(Protocol):
    """Processes that stand ready."""

    @property
    def pids(self) -> Sequence[int]: ...

    def run(self) -> None:
        """Set them off; returns when all is written. Raises BenchError."""
        ...


@dataclass(frozen=True, slots=True)
class Workers:
    """Celery workers on a queue that is empty until `run`."""

    queue: Queue
    processes: Sequence[subprocess.Popen[bytes]]

    @property
    def pids(self) -> Sequence[int]:
        return [process.pid for process in self.processes]

    def run(self) -> None:
        self.queue.release()
        self.until(self._done, ROUND_SECONDS)

    def _done(self) -> bool:
        """Empty twice: kombu itself notes a message a moment after it has popped it."""
        if not self.queue.empty():
            return False
        time.sleep(POLL_SECONDS)
        return self.queue.empty()

    def until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Poll; raises BenchError at the deadline, or when a worker ended."""
        end = time.monotonic() + seconds
        while not ready():
            if any(process.poll() is not None for process in self.processes):
                raise BenchError("a worker ended; its log is in the folder of the results")
            if time.monotonic() > end:
                raise BenchError(f"the workers were not ready after {seconds:.0f} s")
            time.sleep(POLL_SECONDS)


def environment(elasticsearch_url: str, queue: Queue, names: IndexNames) -> dict[str, str]:
    """The settings of a worker; everything else is left at its default."""
    return {
        **os.environ,
        "RECORDINGS_ELASTICSEARCH_URL": elasticsearch_url,
        "RECORDINGS_REDIS_URL": queue.url,
        "RECORDINGS_INDEX_PREFIX": names.prefix,
    }


@contextmanager
def workers(
    command: Sequence[str], count: int, settings: dict[str, str], queue: Queue, log: Path
) -> Iterator[Workers]:
    """So many worker processes, waiting for messages."""
    processes: list[subprocess.Popen[bytes]] = []
    try:
        with log.open("ab") as output:
            for _ in range(count):
                processes.append(  # noqa: PERF401 (so that each one started is ended)
                    subprocess.Popen(
                        command,
                        env=settings,
                        cwd=ROOT,
                        stdin=subprocess.DEVNULL,
                        stdout=output,
                        stderr=subprocess.STDOUT,
                    )
                )
        crew = Workers(queue, processes)
        crew.until(lambda: queue.listeners() == count, START_SECONDS)
        yield crew
    finally:
        for process in processes:
            process.kill()
            process.wait()


@dataclass(frozen=True, slots=True)
class Clients:
    """Bulk clients that hold their requests already."""

    processes: Sequence[Any]
    pipes: Sequence[Connection]

    @property
    def pids(self) -> Sequence[int]:
        return [process.pid for process in self.processes]

    def run(self) -> None:
        for pipe in self.pipes:
            pipe.send("go")
        self.hear(ROUND_SECONDS)

    def hear(self, seconds: float) -> None:
        """Wait for a word of each. Raises BenchError."""
        for pipe in self.pipes:
            if not pipe.poll(seconds):
                raise BenchError(f"a bulk client was silent for {seconds:.0f} s")
            try:
                pipe.recv()
            except EOFError:
                raise BenchError("a bulk client ended") from None


@contextmanager
def clients(
    count: int, elasticsearch_url: str, index: str, requests: Sequence[Lines]
) -> Iterator[Clients]:
    """So many processes, each with every n-th request."""
    context = multiprocessing.get_context("spawn")
    processes, pipes = [], []
    try:
        for number in range(count):
            ours, theirs = context.Pipe()
            share = requests[number::count]
            process = context.Process(
                target=_client, args=(elasticsearch_url, index, share, theirs), daemon=True
            )
            process.start()
            theirs.close()
            processes.append(process)
            pipes.append(ours)
        crew = Clients(processes, pipes)
        crew.hear(START_SECONDS)
        yield crew
    finally:
        for process in processes:
            process.kill()
            process.join()


def _client(
    elasticsearch_url: str, index: str, requests: Sequence[Lines], pipe: Connection
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    with connect(ElasticsearchSettings(url=AnyHttpUrl(elasticsearch_url)), 60.0) as client:
        pipe.send("ready")
        pipe.recv()
        for lines in requests:
            operations: list[Any] = list(lines)
            answer = client.bulk(index=index, operations=operations, require_alias=True)
            if answer["errors"]:
                raise BenchError("Elasticsearch refused a document")
        pipe.send("done")
