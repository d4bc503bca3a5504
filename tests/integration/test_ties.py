"""Windows fetched by date alone are the windows of the whole order."""

import random
from typing import Any, Final

import pytest
from elasticsearch import Elasticsearch

from api import ties
from api.orders import by
from api.search import RecordingSearch
from api.wire import Page, Search
from services.acl import Principal, Role
from services.documents import document_id
from services.indices import IndexNames

BOSS: Final = Principal("acme", "1efc024d-0000-4000-8000-00000000000a", Role.ADMINISTRATOR)
COUNT: Final = 300
SEGMENTS: Final = 3


@pytest.fixture(scope="module", autouse=True)
def recordings(elasticsearch: Elasticsearch, names: IndexNames) -> None:
    """Some of the same second, some without a date; in several segments."""
    rng = random.Random(3)
    for part in range(SEGMENTS):
        operations: list[Any] = []
        for number in range(part, COUNT, SEGMENTS):
            second = rng.randrange(2 * COUNT)
            operations += [
                {"index": {"_id": document_id("acme", str(number))}},
                {
                    "tenantId": "acme",
                    "ownerId": BOSS.user_id,
                    "recordingId": f"r-{number}",
                    **({"date": 1_000 * second} if number % 50 else {}),
                },
            ]
        elasticsearch.bulk(index=names.recordings, operations=operations, refresh=True)


def shown(page: Page) -> list[Any]:
    return [(hit.sort, hit.source) for hit in page.hits]


@pytest.mark.parametrize("sort", ["-date", "date"])
async def test_every_window(
    search: RecordingSearch, sent: list[Search], monkeypatch: pytest.MonkeyPatch, sort: str
) -> None:
    monkeypatch.setattr("api.seeking.helps", lambda *_: False)
    whole = shown(await search.page(BOSS, Search(COUNT, order=by(sort))))
    assert len(whole) == COUNT
    monkeypatch.setattr(ties, "FAR", 1)
    facet = {"owners": {"terms": {"field": "ownerId"}}}
    once = twice = 0
    for size in (1, 20):
        for start in range(1, COUNT + 3):
            sent.clear()
            page = await search.page(BOSS, Search(size, start, order=by(sort), aggregations=facet))
            assert shown(page) == whole[start : start + size], (size, start)
            assert page.total == COUNT
            assert page.aggregations["owners"]["buckets"][0]["doc_count"] == COUNT
            once += len(sent) == 1
            twice += len(sent) == 2
    assert once + twice == 2 * (COUNT + 2)
    assert min(once, twice) > 50
