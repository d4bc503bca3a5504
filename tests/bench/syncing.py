"""Section *sync*: our worker beside PGSync, a general tool, over the same changes.

Two forms of the same recordings in PostgreSQL, each with its figures:

tables              the main comparison, what a product has and such a tool is for: a table each of
                    recordings, turns, notes and tags, which PGSync joins (see `relations`); its
                    plugin, the documented way, puts the texts where our mapping has them. One
                    transaction for each recording with its turns and tags, each note, each update
ready-made rows     the most favourable to PGSync: a row is the document (see `tables`), and PGSync
                    moves bytes. Our worker does its whole work in both

What is timed, on both sides: from the moment when all changes are there, to the refresh after
which all of them are found, by processes that have started and wait already.

ours      one worker of default settings; the events are in Redis at once, when the clock starts
PGSync    its daemon, as it is documented: triggers, its queue in Redis, its two consumers. It has
          started, has made its first pass over what was there, and is held still (SIGSTOP) while
          the changes are committed in PostgreSQL; it goes on when the clock starts. Neither the
          commits nor its triggers in them are timed, nor what PGSync still repeats of documents
          that are complete: it writes a document for the recording's row and again for its turns
          and tags, mostly with the same content

Nor is it timed what our way asks of the product: to publish events, where PGSync reads the tables.

PGSync has the fastest settings of those tried over ready-made rows (`pgsync.TUNED`), but for
*PGSync as it comes*, its defaults: nobody has looked for faster ones over tables. *By WAL* is its
other mode, without triggers and queue: it follows the replication slot, and makes a query and a
request for each transaction. *The most there could be* is no target: the same documents in bare
bulk requests. It says how far ahead of PGSync a program can be at all where Elasticsearch does the
same work for both, on this machine.

Both write the same documents (200 are compared after each round) under the same ids into an index
of the same mapping and refresh; the copies for prefixes and phrases are Elasticsearch's `copy_to`
on both sides. PGSync has one field more, the keys of all its rows: of the tables it is indexed,
since PGSync searches in it, of ready-made rows it is not. PostgreSQL may lose everything (no
fsync). It counts as *everything else* where processor time is shown.

Of 1,000 recordings in tables PGSync has some 17,500 notices and writes some 2,600 documents: each
recording again whenever a portion of its queue has a turn or a tag of it. Of a full queue of
ready-made rows its daemon makes one query and few requests for 1,000 changes, as of notes and
updates over tables, so that each side spends more of the processor in Elasticsearch than in itself.
No program can reach the target where bare bulk requests miss it.

PGSync publishes no rate itself. A user of 2.1.10 took over a minute for 65,000 small rows, about
1,000 a second: https://github.com/toluaina/pgsync/issues/233
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from rich.table import Table

from indexer.tasks import APPLY_EVENT
from tests.bench import conversations, databases, pgsync, postgres, workload
from tests.bench.broker import Queue, unused_queue
from tests.bench.crews import WORKER, clients
from tests.bench.databases import Form
from tests.bench.duel import Duel, Side
from tests.bench.indexing import Publish, in_lists, one_by_one, staffed
from tests.bench.pgsync import AS_IT_COMES, DAEMON, WAL, Bridge, Mode
from tests.bench.postgres import Postgres
from tests.bench.relations import RELATIONAL
from tests.bench.report import Comparison, Report, core_table, ratio_table
from tests.bench.stand import Stand
from tests.bench.tables import READY_MADE
from tests.bench.usage import servers
from tests.bench.workload import Workload

RECORDINGS: Final = 2_000
QUICK_RECORDINGS: Final = 1_000
# Of the mode that needs a query and a request for each transaction only so many: it is slow.
SINGLES: Final = 250
JOINED: Final = 1_000  # of the tables: each recording is some 17 rows
TARGET: Final = 5.0
MISSING: Final = "PostgreSQL is not installed (Debian: apt-get install postgresql): no comparison."
# Changes in one transaction of a bulk load, as many as are in a message of a list.
TOGETHER: Final = 500


@dataclass(frozen=True, slots=True)
class Rival:
    """PGSync's parts, ready for any work."""

    stand: Stand
    postgres: Postgres
    programs: Path
    room: Queue

    def prepare(self, form: Form, work: Workload) -> None:
        """Before the first bridge for this work."""
        databases.prepare(self.postgres, form, work)

    def bridge(self, form: Form, work: Workload, mode: Mode, together: int) -> Bridge:
        return Bridge(
            stand=self.stand,
            postgres=self.postgres,
            programs=self.programs,
            room=self.room,
            form=form,
            work=work,
            mode=mode,
            together=together,
        )


def run(stand: Stand) -> Report:
    """All comparisons; only a word where PostgreSQL is missing. Raises BenchError."""
    programs = postgres.binaries()
    if programs is None:
        return _nothing()
    data = conversations.load(QUICK_RECORDINGS if stand.quick else RECORDINGS)
    with _rival(stand, programs) as rival:
        comparisons = list(_comparisons(rival, data.recordings))
    return Report(
        {"data": data.origin, "comparisons": [one.as_json() for one in comparisons]},
        [
            ratio_table(f"Changes a second beside PGSync: {data.origin}", comparisons),
            core_table(comparisons),
        ],
    )


def _nothing() -> Report:
    table = Table("sync")
    table.add_row(MISSING)
    return Report({"missing": MISSING}, [table])


@contextmanager
def _rival(stand: Stand, programs: Path) -> Iterator[Rival]:
    place = pgsync.install(stand.folder)
    with (
        postgres.cluster(programs, stand.folder / "postgres.log") as server,
        unused_queue(stand.addresses.redis_url) as room,
    ):
        yield Rival(stand, server, place, room)


def _comparisons(rival: Rival, recordings: list[conversations.Event]) -> Iterator[Comparison]:
    yield from _relational(rival, recordings)
    yield from _ready_made(rival, recordings)


def _relational(rival: Rival, recordings: list[conversations.Event]) -> Iterator[Comparison]:
    new = workload.fresh(recordings[:JOINED])
    rival.prepare(RELATIONAL, new)
    bridge = rival.bridge(RELATIONAL, new, DAEMON, 1)
    yield _worker(bridge, "one at a time", one_by_one(new, APPLY_EVENT))
    yield _worker(bridge, "ours in lists", in_lists(new))
    plain = rival.bridge(RELATIONAL, new, AS_IT_COMES, 1)
    yield _worker(plain, "PGSync as it comes", one_by_one(new, APPLY_EVENT))
    for change in workload.notes, workload.updates:
        work = change(recordings[:JOINED])
        rival.prepare(RELATIONAL, work)
        bridge = rival.bridge(RELATIONAL, work, DAEMON, 1)
        yield _worker(bridge, "one at a time", one_by_one(work, APPLY_EVENT))


def _ready_made(rival: Rival, recordings: list[conversations.Event]) -> Iterator[Comparison]:
    new = workload.fresh(recordings)
    rival.prepare(READY_MADE, new)
    singly = rival.bridge(READY_MADE, new, DAEMON, 1)
    yield _worker(singly, "one at a time", one_by_one(new, APPLY_EVENT))
    yield _worker(rival.bridge(READY_MADE, new, DAEMON, TOGETHER), "in bulk", in_lists(new))
    yield _ceiling(singly)
    changed = workload.updates(recordings)
    rival.prepare(READY_MADE, changed)
    bridge = rival.bridge(READY_MADE, changed, DAEMON, 1)
    yield _worker(bridge, "one at a time", one_by_one(changed, APPLY_EVENT))
    few = workload.fresh(recordings[:SINGLES])
    rival.prepare(READY_MADE, few)
    bridge = rival.bridge(READY_MADE, few, WAL, 1)
    yield _worker(bridge, "one at a time, by WAL", one_by_one(few, APPLY_EVENT))


def _worker(bridge: Bridge, how: str, publish: Publish) -> Comparison:
    """One worker of ours ÷ PGSync."""
    with unused_queue(bridge.stand.addresses.redis_url) as queue:
        queue.prepare(publish)
        side = Side("one worker", partial(staffed, bridge.stand, WORKER, 1, queue))
        return _fight(bridge, how, side, TARGET)


def _ceiling(bridge: Bridge) -> Comparison:
    """The same documents, rendered already, in bare bulk requests ÷ PGSync: no program that writes
    them can be further ahead of it.
    """
    address, requests = bridge.stand.addresses.elasticsearch_url, bridge.work.result
    side = Side("bare _bulk", lambda names: clients(1, address, names.recordings, requests))
    return _fight(bridge, "the most there could be", side, None)


def _fight(bridge: Bridge, how: str, ours: Side, target: float | None) -> Comparison:
    stand = bridge.stand
    return Duel(
        name=f"{bridge.form.name}: {bridge.work.name}, {how}",
        work=bridge.work,
        ours=ours,
        other=Side("PGSync", bridge.crew),
        target=target,
        servers=servers(stand.client, bridge.room.client),
    ).fight(stand)
