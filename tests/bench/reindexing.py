"""Section *reindex*: how fast a new index is filled, and what searches notice of it.

Ratios within one run: from the live index beside Elasticsearch's own `_reindex` of the same
documents, from a file beside bare `_bulk` requests of documents that are rendered already. Both
sides fill an index with the same settings, and each ends with a refresh.
"""

import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from typing import Any, Final

import orjson
import psutil
from rich.table import Table

from indexer.reindex import indices, operator, transitions
from indexer.reindex.transitions import Work
from indexer.sources.opening import INDEX, source_of
from services.indices import ONE_SHARD, IndexNames
from services.settings import ReindexSettings
from tests.bench import conversations, workload
from tests.bench.crews import BIN, ROUND_SECONDS, clients
from tests.bench.errors import BenchError
from tests.bench.report import Comparison, Measure, Report, ratio_table, verdict
from tests.bench.stand import Stand
from tests.bench.usage import Usage
from tests.bench.workload import Workload

RECORDINGS: Final = 10_000
QUICK_RECORDINGS: Final = 2_000
LIVE_TARGET: Final = 0.8
FILE_TARGET: Final = 0.7
SEARCHES: Final = 300
SLOWER: Final = 2.0  # p95 of searches during ÷ before
GROWTH: Final = 1.1  # most memory of the second half ÷ of the first half
SAMPLE_SECONDS: Final = 0.1

# Fills the index of this name.
Fill = Callable[[str], None]


@dataclass
class Impact:
    """Milliseconds of each search before and during a reindex, and its process's memory."""

    before: list[float]
    during: list[float]
    memory: list[int] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        slower = _p95(self.during) / _p95(self.before)
        half = len(self.memory) // 2
        growth = max(self.memory[half:]) / max(self.memory[:half])
        return {
            "searchesBefore": len(self.before),
            "searchesDuring": len(self.during),
            "p95BeforeMs": _p95(self.before),
            "p95DuringMs": _p95(self.during),
            "p95Ratio": slower,
            "p95Met": slower <= SLOWER,
            "memoryMaximumBytes": max(self.memory),
            "memoryGrowth": growth,
            "memoryFlat": growth <= GROWTH,
        }

    def table(self) -> Table:
        found = self.as_json()
        table = Table("", "", "target", "", title="While a reindex runs")
        table.add_row("search p95 before", f"{found['p95BeforeMs']:.1f} ms", "", "")
        table.add_row("search p95 during", f"{found['p95DuringMs']:.1f} ms", "", "")
        ratio = f"{found['p95Ratio']:.2f}"
        table.add_row("during ÷ before", ratio, f"≤ {SLOWER:g}", verdict(found["p95Met"]))
        most = f"{found['memoryMaximumBytes'] / 1e6:.0f} MB"
        table.add_row("most memory of the process", most, "", "")
        growth = f"{found['memoryGrowth']:.2f}"
        flat = verdict(found["memoryFlat"])
        table.add_row("its second half ÷ its first half", growth, f"≤ {GROWTH}", flat)
        return table


def run(stand: Stand) -> Report:
    """Both comparisons, then the impact. Raises BenchError."""
    data = conversations.load(QUICK_RECORDINGS if stand.quick else RECORDINGS)
    work = workload.fresh(data.recordings)
    file = stand.folder / "reindex-events.ndjson"
    file.write_bytes(b"".join(orjson.dumps(event) + b"\n" for event in work.events))
    try:
        comparisons = [_live(stand, work), _file(stand, work, file)]
    finally:
        file.unlink()
    impact = _impact(stand, work)
    return Report(
        {
            "data": data.origin,
            "comparisons": [one.as_json() for one in comparisons],
            "impact": impact.as_json(),
        },
        [ratio_table(f"Documents a second: {data.origin}", comparisons), impact.table()],
    )


def _live(stand: Stand, work: Workload) -> Comparison:
    with stand.indices() as names:
        _fill(stand, names, work)

        def copy(index: str) -> None:
            patient = stand.client.options(request_timeout=ROUND_SECONDS)
            patient.reindex(source={"index": names.recordings}, dest={"index": index})

        rounds = _Ring(stand, names, work).fight("live index", INDEX, lambda: nullcontext(copy))
    return Comparison("live index", "reindex", "_reindex", rounds, LIVE_TARGET)


def _file(stand: Stand, work: Workload, file: Path) -> Comparison:
    with stand.indices() as names:
        alias = names.written(_other_index(names))
        requests = work.result

        @contextmanager
        def ready() -> Iterator[Fill]:
            lanes = ReindexSettings().slices
            with clients(lanes, stand.addresses.elasticsearch_url, alias, requests) as crew:
                yield lambda _: crew.run()

        rounds = _Ring(stand, names, work).fight("file", str(file), ready)
    return Comparison("file", "reindex", "bare _bulk", rounds, FILE_TARGET)


@dataclass(frozen=True, slots=True)
class _Ring:
    """Where the two sides meet: a live index, and a new one for each side in turn."""

    stand: Stand
    names: IndexNames
    work: Workload

    def fight(
        self, title: str, source: str, other: Callable[[], AbstractContextManager[Fill]]
    ) -> Sequence[tuple[Measure, Measure]]:
        """All rounds; a first pair warms the servers up and is not counted."""
        task = self.stand.progress.add_task(title, total=2 * (self.stand.rounds + 1))
        rounds = []
        for _ in range(self.stand.rounds + 1):
            ours = self._ours(source)
            self.stand.progress.advance(task)
            with other() as fill:
                rounds.append((ours, self._theirs(fill)))
            self.stand.progress.advance(task)
        return rounds[1:]

    def _ours(self, source: str) -> Measure:
        client, names, settings = self.stand.client, self.names, ReindexSettings()
        session = operator.begin(client, names, source)
        reindex = session.reindex
        filler = transitions.make_filler(client, names, session, settings, region_of=lambda _: None)
        opened = source_of(source, settings, client, reindex.old, session.stopping)
        work = Work(
            client, names, session, opened, filler, settings.slices, lambda _: None, lambda _: None
        )
        transitions.begin_dual_writing(work)
        transitions.begin_backfilling(work)
        measure = self._measured(reindex.new, lambda: transitions.fill(work))
        operator.abort(client, names)
        return measure

    def _theirs(self, fill: Fill) -> Measure:
        index = _other_index(self.names)
        settings = indices.settings_of_every_day(ONE_SHARD) | indices.FAST
        indices.create(self.stand.client, self.names, index, settings)
        try:
            return self._measured(index, lambda: fill(index))
        finally:
            self.stand.client.indices.delete(index=index)

    def _measured(self, index: str, fill: Callable[[], None]) -> Measure:
        count = len(self.work.events)
        usage = Usage({})
        began = time.monotonic()
        fill()
        self.stand.client.indices.refresh(index=index)
        seconds = time.monotonic() - began
        found = self.stand.client.count(index=index)["count"]
        if found != count:
            raise BenchError(f"{found} of {count} documents are in the new index")
        return Measure(count, seconds, usage.cores())


def _impact(stand: Stand, work: Workload) -> Impact:
    """Searches one after the other, before and while the command runs."""
    with stand.indices() as names:
        _fill(stand, names, work)
        before = [_search(stand, names) for _ in range(2 * SEARCHES)][SEARCHES:]
        process = subprocess.Popen(
            [BIN / "recordings-indexer", "reindex", "start"],
            env={
                "RECORDINGS_ELASTICSEARCH_URL": stand.addresses.elasticsearch_url,
                "RECORDINGS_INDEX_PREFIX": names.prefix,
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        impact = Impact(before, [])
        due = 0.0
        while process.poll() is None:
            impact.during.append(_search(stand, names))
            if time.monotonic() > due:
                impact.memory.append(psutil.Process(process.pid).memory_info().rss)
                due = time.monotonic() + SAMPLE_SECONDS
        if process.returncode:
            raise BenchError(f"the reindex ended with {process.returncode}")
        operator.rollback(stand.client, names)
        operator.abort(stand.client, names)
    return impact


def _search(stand: Stand, names: IndexNames) -> float:
    """Milliseconds of a search for a common word."""
    began = time.monotonic()
    stand.client.search(
        index=names.recordings,
        query={"bool": {"filter": [{"prefix": {"folded.agent": "tha"}}]}},
        sort=[{"date": "desc"}],
        source_includes=["recordingId"],
        size=20,
        track_total_hits=True,
        request_cache=False,
    )
    return (time.monotonic() - began) * 1000


def _fill(stand: Stand, names: IndexNames, work: Workload) -> None:
    for lines in work.result:
        operations: list[Any] = list(lines)
        stand.client.bulk(index=names.recordings, operations=operations)
    stand.client.indices.flush(index=names.recordings)
    stand.client.indices.refresh(index=names.recordings)


def _other_index(names: IndexNames) -> str:
    return f"{names.recordings}-900000"


def _p95(values: Sequence[float]) -> float:
    return quantiles(values, n=20)[-1]
