"""The steps of a reindex by themselves, with writes at chosen moments between them."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from elasticsearch import Elasticsearch

from indexer import admin, purge
from indexer.reducer import RecordingState
from indexer.reindex import indices, operator, transitions
from indexer.reindex.session import Session
from indexer.reindex.state import Phase, RefusedError, TakenOverError
from indexer.reindex.transitions import DifferentError, Work
from indexer.sink import Sink
from indexer.sources.opening import source_of
from services.documents import document_id
from services.indices import IndexNames, Layout
from services.settings import ReindexSettings, RetentionSettings

OWNER = "1efc024d-0000-4000-8000-00000000000a"


def event(kind: str, recording_id: str, version: int, **more: Any) -> dict[str, Any]:
    return {
        "type": kind,
        "tenantId": "acme",
        "recordingId": recording_id,
        "version": version,
        "occurredAt": "2026-04-25T10:30:00Z",
    } | more


def saved(recording_id: str, version: int = 1) -> dict[str, Any]:
    return event("recording.saved", recording_id, version, recording={"ownerId": OWNER})


def note(recording_id: str, version: int = 1) -> dict[str, Any]:
    return event("note.saved", recording_id, version, noteId="n", note={"text": "hello"})


@dataclass
class Place:
    """Indices of one test's own, and a worker's sink."""

    client: Elasticsearch
    names: IndexNames
    sink: Sink
    said: list[str]

    def begin(self, source: str = "index") -> Work:
        """A reindex that is created, and nothing more."""
        return self.work(operator.begin(self.client, self.names, source))

    def work(self, session: Session) -> Work:
        settings = ReindexSettings()
        reindex = session.reindex
        source = source_of(reindex.source, settings, self.client, reindex.old, session.stopping)
        filler = transitions.make_filler(
            self.client, self.names, session, settings, region_of=lambda _: "IT"
        )
        return Work(
            self.client, self.names, session, source, filler, 2, lambda _: None, self.said.append
        )

    def backfilling(self) -> Work:
        """A reindex that is about to read its source."""
        work = self.begin()
        transitions.begin_dual_writing(work)
        transitions.begin_backfilling(work)
        return work

    def document(self, index: str, recording: str) -> dict[str, Any]:
        found: dict[str, Any] = self.client.get(index=index, id=document_id("acme", recording))[
            "_source"
        ]
        return found


@pytest.fixture
def place(
    elasticsearch: Elasticsearch, make_sink: Callable[..., Sink], request: pytest.FixtureRequest
) -> Iterator[Place]:
    """A parameter is the number of shards."""
    names = IndexNames(f"test-{uuid.uuid4().hex[:8]}")
    admin.create_missing(elasticsearch, names, Layout(shards=getattr(request, "param", 1)))
    place = Place(elasticsearch, names, make_sink(names=names), [])
    place.sink.apply([saved(f"r-{number}") for number in range(50)])
    yield place
    elasticsearch.indices.delete(index=list(elasticsearch.indices.get(index=f"{names.prefix}-*")))


def test_a_document_that_is_written_before_its_slice_is_read_comes_over_whole(
    place: Place,
) -> None:
    """The worker writes the note alone to the new index, and the document leaves its slice."""
    work = place.backfilling()
    beginning = work.source.beginning()
    work.session.change(lambda reindex: replace(reindex, positions=beginning))
    place.sink.apply([note("r-7")])
    place.client.indices.refresh(index=work.reindex.old)
    transitions.fill(work)
    for index in (work.reindex.old, work.reindex.new):
        document = place.document(index, "r-7")
        assert (document["ownerId"], len(document["notes"])) == (OWNER, 1)


@pytest.mark.parametrize("place", [1, 3], indirect=True, ids=["one shard", "several"])
def test_what_leaves_its_slice_for_one_that_was_read_is_in_the_rest(place: Place) -> None:
    """Shards count by themselves: a new number of one can be an old one of another."""
    source = place.begin().source
    beginning = source.beginning()
    parts = source.parts(beginning)
    (first, *others) = sorted(parts)
    found = [one for name in others for page in parts[name] for one in page.read()]
    read = {one.state.recording_id for one in found if isinstance(one.state, RecordingState)}
    left = {f"r-{number}" for number in range(50)} - read
    assert left
    place.sink.apply([note(recording) for recording in left])
    place.client.indices.refresh(index=place.names.recordings)
    found = [one for page in parts[first] for one in page.read()]
    found += [one for page in source.rest(beginning) for one in page.read()]
    noted = {
        one.state.recording_id
        for one in found
        if isinstance(one.state, RecordingState) and one.state.notes and one.state.recording
    }
    assert left <= noted


def test_what_a_worker_wrote_with_old_knowledge_is_written_again(place: Place) -> None:
    """The sink's first question was before the reindex."""
    work = place.begin()
    transitions.begin_dual_writing(work)
    place.sink.apply([saved("late")])
    for index in (work.reindex.old, work.reindex.new):
        assert place.document(index, "late")["version"] == 1


def test_the_settings_of_every_day_come_back(place: Place) -> None:
    work = place.begin()
    transitions.run(work)
    settings = place.client.indices.get_settings(index=work.reindex.new)
    index = settings[work.reindex.new]["settings"]["index"]
    assert index["refresh_interval"] == "1s"
    assert index["auto_expand_replicas"] == Layout().settings()["auto_expand_replicas"]
    assert indices.read_index(place.client, place.names) == work.reindex.new


def test_another_content_in_the_same_version_is_a_difference(place: Place) -> None:
    work = place.backfilling()
    transitions.fill(work)
    place.client.update(index=work.reindex.new, id=document_id("acme", "r-3"), doc={"channels": 2})
    with pytest.raises(DifferentError, match="differences"):
        transitions.run(work)
    assert "recording acme/r-3: channels is not the same" in place.said
    assert work.reindex.phase is Phase.BACKFILLING
    assert indices.read_index(place.client, place.names) == work.reindex.old


def test_what_a_principal_sees_in_one_index_only_is_a_difference(place: Place) -> None:
    work = place.backfilling()
    transitions.fill(work)
    place.client.update(
        index=work.reindex.new, id=document_id("acme", "r-3"), doc={"ownerId": OWNER[:-1] + "b"}
    )
    with pytest.raises(DifferentError):
        transitions.run(work)
    assert any("in the old index only" in line for line in place.said), place.said


def test_who_was_taken_over_stops(place: Place) -> None:
    work = place.backfilling()
    operator.abort(place.client, place.names)
    with pytest.raises(TakenOverError, match="aborted"):
        transitions.run(work)
    assert not place.client.indices.exists(index=work.reindex.new)


def test_what_does_not_fit_the_state_is_refused(place: Place) -> None:
    for command in (operator.resume, operator.abort, operator.rollback, operator.retire):
        with pytest.raises(RefusedError, match="no reindex yet"):
            command(place.client, place.names)
    work = place.begin()
    for refused in (operator.resume, operator.rollback, operator.retire):
        with pytest.raises(RefusedError, match="is created"):
            refused(place.client, place.names)
    transitions.run(work)
    for refused in (operator.resume, operator.abort):
        with pytest.raises(RefusedError, match="is swapped"):
            refused(place.client, place.names)
    operator.retire(place.client, place.names)
    with pytest.raises(RefusedError, match="is retired"):
        operator.abort(place.client, place.names)


def test_tombstones_are_purged_from_both_indices_but_not_while_one_is_filled(
    place: Place,
) -> None:
    place.sink.apply([event("recording.deleted", "r-1", 5)])
    work = place.backfilling()
    with pytest.raises(RefusedError, match="backfilling"):
        purge.tombstone(place.client, place.names, "acme", "r-1")
    with pytest.raises(RefusedError, match="backfilling"):
        purge.tombstones(place.client, place.names, RetentionSettings(), 90)
    transitions.run(work)
    assert purge.tombstone(place.client, place.names, "acme", "r-1")
    place.sink.apply([saved("r-1", 9)])
    for index in (work.reindex.old, work.reindex.new):
        assert place.document(index, "r-1")["version"] == 9


def test_the_age_of_a_tombstone_is_kept(place: Place) -> None:
    place.sink.apply([event("recording.deleted", "r-1", 5)])
    work = place.begin()
    transitions.run(work)
    assert place.document(work.reindex.new, "r-1") == place.document(work.reindex.old, "r-1")
