"""Section *freshness*: from the publication of an event to its being found by HTTP.

Real publisher, broker, worker and API. Idle and under load take turns; the load is half of what
one worker was just measured to do with the same kind of messages. The index has an explicit
refresh interval (`services.schema`), so it never becomes search-idle and asking makes no refresh:
every latency has the wait for the next refresh in it.
"""

import io
import time
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from rich.table import Table

from indexer import publisher
from services.acl import Principal, Role
from services.indices import IndexNames
from tests.bench import conversations
from tests.bench.broker import Queue, unused_queue
from tests.bench.conversations import NOBODY, TENANT, Event
from tests.bench.crews import ROUND_SECONDS, WORKER, Workers, environment, workers
from tests.bench.errors import BenchError
from tests.bench.probes import POLLING_SECONDS, Asking, Fed, Helper, feeder, prober
from tests.bench.report import Report, spread, verdict
from tests.bench.service import serving
from tests.bench.stand import Stand
from tests.bench.usage import Usage, servers

RECORDINGS: Final = 10_000
QUICK_RECORDINGS: Final = 3_000
PROBES: Final = 12  # of each kind in a round
QUICK_PROBES: Final = 3
SHARE: Final = 0.5  # of the maximal rate
TARGET_MS: Final = 1500.0
SAMPLE_SECONDS: Final = 0.05


@dataclass
class Found:
    """Milliseconds of each probe by round, and under which load they were measured."""

    maximal: float
    refresh: str
    idle: list[list[float]] = field(default_factory=list)
    loaded: list[list[float]] = field(default_factory=list)
    fed: list[Fed] = field(default_factory=list)
    cores: dict[str, float] = field(default_factory=dict)
    most_waiting: int = 0

    def as_json(self) -> dict[str, Any]:
        return {
            "pollingMs": POLLING_SECONDS * 1000,
            "refreshInterval": self.refresh,
            "maximalEventsPerSecond": self.maximal,
            "offeredEventsPerSecond": [one.rate for one in self.fed],
            "mostMessagesWaiting": self.most_waiting,
            "coresUnderLoad": self.cores,
            "targetMs": TARGET_MS,
            "idle": _side(self.idle),
            "underLoad": _side(self.loaded),
        }

    def table(self) -> Table:
        offered = min(one.rate for one in self.fed)
        title = (
            f"From publication to being found; refresh interval {self.refresh}, asked every "
            f"{POLLING_SECONDS * 1000:.0f} ms; load {offered:,.0f} of {self.maximal:,.0f} events/s"
        )
        table = Table("", "probes", "p50", "p95", "max", "target", "", title=title)
        for name, rounds in (("idle", self.idle), ("under load", self.loaded)):
            side = _side(rounds)
            figures = (f"{side[which]:.0f} ms" for which in ("p50", "p95", "max"))
            met = verdict(side["met"])
            table.add_row(name, str(side["probes"]), *figures, f"p95 ≤ {TARGET_MS:.0f} ms", met)
        return table


def _side(rounds: list[list[float]]) -> dict[str, Any]:
    together = [value for one in rounds for value in one]
    figures = spread(together)
    return {
        "probes": len(together),
        **figures,
        "met": figures["p95"] <= TARGET_MS,
        "roundsMs": rounds,
    }


def run(stand: Stand) -> Report:
    """All rounds. Raises BenchError."""
    data = conversations.load(QUICK_RECORDINGS if stand.quick else RECORDINGS)
    task = stand.progress.add_task("freshness", total=2 + 2 * stand.rounds)
    with unused_queue(stand.addresses.redis_url) as queue:
        maximal = _maximal(stand, queue, data.recordings)
    stand.progress.advance(task, 2)
    with unused_queue(stand.addresses.redis_url) as queue, stand.indices() as names:
        found = Found(maximal, _refresh_interval(stand, names))
        settings = environment(stand.addresses.elasticsearch_url, queue, names)
        asker = Principal(TENANT, NOBODY, Role.ADMINISTRATOR)
        with (
            workers(WORKER, 1, settings, queue, stand.folder / "workers.log") as crew,
            serving(stand, names) as service,
            feeder(queue.url, data.recordings) as load,
            prober(
                queue.url,
                Asking(service.address, service.headers(asker)),
                data.recordings[0],
            ) as probe,
        ):
            pids = {"worker": crew.pids[0], "API": service.pid, "feeder": load.pid}
            pids |= {"prober": probe.pid, **servers(stand.client, queue.client)}
            house = _House(stand, queue, crew, probe, load)
            house.probed(1)  # the first one finds everything cold
            for _ in range(stand.rounds):
                found.idle.append(house.probed(house.probes))
                stand.progress.advance(task)
                usage = Usage(pids)
                house.under_load(found)
                found.cores = usage.cores()
                stand.progress.advance(task)
    return Report({"data": data.origin, "freshness": found.as_json()}, [found.table()])


@dataclass
class _House:
    """What the rounds are made with."""

    stand: Stand
    queue: Queue
    crew: Workers
    probe: Helper
    load: Helper

    @property
    def probes(self) -> int:
        return QUICK_PROBES if self.stand.quick else PROBES

    def probed(self, count: int) -> list[float]:
        """Milliseconds of so many probes, one after the other."""
        self.probe.tell(count)
        latencies = self.probe.hear(ROUND_SECONDS)
        return [1000 * seconds for seconds in latencies]

    def under_load(self, found: Found) -> None:
        """Feed half of the maximum while probing; then until all of it is applied."""
        self.load.tell(SHARE * found.maximal)
        self.probe.tell(self.probes)
        while not self.probe.pipe.poll(SAMPLE_SECONDS):
            found.most_waiting = max(found.most_waiting, self.queue.waiting())
        found.loaded.append([1000 * seconds for seconds in self.probe.hear(ROUND_SECONDS)])
        self.load.tell("enough")
        found.fed.append(self.load.hear(ROUND_SECONDS))
        self.crew.until(self.queue.empty, ROUND_SECONDS)


def _maximal(stand: Stand, queue: Queue, recordings: list[Event]) -> float:
    """Events a second of one worker when all wait already; a first run warms up."""
    lines = b"\n".join(map(orjson.dumps, recordings))
    queue.prepare(lambda app: _all(publisher.publish(app, io.BytesIO(lines), lambda _: None)))
    return [_one_run(stand, queue, len(recordings)) for _ in range(2)][-1]


def _one_run(stand: Stand, queue: Queue, count: int) -> float:
    with stand.indices() as names:
        queue.stage()
        settings = environment(stand.addresses.elasticsearch_url, queue, names)
        with workers(WORKER, 1, settings, queue, stand.folder / "workers.log") as crew:
            began = time.monotonic()
            crew.run()
            seconds = time.monotonic() - began
        stand.client.indices.refresh(index=names.recordings)
        found = stand.client.count(index=names.recordings)["count"]
        if found != count:
            raise BenchError(f"{found} of {count} events are written")
    return count / seconds


def _all(report: publisher.Report) -> None:
    if report.refused:
        raise BenchError(f"{len(report.refused)} events were not published")


def _refresh_interval(stand: Stand, names: IndexNames) -> str:
    """As it stands in the index itself. Raises BenchError when it is left at the default."""
    index = names.first_recordings_index
    settings = stand.client.indices.get_settings(index=index, flat_settings=True)
    interval = settings[index]["settings"].get("index.refresh_interval")
    if interval is None:
        raise BenchError("no refresh interval is set: asking would refresh an idle index")
    return str(interval)
