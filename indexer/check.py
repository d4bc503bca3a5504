"""The index against what the product holds: what is missing, stale, orphaned or hidden.

    source ── events ──▶ judged ──▶ suspects (on disk) ──▶ judged again ──▶ missing, stale, hidden
                └─ ids (on disk) ──▶ index, document by document ──▶ orphaned, hidden

missing: the product holds it, the index does not. stale: the index holds an older version, or
another content of this version. orphaned: the index shows it, the product does not hold it. hidden:
it is in the index, and nobody can see it: without owner or tenant, or deleted though the product
holds it.

Memory is bounded: ids and suspects are in a temporary database. What is on its way arrives between
the two judgements; what the index got after the source was made is no orphan. It is the index that
is read that is checked, during a reindex as well.
"""

import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from hashlib import blake2b
from tempfile import NamedTemporaryFile
from threading import Event as Signal
from typing import Any, Final

import orjson
from elasticsearch import Elasticsearch

from indexer import reducer
from indexer.documents import address_of, from_source
from indexer.events import Event, GroupSaved, InvalidEventError, NoteSaved, RecordingSaved, parse
from indexer.reducer import GroupState, Revision, State
from indexer.reindex.versions import FIELDS
from indexer.sources import SourceError
from indexer.sources.file import EventFile
from indexer.sources.http import HttpPages
from indexer.sources.live import Hit, Snapshot, get_many
from services import instants
from services.indices import IndexNames

AGAIN_SECONDS: Final = 3.0
AT_ONCE: Final = 500
# Of trouble of Elasticsearch: the next run of a CronJob is soon.
PATIENCE_SECONDS: Final = 10.0

Numbered = Sequence[tuple[str, object]]
Report = Callable[[str, str], None]


@dataclass(slots=True)
class Check:
    """`report` is called with the kind and the thing of each difference, `repair` (if any) with
    lists of events to publish, `show` with how much more of the source is read.
    """

    client: Elasticsearch
    names: IndexNames
    source: EventFile | HttpPages
    report: Report
    repair: Callable[[list[object]], None] | None
    show: Callable[[int], None]
    counts: Counter[str] = field(default_factory=Counter)

    def run(self) -> Counter[str]:
        """How many differences there are of each kind.

        Raises SourceError and BackendError when the two could not be compared.
        """
        as_of = self.source.as_of
        with NamedTemporaryFile() as file, closing(sqlite3.connect(file.name)) as disk:
            disk.executescript(
                "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
                "CREATE TABLE held (id BLOB PRIMARY KEY) WITHOUT ROWID;"
                "CREATE TABLE suspects (event BLOB);"
            )
            for events, amount in self.source.events():
                self._judge(disk, events)
                self.show(amount)
            self._judge_again(disk, as_of)
            self._look_for_orphans(disk, as_of)
        return self.counts

    def _judge(self, disk: sqlite3.Connection, numbered: Numbered) -> None:
        events = [_valid(place, raw) for place, raw in numbered]
        keys = ((_key(*address_of(event, self.names)[1:], _note_of(event)),) for event in events)
        disk.executemany("INSERT OR IGNORE INTO held VALUES (?)", keys)
        suspects = [
            (orjson.dumps(raw),)
            for (_, raw), verdict in zip(numbered, self._verdicts(events), strict=True)
            if verdict
        ]
        disk.executemany("INSERT INTO suspects VALUES (?)", suspects)

    def _judge_again(self, disk: sqlite3.Connection, as_of: int) -> None:
        found = disk.execute("SELECT event FROM suspects")
        first = True
        while rows := found.fetchmany(AT_ONCE):
            if first:
                time.sleep(AGAIN_SECONDS)  # what is on its way arrives
                first = False
            raws = [orjson.loads(event) for (event,) in rows]
            events = [parse(raw) for raw in raws]
            wrong = [
                (raw, event, verdict)
                for raw, event, verdict in zip(
                    raws, events, self._verdicts(events, as_of), strict=True
                )
                if verdict
            ]
            for _, event, verdict in wrong:
                self._count(verdict, _thing(event))
            if self.repair:
                self.repair([raw for raw, _, verdict in wrong if verdict != "hidden"])

    def _verdicts(self, events: Sequence[Event], as_of: int | None = None) -> list[str | None]:
        """Of each event; what the index deleted after `as_of` is not held against it."""
        states: dict[tuple[str, str], State] = {}
        later: set[tuple[str, str]] = set()
        addresses = [address_of(event, self.names) for event in events]
        for alias in (self.names.recordings, self.names.groups):
            ids = list(dict.fromkeys(own for index, own in addresses if index == alias))
            for hit in get_many(self.client, alias, ids):
                if hit:
                    states[alias, hit["_id"]] = _state_of(hit)
                if hit and _is_later(hit["_source"], as_of):
                    later.add((alias, hit["_id"]))
        return [
            _verdict(event, states.get(address), may_be_deleted=address in later)
            for event, address in zip(events, addresses, strict=True)
        ]

    def _look_for_orphans(self, disk: sqlite3.Connection, as_of: int) -> None:
        stream = Snapshot(
            self.client, self.names.recordings, Signal(), FIELDS, patience=PATIENCE_SECONDS
        )
        try:
            for hits in stream.pages():
                for hit in hits:
                    self._look_at(disk, hit["_id"], hit["_source"], as_of)
        finally:
            stream.close()

    def _look_at(
        self, disk: sqlite3.Connection, identity: str, source: Mapping[str, Any], as_of: int
    ) -> None:
        if source.get("deleted") or _is_later(source, as_of):
            return
        name = f"{source.get('tenantId')}/{source.get('recordingId')}"
        if "tenantId" not in source or "ownerId" not in source:
            self._count("hidden", f"recording {name}")
            return
        if not _is_held(disk, _key(identity)):
            self._count("orphaned", f"recording {name}")
            return
        for note in source.get("notes", ()):
            if "authorId" in note and not _is_held(disk, _key(identity, note["id"])):
                self._count("orphaned", f"note {name}/{note['id']}")

    def _count(self, kind: str, thing: str) -> None:
        self.counts[kind] += 1
        self.report(kind, thing)


def _verdict(event: Event, known: State | None, *, may_be_deleted: bool) -> str | None:
    """What is wrong with what the index knows of this event; None: nothing."""
    before = known or reducer.nothing_of(event)
    revision = _revision(event, before)
    if reducer.apply(before, [event]) != before:
        return "missing" if revision is None else "stale"
    if not isinstance(event, RecordingSaved | NoteSaved | GroupSaved):
        return None
    if revision is None or revision.content is None:
        return None if may_be_deleted else "hidden"
    only = _revision(event, reducer.apply(reducer.nothing_of(event), [event]))
    return "stale" if only and only.version == revision.version and only != revision else None


def _revision(event: Event, state: State) -> Revision | None:
    """What this state knows of the thing that the event is about."""
    if isinstance(state, GroupState):
        return state.group
    if state.deleted is not None:
        return Revision(state.deleted, None)
    note = _note_of(event)
    return state.recording if note is None else state.notes.get(note)


def _state_of(hit: Hit) -> State:
    try:
        return from_source(hit["_source"])
    except (KeyError, TypeError, ValueError, StopIteration):
        raise SourceError(f"the document {hit['_id']} is none that a worker writes") from None


def _is_later(source: Mapping[str, Any], as_of: int | None) -> bool:
    written_at = source.get("writtenAt")
    if as_of is None or written_at is None:
        return False
    return instants.parse(written_at).floor_ms >= as_of


def _valid(place: str, raw: object) -> Event:
    try:
        return parse(raw)
    except InvalidEventError as error:
        raise SourceError(f"{place}: not a valid event: {error}") from None


def _note_of(event: Event) -> str | None:
    return getattr(event, "note_id", None)


def _key(identity: str, note: str | None = None) -> bytes:
    return blake2b(
        f"{identity}/{'' if note is None else '/' + note}".encode(), digest_size=16
    ).digest()


def _is_held(disk: sqlite3.Connection, key: bytes) -> bool:
    return disk.execute("SELECT 1 FROM held WHERE id = ?", (key,)).fetchone() is not None


def _thing(event: Event) -> str:
    names: Iterator[str] = (
        getattr(event, name)
        for name in ("tenant_id", "recording_id", "group_id", "note_id")
        if hasattr(event, name)
    )
    return f"{event.type.partition('.')[0]} {'/'.join(names)}"
