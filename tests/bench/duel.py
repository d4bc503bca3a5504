"""Two sides in turns, A B A B: what disturbs the machine disturbs both.

A round: new indices -> what was there before -> processes ready -> clock -> all written -> one
refresh -> clock -> everything is found. A first pair of rounds warms the servers up and is not
counted.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from services.indices import IndexNames
from tests.bench.crews import Crew
from tests.bench.errors import BenchError
from tests.bench.report import Comparison, Measure
from tests.bench.stand import Stand
from tests.bench.usage import Usage
from tests.bench.workload import Workload


@dataclass(frozen=True, slots=True)
class Side:
    """One way of doing it."""

    name: str
    make: Callable[[IndexNames], AbstractContextManager[Crew]]


@dataclass(frozen=True, slots=True)
class Duel:
    """One comparison to be made."""

    name: str
    work: Workload
    ours: Side
    other: Side
    target: float | None
    servers: Mapping[str, int]

    def fight(self, stand: Stand) -> Comparison:
        """All rounds. Raises BenchError."""
        task = stand.progress.add_task(self.name, total=2 * (stand.rounds + 1))
        rounds: list[tuple[Measure, Measure]] = []
        for _ in range(stand.rounds + 1):
            ours = self._round(stand, self.ours)
            stand.progress.advance(task)
            rounds.append((ours, self._round(stand, self.other)))
            stand.progress.advance(task)
        return Comparison(self.name, self.ours.name, self.other.name, rounds[1:], self.target)

    def _round(self, stand: Stand, side: Side) -> Measure:
        with stand.indices() as names:
            self._fill(stand, names)
            with side.make(names) as crew:
                pids = {f"process {n}": pid for n, pid in enumerate(crew.pids, start=1)}
                usage = Usage({**pids, **self.servers})
                began = time.monotonic()
                crew.run()
                stand.client.indices.refresh(index=names.recordings)
                seconds = time.monotonic() - began
                cores = usage.cores()
            self._check(stand, names)
        return Measure(len(self.work.events), seconds, cores)

    def _fill(self, stand: Stand, names: IndexNames) -> None:
        for lines in self.work.given:
            operations: list[Any] = list(lines)
            stand.client.bulk(index=names.recordings, operations=operations)
        stand.client.indices.flush(index=names.recordings)

    def _check(self, stand: Stand, names: IndexNames) -> None:
        found = stand.client.count(index=names.recordings, query=self.work.done)["count"]
        if found != len(self.work.events):
            raise BenchError(f"{self.name}: {found} of {len(self.work.events)} events are written")
