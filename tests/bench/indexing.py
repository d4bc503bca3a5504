"""Section *indexing*: how fast events become documents, and what a worker's memory does.

Ratios within one run: our way beside the fastest way there could be (bare `_bulk` requests of
documents that are rendered already), and beside the ordinary way (a task and a request per event).
"""

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import orjson
from celery import Celery

from indexer import publisher
from indexer.tasks import APPLY_EVENT
from services.indices import IndexNames
from tests.bench import conversations, memory, workload
from tests.bench.broker import Queue, unused_queue
from tests.bench.crews import ORDINARY, WORKER, Crew, clients, environment, workers
from tests.bench.duel import Duel, Side
from tests.bench.errors import BenchError
from tests.bench.ordinary import INDEX_ONE
from tests.bench.report import Comparison, Report, core_table, ratio_table
from tests.bench.stand import Stand
from tests.bench.usage import servers
from tests.bench.workload import Workload

RECORDINGS: Final = 10_000
QUICK_RECORDINGS: Final = 2_000
# Of the ordinary way only so many: it is slow.
SINGLES: Final = 2_000
QUICK_SINGLES: Final = 1_000
LISTS_TARGET: Final = 0.6
SINGLES_TARGET: Final = 6.0

Publish = Callable[[Celery], None]


def run(stand: Stand) -> Report:
    """All comparisons, then the memory run. Raises BenchError."""
    data = conversations.load(QUICK_RECORDINGS if stand.quick else RECORDINGS)
    works = [make(data.recordings) for make in (workload.fresh, workload.updates, workload.notes)]
    crews = (1,) if stand.quick else (1, 2)
    comparisons = [_lists(stand, work, count) for work in works for count in crews]
    few = data.recordings[: QUICK_SINGLES if stand.quick else SINGLES]
    comparisons.append(_singles(stand, workload.fresh(few)))
    remembered = memory.measure(stand, data.recordings)
    return Report(
        {
            "data": data.origin,
            "comparisons": [one.as_json() for one in comparisons],
            "memory": remembered.as_json(),
        },
        [
            ratio_table(f"Events a second: {data.origin}", comparisons),
            core_table(comparisons),
            remembered.table(),
        ],
    )


def _lists(stand: Stand, work: Workload, count: int) -> Comparison:
    """Lists of events through workers ÷ bare bulk of the same documents, as many processes."""
    address = stand.addresses.elasticsearch_url
    with unused_queue(stand.addresses.redis_url) as queue:
        queue.prepare(in_lists(work))
        return Duel(
            f"{work.name}, {count} {'process' if count == 1 else 'processes'}",
            work,
            Side("lists", lambda names: staffed(stand, WORKER, count, queue, names)),
            Side(
                "bare _bulk", lambda names: clients(count, address, names.recordings, work.result)
            ),
            LISTS_TARGET,
            servers(stand.client, queue.client),
        ).fight(stand)


def _singles(stand: Stand, work: Workload) -> Comparison:
    """Messages of one event that are gathered ÷ a task and a request for each."""
    redis_url = stand.addresses.redis_url
    with unused_queue(redis_url) as ours, unused_queue(redis_url) as other:
        ours.prepare(one_by_one(work, APPLY_EVENT))
        other.prepare(one_by_one(work, INDEX_ONE))
        return Duel(
            f"{work.name}, one a message, 1 process",
            work,
            Side("gathered", lambda names: staffed(stand, WORKER, 1, ours, names)),
            Side("a request each", lambda names: staffed(stand, ORDINARY, 1, other, names)),
            SINGLES_TARGET,
            servers(stand.client, ours.client),
        ).fight(stand)


@contextmanager
def staffed(
    stand: Stand, command: Sequence[str], count: int, queue: Queue, names: IndexNames
) -> Iterator[Crew]:
    queue.stage()
    settings = environment(stand.addresses.elasticsearch_url, queue, names)
    with workers(command, count, settings, queue, stand.folder / "workers.log") as crew:
        yield crew


def in_lists(work: Workload) -> Publish:
    """As `recordings-indexer publish` sends a file."""
    lines = b"\n".join(map(orjson.dumps, work.events))
    return lambda app: _complete(publisher.publish(app, io.BytesIO(lines), lambda _: None))


def _complete(report: publisher.Report) -> None:
    if report.refused:
        raise BenchError(f"{len(report.refused)} events were not published")


def one_by_one(work: Workload, task: str) -> Publish:
    def publish(app: Celery) -> None:
        with app.producer_or_acquire() as producer:
            for event in work.events:
                app.send_task(task, args=[event], producer=producer)

    return publish
