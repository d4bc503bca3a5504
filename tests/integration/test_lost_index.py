"""`init` after an index of recordings was lost: what the state says is there again."""

import uuid
from collections.abc import Callable, Iterator

import pytest
from elasticsearch import Elasticsearch

from indexer import admin
from indexer.reindex import indices, operator, transitions
from indexer.reindex.state import Phase, Store, TakenOverError
from indexer.sink import Sink
from indexer.write_set import written_indices
from services.errors import BackendError
from services.indices import IndexNames, Layout
from tests.integration.test_reindex import Place, saved

FIRST, SECOND, THIRD = (f"-recordings-{number:06}" for number in (1, 2, 3))


@pytest.fixture
def place(elasticsearch: Elasticsearch, make_sink: Callable[..., Sink]) -> Iterator[Place]:
    names = IndexNames(f"test-{uuid.uuid4().hex[:8]}")
    admin.create_missing(elasticsearch, names)
    made = Place(elasticsearch, names, make_sink(names=names, deadline=0.3), [])
    made.sink.apply([saved("kept")])
    yield made
    elasticsearch.indices.delete(index=list(elasticsearch.indices.get(index=f"{names.prefix}-*")))


def found(place: Place) -> int:
    place.client.indices.refresh(index=place.names.recordings)
    count: int = place.client.count(index=place.names.recordings)["count"]
    return count


def phase(place: Place) -> Phase | None:
    reindex = Store(place.client, place.names).read().reindex
    return reindex.phase if reindex else None


def test_a_worker_goes_on_where_the_index_is_anew(place: Place) -> None:
    """Its set of indices is out of date, and it must not take the new one for the lost one."""
    place.client.indices.delete(index=place.names.first_recordings_index)
    with pytest.raises(BackendError):
        place.sink.apply([saved("waits")])
    new = f"{place.names.prefix}{SECOND}"
    made = admin.create_missing(place.client, place.names, Layout(shards=2))
    assert made == [new, place.names.recordings]
    place.sink.apply([saved("waits")])
    assert found(place) == 1
    assert written_indices(place.client, place.names) == [new]
    settings = place.client.indices.get_settings(index=new)[new]["settings"]["index"]
    assert settings["number_of_shards"] == "2"
    assert admin.create_missing(place.client, place.names) == []


def dual_writing(place: Place) -> None:
    place.backfilling()


def swapped(place: Place) -> None:
    transitions.run(place.begin())


def rolled_back(place: Place) -> None:
    swapped(place)
    operator.rollback(place.client, place.names)


def retired(place: Place) -> None:
    swapped(place)
    operator.retire(place.client, place.names)


def aborted(place: Place) -> None:
    place.backfilling()
    operator.abort(place.client, place.names)


@pytest.mark.parametrize(
    ("reach", "lost", "ends"),
    [
        pytest.param(dual_writing, FIRST, (THIRD, 0, Phase.ABORTED), id="filling, the old one"),
        pytest.param(dual_writing, SECOND, (FIRST, 1, Phase.ABORTED), id="filling, the new one"),
        pytest.param(swapped, FIRST, (SECOND, 1, Phase.RETIRED), id="swapped, the old one"),
        pytest.param(swapped, SECOND, (FIRST, 1, Phase.ABORTED), id="swapped, the new one"),
        pytest.param(rolled_back, FIRST, (SECOND, 1, Phase.RETIRED), id="rolled back, the old one"),
        pytest.param(retired, SECOND, (THIRD, 0, Phase.ABORTED), id="after a reindex"),
        pytest.param(aborted, FIRST, (THIRD, 0, Phase.ABORTED), id="after an abort"),
    ],
)
def test_one_index_is_lost_around_a_reindex(
    place: Place, reach: Callable[[Place], None], lost: str, ends: tuple[str, int, Phase]
) -> None:
    """What holds everything is kept; an empty one is made only where nothing does."""
    left, kept, last = ends
    reach(place)
    prefix = place.names.prefix
    place.client.indices.delete(index=f"{prefix}{lost}")
    admin.create_missing(place.client, place.names)
    assert indices.read_index(place.client, place.names) == f"{prefix}{left}"
    assert written_indices(place.client, place.names) == [f"{prefix}{left}"]
    assert (found(place), phase(place)) == (kept, last)
    place.sink.apply([saved("later")])
    assert found(place) == kept + 1
    assert admin.create_missing(place.client, place.names) == []
    transitions.run(place.begin())
    assert found(place) == kept + 1


def test_a_reindex_at_work_gives_up(place: Place) -> None:
    work = place.backfilling()
    place.client.indices.delete(index=work.reindex.old)
    admin.create_missing(place.client, place.names)
    with pytest.raises(TakenOverError, match="given up"):
        work.session.change(lambda reindex: reindex)


def test_killed_between_the_steps(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.client.indices.delete(index=place.names.first_recordings_index)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    for owner, step in ((Store, "settle"), (place.client.indices, "put_alias")):
        with monkeypatch.context() as patch:
            patch.setattr(owner, step, killed)
            with pytest.raises(KeyboardInterrupt):
                admin.create_missing(place.client, place.names)
    admin.create_missing(place.client, place.names)
    assert indices.read_index(place.client, place.names) == f"{place.names.prefix}{SECOND}"
    assert written_indices(place.client, place.names) == [f"{place.names.prefix}{SECOND}"]


@pytest.mark.parametrize("which", ["recordings", "recordings-000001-write"])
def test_an_alias_that_is_missing(place: Place, which: str) -> None:
    alias = f"{place.names.prefix}-{which}"
    index = place.names.first_recordings_index
    place.client.indices.delete_alias(index=index, name=alias)
    assert admin.create_missing(place.client, place.names) == [alias]
    place.sink.apply([saved("later")])
    assert found(place) == 2
