"""Section *search*: what the service adds to the same searches asked of Elasticsearch directly.

Four sides in turns, A B C D A B C D: service, direct, a bare forwarder, FastAPI. All get the same
twelve searches over keep-alive connections from one process of its own. Before anything is measured
each side has answered with the same, and each is warmed up.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import redis

from services.indices import IndexNames
from tests.bench import agreement
from tests.bench.conversations import Dataset
from tests.bench.load import Generator, Job, generator
from tests.bench.population import fill, populated
from tests.bench.questions import Question, mix
from tests.bench.report import Report
from tests.bench.search_results import LOAD, SERVER, Limit, Round, SearchResults
from tests.bench.sides import Side, canned, sides
from tests.bench.stand import Stand
from tests.bench.usage import ELASTICSEARCH, Usage, servers
from tests.bench.wire import exchange

BUSY: Final = 8  # connections of the ratios of rates, and of all that is asked besides
QUIET_SECONDS: Final = 1.0
POLL_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything: recordings, numbers of connections, and seconds for one side.

    `alone_seconds` is for each kind by itself; 0 leaves that out.
    """

    recordings: int
    connections: Sequence[int]
    warm_seconds: float
    seconds: float
    alone_seconds: float


FULL: Final = Size(38_000, (1, 8, 32), 8.0, 3.0, 1.5)
QUICK: Final = Size(5_000, (1, 8), 2.0, 0.6, 0.0)


def run(stand: Stand) -> Report:
    """Fill, check, measure. Raises BenchError."""
    size = QUICK if stand.quick else FULL
    data = populated(size.recordings)
    questions = mix(data.recordings)
    with stand.indices() as names:
        _fill(stand, names, data)
        with sides(stand, names, questions) as four, generator() as load:
            found = agreement.check(four, questions)
            meter = Meter(stand, load, lengths_of(four), _elasticsearch(stand))
            _warm_up(meter, four, size)
            results = SearchResults(
                data=data.origin,
                questions=questions,
                found=found,
                rounds=_rounds(meter, four, size),
                alone=_alone(meter, four, questions, size),
                limit=_limit(meter, four[0], size),
            )
    return Report(results.as_json(), results.tables())


@dataclass(frozen=True, slots=True)
class Meter:
    """Turns of one side, with the processors' time; `lengths` are those of its right answers."""

    stand: Stand
    load: Generator
    lengths: Mapping[str, Sequence[int]]
    pids: Mapping[str, int]

    def turn(self, side: Side, connections: int, seconds: float, kind: int | None = None) -> Round:
        """Ask the mix, or one kind of it alone, for so many seconds."""
        chosen = slice(None) if kind is None else slice(kind, kind + 1)
        requests, lengths = side.requests[chosen], self.lengths[side.name][chosen]
        server = {} if side.pid is None else {SERVER: side.pid}
        usage = Usage({LOAD: self.load.pid, **server, **self.pids})
        outcome = self.load.run(Job(side.address, requests, lengths, connections, seconds))
        return Round(side.name, connections, outcome, usage.cores())


def lengths_of(sides: Sequence[Side]) -> dict[str, list[int]]:
    """The bytes of every side's answers."""
    return {
        side.name: [len(exchange(side.address, request).body) for request in side.requests]
        for side in sides
    }


def _elasticsearch(stand: Stand) -> dict[str, int]:
    """Its process, where that is on this machine."""
    with redis.Redis.from_url(stand.addresses.redis_url) as broker:
        found = servers(stand.client, broker)
    return {name: pid for name, pid in found.items() if name == ELASTICSEARCH}


def _warm_up(meter: Meter, four: Sequence[Side], size: Size) -> None:
    """Elasticsearch compiles what it does often; the caches fill."""
    for side in meter.stand.progress.track(four, description="warming up"):
        meter.turn(side, BUSY, size.warm_seconds)


def _rounds(meter: Meter, four: Sequence[Side], size: Size) -> list[Round]:
    """Of each side as many as the run has rounds, at each number of connections."""
    progress, rounds = meter.stand.progress, meter.stand.rounds
    task = progress.add_task("search", total=rounds * len(size.connections) * len(four))
    measured: list[Round] = []
    for _ in range(rounds):
        for connections in size.connections:
            for side in four:
                measured.append(meter.turn(side, connections, size.seconds))
                progress.advance(task)
    return measured


def _alone(
    meter: Meter, four: Sequence[Side], questions: Sequence[Question], size: Size
) -> list[list[Round]]:
    """Each kind of search by itself, one turn of each side; in the order of the questions."""
    if not size.alone_seconds:
        return []
    progress = meter.stand.progress
    kinds = progress.track(range(len(questions)), description="search, each kind alone")
    return [[meter.turn(side, BUSY, size.alone_seconds, kind) for side in four] for kind in kinds]


def _limit(meter: Meter, service: Side, size: Size) -> Limit:
    """The load on a server that does nothing, with an answer of the service."""
    body = exchange(service.address, service.requests[0]).body
    with canned(meter.stand, body) as side:
        idle = replace(meter, lengths=lengths_of([side]))
        one = idle.turn(side, BUSY, size.seconds)
    return Limit(one.outcome.rate, one.cores[LOAD])


def _fill(stand: Stand, names: IndexNames, data: Dataset) -> None:
    task = stand.progress.add_task("recordings to search", total=len(data.recordings))
    for count in fill(stand.client, names, data.recordings):
        stand.progress.advance(task, count)
    stand.client.indices.refresh(index=names.recordings)
    _until_quiet(stand, names)


def _until_quiet(stand: Stand, names: IndexNames) -> None:
    """No merge for a while: as indexed, not forced together."""
    quiet_since = time.monotonic()
    while time.monotonic() < quiet_since + QUIET_SECONDS:
        stats = stand.client.indices.stats(index=names.recordings, metric="merge")
        if stats["_all"]["total"]["merges"]["current"]:
            quiet_since = time.monotonic()
        time.sleep(POLL_SECONDS)
