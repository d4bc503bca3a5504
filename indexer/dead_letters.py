"""Events that cannot be applied, kept in Elasticsearch until an operator decides.

    sink ── write ──▶ letters ── find, read ──▶ list, show
      └─── erase ───▶    │ └──── indexer.replay ──▶ the queue, for another attempt
                         └────── discard, indexer.purge

One document for each distinct event, under a digest of its canonical JSON: the same event again
raises `attempts` and `lastAt`. The event is text that is not searchable; what is listed are its
type and ids. A letter with `replayedAt` is back in the queue (see `indexer.replay`), holds no event
and is not found, unless by its id.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from elasticsearch import Elasticsearch

from indexer.bulk import Operation, Verdict, chunks, verdict
from indexer.deletion import delete_where
from indexer.letter import Fields, fields_of, without_event
from services.documents import document_id
from services.errors import BackendError
from services.es_client import TooLargeError, failures_as_ours
from services.indices import IndexNames

AT_ONCE: Final = 500
# Of one request; a single larger letter goes alone.
BULK_BYTES: Final = 5_000_000

_KEYWORD: Final = {"type": "keyword", "ignore_above": 1024}
_STORED: Final = {"type": "keyword", "index": False, "doc_values": False}
MAPPING: Final[dict[str, Any]] = {
    "dynamic": "strict",
    "properties": {
        "reason": _KEYWORD,
        "type": _KEYWORD,
        "tenantId": _KEYWORD,
        "recordingId": _KEYWORD,
        "noteId": _KEYWORD,
        "groupId": _KEYWORD,
        "recordingKey": _KEYWORD,  # the `_id` of the recording's document
        "event": _STORED,
        "size": {"type": "long"},  # of the event's canonical JSON, in bytes
        "firstAt": {"type": "date"},
        "lastAt": {"type": "date"},
        "replayedAt": {"type": "date"},
        "attempts": {"type": "integer"},
    },
}
_AGAIN: Final = """
Map letter = params.letter;
if (ctx.op != 'create') {
  letter.firstAt = ctx._source.firstAt;
  letter.attempts = ctx._source.attempts + 1;
}
ctx._source.clear();
ctx._source.putAll(letter);
"""
_KEEP_ALIVE: Final = "5m"

Query = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter as it was read: its `_id`, its fields, and what a compare-and-set needs."""

    id: str
    source: Mapping[str, Any]
    seen: Mapping[str, int]


def write(client: Elasticsearch, names: IndexNames, letters: Iterable[tuple[object, str]]) -> None:
    """Keep these (event, reason) pairs. Raises BackendError when one could not be kept."""
    keys: set[str] = set()

    def operations() -> Iterator[Operation[tuple[str, Fields]]]:
        for event, reason in letters:
            identity, letter = fields_of(event, reason)
            if "recordingKey" in letter:
                keys.add(letter["recordingKey"])
            yield _operation(identity, letter)

    for chunk in chunks(operations(), AT_ONCE, BULK_BYTES):
        _send(client, names, chunk)
    # A letter may come later than the deletion of its recording. Here we write the letter and then
    # look for the tombstone; the sink writes the tombstone and then calls `erase`. Whichever of the
    # two writes comes second, the step after it sees the first: our look is a realtime get, and
    # `erase` refreshes before it searches. During a reindex the index that is read will do: it has
    # every tombstone, and the sink has written it there, too, before it calls `erase`.
    _erase_keys(client, names, _tombstoned(client, names, sorted(keys)))


def erase(
    client: Elasticsearch, names: IndexNames, recordings: Collection[tuple[str, str]]
) -> None:
    """Remove all letters of those of these recordings (tenant, recording) that are deleted.

    To be called after their tombstones are written, and before the message is acknowledged. A
    deletion that could not be written has its own letter, which stays. Raises BackendError.
    """
    keys = sorted(document_id(*recording) for recording in recordings)
    _erase_keys(client, names, _tombstoned(client, names, keys))


def find(client: Elasticsearch, names: IndexNames, query: Query) -> Iterator[Letter]:
    """The letters that the query finds now, newest first and without their events.

    A snapshot, read page by page: what changes meanwhile neither repeats nor hides anything.
    Raises BackendError.
    """
    with failures_as_ours():
        client.indices.refresh(index=names.dead_letters)
        pit = client.open_point_in_time(index=names.dead_letters, keep_alive=_KEEP_ALIVE)["id"]
    after: Sequence[Any] | None = None
    try:
        while hits := _page(client, pit, query, after):
            yield from map(_read, hits)
            after = hits[-1]["sort"]
    finally:
        with failures_as_ours():
            client.close_point_in_time(id=pit)


def read(
    client: Elasticsearch, names: IndexNames, ids: Sequence[str], *, with_event: bool
) -> list[Letter]:
    """The letters with these ids, as they are this very moment; those that exist.

    Raises BackendError.
    """
    found = []
    for start in range(0, len(ids), AT_ONCE):
        with failures_as_ours():
            answer = client.mget(
                index=names.dead_letters,
                ids=ids[start : start + AT_ONCE],
                source_excludes=None if with_event else ["event"],
            )
        found += [_read(document) for document in answer["docs"] if document.get("found")]
    return found


def counted(client: Elasticsearch, names: IndexNames, query: Query) -> tuple[int, Query]:
    """How many letters the query finds, and a query for these alone: not for those to come.

    Raises BackendError.
    """
    with failures_as_ours():
        client.indices.refresh(index=names.dead_letters)
        hits = client.search(
            index=names.dead_letters,
            query=query,
            size=1,
            sort=[{"lastAt": "desc"}],
            source_includes=["lastAt"],
            track_total_hits=True,
        )["hits"]
    newest = [{"range": {"lastAt": {"lte": hit["_source"]["lastAt"]}}} for hit in hits["hits"]]
    return hits["total"]["value"], {"bool": {"filter": [query, *newest]}}


def discard(client: Elasticsearch, names: IndexNames, query: Query) -> int:
    """Remove the letters that the query finds; returns how many. Raises BackendError."""
    return delete_where(client, names.dead_letters, query)


def with_ids(ids: Sequence[str]) -> Query:
    """The letters with these ids."""
    return {"ids": {"values": list(ids)}}


def waiting(
    *,
    tenant: str | None = None,
    recording: str | None = None,
    type_: str | None = None,
    reason: str | None = None,
    since: int | None = None,
    until: int | None = None,
) -> Query:
    """The letters that were not replayed, of which all this holds.

    `reason` is the whole words that the reason begins with, in any case. `since` (inclusive) and
    `until` (exclusive) are of the last attempt, in milliseconds since 1970.
    """
    exact = {"tenantId": tenant, "recordingId": recording, "type": type_}
    filters: list[Query] = [{"term": {name: value}} for name, value in exact.items() if value]
    if reason:
        # Every character but letters and digits can have a meaning in Lucene's regular expressions.
        literal = re.sub(r"([^A-Za-z0-9])", r"\\\1", reason)
        begins = {"value": f"{literal}([^A-Za-z0-9_].*)?", "case_insensitive": True}
        filters.append({"regexp": {"reason": begins}})
    bounds = {"gte": since, "lt": until}
    times = {name: value for name, value in bounds.items() if value is not None}
    if times:
        filters.append({"range": {"lastAt": times}})
    return {"bool": {"filter": filters, "must_not": [{"exists": {"field": "replayedAt"}}]}}


def _operation(identity: str, letter: Fields) -> Operation[tuple[str, Fields]]:
    action = {"update": {"_id": identity, "retry_on_conflict": 5}}
    script = {"source": _AGAIN, "params": {"letter": letter}}
    body = {"scripted_upsert": True, "script": script, "upsert": {}}
    return Operation((identity, letter), orjson.dumps(action), orjson.dumps(body))


def _send(
    client: Elasticsearch, names: IndexNames, chunk: Sequence[Operation[tuple[str, Fields]]]
) -> None:
    lines: list[Any] = [line for one in chunk for line in (one.action, one.source)]
    try:
        with failures_as_ours():
            answer = client.bulk(index=names.dead_letters, operations=lines, require_alias=True)
    except TooLargeError:
        for part in _less(chunk):
            _send(client, names, part)
        return
    for item in answer["items"]:
        what, error = verdict(item)
        if what is not Verdict.DONE:
            raise BackendError(f"a dead letter could not be written: {error}", retryable=True)


def _less(
    chunk: Sequence[Operation[tuple[str, Fields]]],
) -> list[Sequence[Operation[tuple[str, Fields]]]]:
    """The same in smaller requests, where a server takes less at once than we thought."""
    if len(chunk) > 1:
        middle = len(chunk) // 2
        return [chunk[:middle], chunk[middle:]]
    identity, letter = chunk[0].owner
    if "event" not in letter:
        raise BackendError("a dead letter is too large without its event", retryable=True)
    return [[_operation(identity, without_event(letter))]]


def _tombstoned(client: Elasticsearch, names: IndexNames, keys: Sequence[str]) -> list[str]:
    """Those of these recordings whose document is a tombstone."""
    found = []
    for start in range(0, len(keys), AT_ONCE):
        with failures_as_ours():
            answer = client.mget(
                index=names.recordings,
                ids=keys[start : start + AT_ONCE],
                source_includes=["deleted"],
            )
        for document in answer["docs"]:
            if "error" in document:
                raise BackendError(f"read: {document['error']['type']}", retryable=True)
            if document["found"] and document["_source"].get("deleted"):
                found.append(document["_id"])
    return found


def _erase_keys(client: Elasticsearch, names: IndexNames, keys: Sequence[str]) -> None:
    for start in range(0, len(keys), AT_ONCE):
        query = {"terms": {"recordingKey": keys[start : start + AT_ONCE]}}
        delete_where(client, names.dead_letters, query)


def _page(
    client: Elasticsearch, pit: str, query: Query, after: Sequence[Any] | None
) -> list[dict[str, Any]]:
    with failures_as_ours():
        answer = client.search(
            pit={"id": pit, "keep_alive": _KEEP_ALIVE},
            query=query,
            sort=[{"lastAt": "desc"}],
            search_after=after,
            size=AT_ONCE,
            source_excludes=["event"],
            seq_no_primary_term=True,
            track_total_hits=False,
        )
    hits: list[dict[str, Any]] = answer["hits"]["hits"]
    return hits


def _read(document: Mapping[str, Any]) -> Letter:
    seen = {"if_seq_no": document["_seq_no"], "if_primary_term": document["_primary_term"]}
    return Letter(document["_id"], document["_source"], seen)
