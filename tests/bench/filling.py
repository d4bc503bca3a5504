"""One index of a given size: filled, quiet, and weighed.

bare `_bulk` of rendered documents ──▶ merges are over ──▶ the last ones as events through a worker
──▶ merges are over ──▶ bytes on disk, memory
"""

import io
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import orjson
import psutil
from rich.progress import TaskID

from indexer import publisher
from services.indices import IndexNames
from services.schema import index_settings
from tests.bench.broker import unused_queue
from tests.bench.crews import ROUND_SECONDS, WORKER, environment, workers
from tests.bench.errors import BenchError
from tests.bench.stand import Stand
from tests.bench.usage import ELASTICSEARCH, servers
from tests.bench.workload import Lines
from tests.bench.years import LOT, Years

BY_WORKER: Final = 10_000  # of each size, the last ones
CLIENTS: Final = 2
QUIET_SECONDS: Final = 1.0  # without a merge
POLL_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class Filled:
    """What was seen while an index was filled, and what it weighs; sizes in bytes."""

    documents: int
    bulk_rate: float | None
    worker_rate: float
    worker_memory: int
    on_disk: int
    segments: int
    heap_used: int
    resident: int | None


def fill(stand: Stand, names: IndexNames, years: Years, count: int, task: TaskID) -> Filled:
    """All recordings of this size. Raises BenchError."""
    index = names.first_recordings_index
    by_bulk = count - min(BY_WORKER, count)
    began = time.monotonic()
    with _in_a_hurry(stand, index):
        _in_bulk(stand, index, years.requests(0, by_bulk), task)
    bulk_rate = by_bulk / (time.monotonic() - began) if by_bulk else None
    _until_quiet(stand, index)
    rate, memory, resident = _by_worker(stand, names, years, range(by_bulk, count))
    stand.progress.advance(task, count - by_bulk)
    _until_quiet(stand, index)
    found = stand.client.count(index=index)["count"]
    if found != count:
        raise BenchError(f"{found} of {count} recordings are written")
    stats = stand.client.indices.stats(index=index)["_all"]["primaries"]
    (node,) = stand.client.nodes.stats(metric="jvm")["nodes"].values()
    return Filled(
        documents=count,
        bulk_rate=bulk_rate,
        worker_rate=rate,
        worker_memory=memory,
        on_disk=stats["store"]["size_in_bytes"],
        segments=stats["segments"]["count"],
        heap_used=node["jvm"]["mem"]["heap_used_in_bytes"],
        resident=resident,
    )


@contextmanager
def _in_a_hurry(stand: Stand, index: str) -> Iterator[None]:
    """Neither refresh nor a synced log for each request while it is filled."""
    hurry = {"refresh_interval": "-1", "translog.durability": "async"}
    stand.client.indices.put_settings(index=index, settings=hurry)
    yield
    usual = {"refresh_interval": index_settings()["refresh_interval"], "translog.durability": None}
    stand.client.indices.put_settings(index=index, settings=usual)


def _in_bulk(stand: Stand, index: str, requests: Iterator[Lines], task: TaskID) -> None:
    def send(lines: Lines) -> None:
        operations: list[Any] = list(lines)
        patient = stand.client.options(request_timeout=ROUND_SECONDS)
        if patient.bulk(index=index, operations=operations, filter_path=["errors"])["errors"]:
            raise BenchError("Elasticsearch refused a document")

    with ThreadPoolExecutor(CLIENTS) as pool:
        # So many at once, or all of them would be rendered and held.
        while few := list(islice(requests, 4 * CLIENTS)):
            list(pool.map(send, few))
            stand.progress.advance(task, len(few) * LOT)


def _by_worker(
    stand: Stand, names: IndexNames, years: Years, numbers: range
) -> tuple[float, int, int | None]:
    """Events a second; resident bytes of the worker and of Elasticsearch at the end."""
    lines = b"\n".join(orjson.dumps(years.event(number)) for number in numbers)
    with unused_queue(stand.addresses.redis_url) as queue:
        queue.prepare(lambda app: _publish(publisher.publish(app, io.BytesIO(lines), _nothing)))
        queue.stage()
        settings = environment(stand.addresses.elasticsearch_url, queue, names)
        with workers(WORKER, 1, settings, queue, stand.folder / "workers.log") as crew:
            began = time.monotonic()
            crew.run()
            stand.client.indices.refresh(index=names.recordings)
            seconds = time.monotonic() - began
            memory = psutil.Process(crew.pids[0]).memory_info().rss
        pid = servers(stand.client, queue.client).get(ELASTICSEARCH)
    resident = psutil.Process(pid).memory_info().rss if pid else None
    return len(numbers) / seconds, memory, resident


def _publish(report: publisher.Report) -> None:
    if report.refused:
        raise BenchError(f"{len(report.refused)} events were not published")


def _nothing(_: publisher.Report) -> None:
    """No progress is shown."""


def _until_quiet(stand: Stand, index: str) -> None:
    """Until everything is on disk and no merge has run for a while. Raises BenchError."""
    stand.client.options(request_timeout=ROUND_SECONDS).indices.flush(index=index)
    stand.client.indices.refresh(index=index)
    end = time.monotonic() + ROUND_SECONDS
    quiet_since = time.monotonic()
    while time.monotonic() < quiet_since + QUIET_SECONDS:
        stats = stand.client.indices.stats(index=index, metric="merge")["_all"]["primaries"]
        if stats["merges"]["current"]:
            quiet_since = time.monotonic()
        if time.monotonic() > end:
            raise BenchError("Elasticsearch merges without end")
        time.sleep(POLL_SECONDS)
