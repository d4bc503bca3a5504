"""The sink against a real Elasticsearch: what ends in the index, and what in the dead letters."""

import json
import random
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from elasticsearch import Elasticsearch

from indexer import admin, reducer
from indexer.budget import BudgetSpentError
from indexer.documents import to_source
from indexer.events import parse
from indexer.reducer import RecordingState
from indexer.sink import Sink
from services import instants, schema
from services.documents import document_id
from services.errors import BackendError
from services.indices import IndexNames

OWNER = "1efc024d-0000-4000-8000-00000000000a"


def event(kind: str, recording_id: str, version: int, **more: Any) -> dict[str, Any]:
    return {
        "type": kind,
        "tenantId": "acme",
        "recordingId": recording_id,
        "version": version,
        "occurredAt": "2026-04-25T10:30:00Z",
    } | more


def saved(recording: str, version: int, **content: Any) -> dict[str, Any]:
    return event("recording.saved", recording, version, recording={"ownerId": OWNER} | content)


def note(recording: str, version: int, text: str) -> dict[str, Any]:
    content = {"authorId": OWNER, "text": text}
    return event("note.saved", recording, version, noteId="n", note=content)


Stored = Callable[[str], dict[str, Any] | None]


@pytest.fixture
def stored(elasticsearch: Elasticsearch, names: IndexNames) -> Stored:
    def read(recording: str) -> dict[str, Any] | None:
        found = elasticsearch.options(ignore_status=404).get(
            index=names.recordings, id=document_id("acme", recording)
        )
        source: dict[str, Any] | None = found.get("_source")
        return source

    return read


@pytest.fixture
def letters(elasticsearch: Elasticsearch, names: IndexNames) -> Callable[[], list[dict[str, Any]]]:
    def read() -> list[dict[str, Any]]:
        elasticsearch.indices.refresh(index=names.dead_letters)
        hits = elasticsearch.search(index=names.dead_letters, size=100)["hits"]["hits"]
        return [hit["_source"] for hit in hits]

    return read


def test_events_of_one_recording_in_many_calls_and_any_order(sink: Sink, stored: Stored) -> None:
    history = [saved("a", v, duration=v, language="it") for v in range(5)]
    history += [note("a", v, f"nota {v}") for v in range(5)]
    random.Random(7).shuffle(history)
    for one in history + history[:5]:
        sink.apply([one])
    expected = reducer.apply(RecordingState("acme", "a"), map(parse, history))
    document = stored("a")
    assert document is not None
    assert abs(instants.parse(document.pop("writtenAt")).floor_ms - time.time() * 1000) < 60_000
    assert document == to_source(expected, "IT")


def test_outcomes_are_counted(sink: Sink) -> None:
    assert sink.apply([saved("b", 1), saved("b", 2)]) == {"done": 2}
    assert sink.apply([saved("b", 1), saved("c", 1)]) == {"done": 1, "superseded": 1}


def test_two_writers_lose_no_update(make_sink: Callable[..., Sink], stored: Stored) -> None:
    notes = [
        event("note.saved", "shared", 1, noteId=f"n-{n}", note={"text": str(n)}) for n in range(40)
    ]
    sinks = [make_sink() for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: sinks[n % 4].apply([notes[n]]), range(40)))
    document = stored("shared")
    assert document is not None
    assert len(document["notes"]) == 40


def test_a_deletion_leaves_ids_and_version_only(sink: Sink, stored: Stored) -> None:
    sink.apply([saved("gone", 1, language="en"), note("gone", 1, "secret")])
    sink.apply([event("recording.deleted", "gone", 2)])
    sink.apply([saved("gone", 9), note("gone", 9, "secret")])
    document = stored("gone")
    assert document is not None
    assert abs(instants.parse(document.pop("writtenAt")).floor_ms - time.time() * 1000) < 60_000
    assert document == {
        "tenantId": "acme",
        "recordingId": "gone",
        "version": 2,
        "deleted": True,
    }


def test_small_bulk_requests_end_the_same(
    make_sink: Callable[..., Sink], elasticsearch: Elasticsearch, names: IndexNames
) -> None:
    events = [saved(f"many-{n}", 1) for n in range(25)]
    make_sink(bulk_count=7, bulk_bytes=1_000).apply(events)
    ids = [document_id("acme", f"many-{n}") for n in range(25)]
    found = elasticsearch.mget(index=names.recordings, ids=ids)["docs"]
    assert all(document["found"] for document in found)


def test_a_poison_event_goes_alone(
    sink: Sink, stored: Stored, letters: Callable[[], list[dict[str, Any]]]
) -> None:
    poison = saved("poison", 1, ownerId="nobody")
    odd = {"type": "recording.saved", "tenantId": "\ud800"}
    outcomes = sink.apply([saved("good-1", 1), poison, odd, 5, saved("good-2", 1)])
    assert outcomes == {"done": 2, "dead": 3}
    assert stored("good-1")
    assert stored("good-2")
    assert stored("poison") is None
    sink.apply([poison])
    (kept,) = [letter for letter in letters() if letter.get("recordingId") == "poison"]
    assert kept["reason"].startswith("recording.ownerId")
    assert kept["attempts"] == 2
    assert _events([kept]) == [poison]
    assert [event for event in (odd, 5) if event not in _events(letters())] == []


def test_an_event_on_which_we_fail_goes_alone(
    sink: Sink,
    elasticsearch: Elasticsearch,
    names: IndexNames,
    stored: Stored,
    letters: Callable[[], list[dict[str, Any]]],
) -> None:
    broken = {"tenantId": "acme", "recordingId": "broken", "ownerId": OWNER}
    elasticsearch.index(index=names.recordings, id=document_id("acme", "broken"), document=broken)
    events = [saved("before", 1), saved("broken", 1), saved("after-1", 1), saved("after-2", 1)]
    assert sink.apply(events)["dead"] == 1
    assert all(stored(name) for name in ("before", "after-1", "after-2"))
    (kept,) = [letter for letter in letters() if letter.get("recordingId") == "broken"]
    assert kept["reason"] == "unexpected KeyError"


def test_a_recording_above_the_limit_goes_alone(
    make_sink: Callable[..., Sink],
    stored: Stored,
    letters: Callable[[], list[dict[str, Any]]],
) -> None:
    large = saved("large", 1, transcript=[{"speaker": "agent", "offset": 0, "text": "x" * 5000}])
    sink = make_sink(max_document_bytes=5000)
    assert sink.apply([saved("small", 1), large]) == {"done": 1, "dead": 1}
    assert stored("small")
    (kept,) = [letter for letter in letters() if letter.get("recordingId") == "large"]
    assert kept["reason"] == "larger than 5000 bytes"


@pytest.mark.parametrize("first", [True, False], ids=["first", "last"])
def test_of_one_recording_only_the_event_to_blame_is_refused(
    make_sink: Callable[..., Sink],
    stored: Stored,
    letters: Callable[[], list[dict[str, Any]]],
    first: bool,
) -> None:
    recording = f"mixed-{first}"
    good = [saved(recording, 2), event("note.saved", recording, 1, noteId="a", note={"text": "a"})]
    large = event("note.saved", recording, 1, noteId="b", note={"text": "x" * 5000})
    events = [large, *good] if first else [*good, large]
    assert make_sink(max_document_bytes=5000).apply(events) == {"done": 2, "dead": 1}
    document = stored(recording)
    assert document is not None
    assert document["version"] == 2
    assert [one["id"] for one in document["notes"]] == ["a"]
    (kept,) = [letter for letter in letters() if letter.get("recordingId") == recording]
    assert _events([kept]) == [large]


def test_what_elasticsearch_refuses_goes_alone(
    make_sink: Callable[..., Sink], elasticsearch: Elasticsearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mapping that does not fit: its channels are addresses."""
    monkeypatch.setitem(schema.FIELDS, "channels", {"type": "ip"})
    names = IndexNames(f"test-{uuid.uuid4().hex[:8]}")
    admin.create_missing(elasticsearch, names)
    bad = saved("a", 1, channels=2)
    try:
        outcomes = make_sink(names=names).apply([bad, note("a", 1, "hi"), saved("b", 1)])
        assert outcomes == {"done": 2, "dead": 1}
        elasticsearch.indices.refresh(index=f"{names.prefix}-*")
        assert elasticsearch.count(index=names.recordings)["count"] == 2
        (kept,) = elasticsearch.search(index=names.dead_letters)["hits"]["hits"]
        assert kept["_source"]["reason"] == "Elasticsearch: document_parsing_exception"
        assert _events([kept["_source"]]) == [bad]
    finally:
        elasticsearch.indices.delete(index=names.first_indices)


def test_groups_are_kept_apart(sink: Sink, elasticsearch: Elasticsearch, names: IndexNames) -> None:
    def group(version: int, **more: Any) -> dict[str, Any]:
        envelope = {"tenantId": "acme", "groupId": "g", "version": version}
        return envelope | {"occurredAt": "2026-04-25T10:30:00Z"} | more

    members = {"type": "group.saved", "group": {"members": [OWNER]}}
    events = [group(2, type="group.deleted"), group(1, **members), group(3, **members)]
    assert sink.apply(events) == {"done": 3}
    found = elasticsearch.get(index=names.groups, id=document_id("acme", "g"))["_source"]
    assert found.pop("writtenAt")
    assert found == {"tenantId": "acme", "groupId": "g", "version": 3, "members": [OWNER]}
    assert sink.apply([group(4, type="group.deleted"), group(3, **members)]) == {"done": 2}
    found = elasticsearch.get(index=names.groups, id=document_id("acme", "g"))["_source"]
    assert found.pop("writtenAt")
    assert found == {"tenantId": "acme", "groupId": "g", "version": 4, "deleted": True}


def test_when_most_events_fail_the_dead_letters_are_not_filled(
    make_sink: Callable[..., Sink], letters: Callable[[], list[dict[str, Any]]]
) -> None:
    sink, before = make_sink(), len(letters())
    sink.apply([saved(f"fine-{n}", 1) for n in range(400)])
    sink.apply([saved(f"bad-{n}", 1, ownerId="nobody") for n in range(50)])
    with pytest.raises(BudgetSpentError, match="550 of the last 950"):
        sink.apply([saved(f"worse-{n}", 1, ownerId="nobody") for n in range(500)])
    assert len(letters()) == before + 50


def test_a_long_transcript_goes_through(sink: Sink, stored: Stored) -> None:
    turns = [{"speaker": "agent", "offset": n, "text": "word " * 100} for n in range(5_000)]
    assert sink.apply([saved("long", 1, transcript=turns, language="en")])["done"] == 1
    document = stored("long")
    assert document is not None
    assert len(document["transcript"]) == 5_000


def test_nothing_is_written_where_no_index_is(
    make_sink: Callable[..., Sink], elasticsearch: Elasticsearch
) -> None:
    nowhere = IndexNames("test-nowhere")
    with pytest.raises(BackendError) as caught:
        make_sink(names=nowhere, deadline=0.5).apply([saved("a", 1)])
    assert caught.value.retryable
    assert not elasticsearch.indices.exists(index=f"{nowhere.recordings},{nowhere.dead_letters}")


def test_a_stop_is_heard_while_waiting(make_sink: Callable[..., Sink]) -> None:
    sink = make_sink(client=Elasticsearch("http://127.0.0.1:9", max_retries=0), deadline=3600)
    sink.stopping.requested = True  # type: ignore[attr-defined]
    with pytest.raises(BackendError, match="stopping"):
        sink.apply([saved("a", 1)])


def _events(letters: list[dict[str, Any]]) -> list[Any]:
    return [json.loads(letter["event"]) for letter in letters]
