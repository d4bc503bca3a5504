"""The memory of one worker over a long run: events of rising versions, fed while it works."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count, islice
from statistics import median
from typing import Any, BinaryIO, Final, cast

import orjson
import psutil
from rich.progress import TaskID
from rich.table import Table

from indexer import publisher
from services.indices import IndexNames
from tests.bench.broker import unused_queue
from tests.bench.conversations import Event, update_of
from tests.bench.crews import ROUND_SECONDS, WORKER, Workers, environment, workers
from tests.bench.errors import BenchError
from tests.bench.report import verdict
from tests.bench.stand import Stand

MOST_WAITING: Final = 20  # messages, so that Redis does not hold everything
SAMPLE_SECONDS: Final = 0.2
GROWTH: Final = 1.1  # last tenth ÷ first tenth that still counts as flat
LIMIT: Final = 300_000_000


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident bytes of the worker, in the order of time."""

    events: int
    seconds: float
    samples: list[int]

    def as_json(self) -> dict[str, Any]:
        tenths = [median(tenth) for tenth in self._tenths()]
        growth, most = tenths[-1] / tenths[0], max(self.samples)
        return {
            "events": self.events,
            "seconds": self.seconds,
            "samples": len(self.samples),
            "tenthsMedianBytes": tenths,
            "growth": growth,
            "maximumBytes": most,
            "flat": growth <= GROWTH,
            "withinLimit": most < LIMIT,
        }

    def _tenths(self) -> list[list[int]]:
        count = len(self.samples)
        return [self.samples[n * count // 10 : (n + 1) * count // 10] for n in range(10)]

    def table(self) -> Table:
        found = self.as_json()
        tenths = found["tenthsMedianBytes"]
        table = Table("", "", "target", "", title=f"Memory of a worker, {self.events:,} events")
        table.add_row("first tenth (median)", _megabytes(tenths[0]), "", "")
        table.add_row("last tenth (median)", _megabytes(tenths[-1]), "", "")
        growth = f"{found['growth']:.2f}"
        table.add_row("last ÷ first", growth, f"≤ {GROWTH}", verdict(found["flat"]))
        most = _megabytes(found["maximumBytes"])
        table.add_row("maximum", most, f"< {_megabytes(LIMIT)}", verdict(found["withinLimit"]))
        return table


@dataclass(slots=True)
class _Watch:
    """Holds the publisher back while enough messages wait, and samples meanwhile."""

    stand: Stand
    crew: Workers
    task: TaskID
    samples: list[int] = field(default_factory=list)
    due: float = 0.0

    def published(self, report: publisher.Report) -> None:
        self.stand.progress.update(self.task, completed=report.events)
        self.crew.until(self.room, ROUND_SECONDS)

    def room(self) -> bool:
        """Sample; whether another message may be sent."""
        self.sample()
        return self.crew.queue.waiting() < MOST_WAITING

    def over(self) -> bool:
        """Sample; whether all events are applied."""
        self.sample()
        return self.crew.queue.empty()

    def sample(self) -> None:
        if time.monotonic() >= self.due:
            self.samples.append(psutil.Process(self.crew.pids[0]).memory_info().rss)
            self.due = time.monotonic() + SAMPLE_SECONDS


def measure(stand: Stand, recordings: list[Event]) -> Memory:
    """Feed `stand.events` events through one worker. Raises BenchError."""
    task = stand.progress.add_task("memory of a worker", total=stand.events)
    log = stand.folder / "memory-worker.log"
    with unused_queue(stand.addresses.redis_url) as queue, stand.indices() as names:
        settings = environment(stand.addresses.elasticsearch_url, queue, names)
        with workers(WORKER, 1, settings, queue, log) as crew:
            watch = _Watch(stand, crew, task)
            began = time.monotonic()
            lines = cast(BinaryIO, islice(_lines(recordings), stand.events))
            publisher.publish(queue.app, lines, watch.published)
            crew.until(watch.over, ROUND_SECONDS)
            seconds = time.monotonic() - began
        _check(stand, names)
    return Memory(stand.events, seconds, watch.samples)


def _check(stand: Stand, names: IndexNames) -> None:
    stand.client.indices.refresh(index=names.dead_letters)
    if dead := stand.client.count(index=names.dead_letters)["count"]:
        raise BenchError(f"{dead} events of the memory run went to the dead letters")


def _lines(recordings: list[Event]) -> Iterator[bytes]:
    for version in count(1):
        for event in recordings:
            yield orjson.dumps(update_of(event, version))


def _megabytes(size: float) -> str:
    return f"{size / 1e6:.0f} MB"
