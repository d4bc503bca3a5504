"""Pages that are sought in time are the pages that sorting everything gives."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from elasticsearch import Elasticsearch

from api import seeking, ties
from api.cursors import SortValues
from api.orders import by
from api.search import RecordingSearch
from api.wire import Search
from services.acl import Principal, Role
from services.documents import document_id
from services.indices import IndexNames

BOSS: Final = Principal("acme", "1efc024d-0000-4000-8000-00000000000a", Role.ADMINISTRATOR)
COUNT: Final = 600
RELEASED: Final = datetime(1969, 11, 20, tzinfo=UTC)


@pytest.fixture(scope="module", autouse=True)
def recordings(elasticsearch: Elasticsearch, names: IndexNames) -> None:
    """Many in one hour and at one moment, some years apart, before 1970 too; some without a date.

    No event makes a recording without a date, but an order must not lose one.
    """
    rng = random.Random(5)
    operations: list[Any] = []
    for number in range(COUNT):
        days = rng.choice((0, 0, 30, 40, 41, 400, 9_000)) + rng.choice((0, 1, 29))
        date = RELEASED + timedelta(days=days, minutes=rng.choice((0, 0, 1, 90)))
        operations += [
            {"index": {"_id": document_id("acme", str(number))}},
            {
                "tenantId": "acme",
                "ownerId": BOSS.user_id,
                "recordingId": f"r-{number}",
                "direction": rng.choice(("IN", "OUT")),
                **({"date": date.isoformat()} if number % 40 else {}),
            },
        ]
    elasticsearch.bulk(index=names.recordings, operations=operations, refresh=True)


@pytest.fixture(params=[1, 100], ids=["hours at once", "hours of many"])
def many(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seeking, "DEEP", 0)
    monkeypatch.setattr(seeking, "MANY", request.param)


def sought_and_sorted(monkeypatch: pytest.MonkeyPatch, search: RecordingSearch) -> Any:
    """Both answers to one question."""

    async def both(question: Search) -> tuple[Any, Any]:
        sought = await search.page(BOSS, question)
        with monkeypatch.context() as patch:
            patch.setattr(seeking, "helps", lambda *_: False)
            patch.setattr(ties, "helps", lambda *_: False)
            everything = await search.page(BOSS, question)
        return shown(sought), shown(everything)

    return both


def shown(page: Any) -> tuple[int, list[SortValues], Any]:
    return page.total, [hit.sort for hit in page.hits], page.aggregations.get("direction")


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("sort", ["date", "-date"])
@pytest.mark.parametrize("filters", [[], [{"term": {"direction": "IN"}}]], ids=["all", "some"])
async def test_windows(
    search: RecordingSearch, monkeypatch: pytest.MonkeyPatch, sort: str, filters: list[Any]
) -> None:
    monkeypatch.setattr(ties, "FAR", 5)
    both = sought_and_sorted(monkeypatch, search)
    facet = {"direction": {"terms": {"field": "direction"}}}
    starts = [*range(0, COUNT + 20, 149), COUNT // 2, COUNT - 16, COUNT - 15, COUNT - 1, COUNT]
    for start in starts:
        for size in (1, 250):
            question = Search(size, start, filters, order=by(sort), aggregations=facet)
            sought, everything = await both(question)
            assert sought == everything, (start, size)


@pytest.mark.usefixtures("many")
async def test_a_walk_from_the_oldest_on(
    search: RecordingSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = sought_and_sorted(monkeypatch, search)
    after, seen = None, list[SortValues]()
    for _ in range(COUNT):
        sought, everything = await both(Search(7, order=by("date"), after=after))
        assert sought == everything
        seen += sought[1]
        if len(sought[1]) < 7:
            break
        after = seen[-1]
    assert len({identity for _, identity in seen}) == len(seen) == COUNT


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize(
    ("sort", "start"), [("-date", 300), ("date", 300), ("date", 0), ("date", COUNT - 18)]
)
async def test_two_counts_and_one_page_among_few(
    search: RecordingSearch, sent: list[Search], sort: str, start: int
) -> None:
    await search.page(BOSS, Search(5, start, order=by(sort)))
    assert [question.size for question in sent] == [0] * (len(sent) - 1) + [5]
    assert len(sent) <= 3
    assert sent[-1].start < 100


@pytest.mark.usefixtures("many")
async def test_a_page_of_a_walk_is_asked_for_once(
    search: RecordingSearch, sent: list[Search]
) -> None:
    after: SortValues | None = None
    for _ in range(40):
        found = await search.page(BOSS, Search(7, order=by("date"), after=after))
        after = found.hits[-1].sort
        assert [question.size for question in sent].count(7) == 1
        sent.clear()


@pytest.mark.parametrize(
    ("sort", "start", "sought"),
    [
        pytest.param("-date", 0, False, id="the newest: as the index keeps them"),
        pytest.param("-date", seeking.DEEP, True, id="far"),
        pytest.param("date", 0, True, id="the oldest"),
        pytest.param("duration", 90_000, False, id="another order"),
    ],
)
def test_what_is_sought(sort: str, start: int, sought: bool) -> None:
    assert seeking.helps(by(sort), start) is sought
