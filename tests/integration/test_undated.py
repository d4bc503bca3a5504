"""Recordings without a date come last, also where a whole shard has none with one."""

from collections.abc import Iterator
from typing import Any, Final

import pytest
from elasticsearch import Elasticsearch

from api.orders import by
from api.search import RecordingSearch
from api.wire import Search
from indexer import admin
from services.acl import Principal, Role
from services.documents import document_id
from services.indices import IndexNames, Layout

BOSS: Final = Principal("acme", "1efc024d-0000-4000-8000-00000000000a", Role.ADMINISTRATOR)
COUNT: Final = 60


@pytest.fixture(scope="module", params=[0, 1, 30], ids=lambda dated: f"{dated} of {COUNT} dated")
def dated(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(scope="module")
def names(elasticsearch: Elasticsearch, dated: int) -> Iterator[IndexNames]:
    names = IndexNames(f"test-undated-{dated}")
    admin.create_missing(elasticsearch, names, Layout(shards=3))
    operations: list[Any] = []
    for number in range(COUNT):
        operations += [
            {"index": {"_id": document_id("acme", str(number))}},
            {
                "tenantId": "acme",
                "ownerId": BOSS.user_id,
                "recordingId": identity(number),
                **({"date": f"2020-01-01T00:00:{number:02}Z"} if number < dated else {}),
            },
        ]
    elasticsearch.bulk(index=names.recordings, operations=operations, refresh=True)
    yield names
    elasticsearch.indices.delete(index=names.first_indices)


def identity(number: int) -> str:
    return f"r-{number:03}"


def expected(sort: str, dated: int) -> list[str]:
    backwards = sort.startswith("-")
    known = list(range(dated)) if "date" in sort else []
    rest = range(len(known), COUNT)
    return [identity(n) for part in (known, rest) for n in sorted(part, reverse=backwards)]


@pytest.mark.parametrize("sort", ["date", "-date", "duration", "-score"])
async def test_every_page_in_turn(search: RecordingSearch, sort: str, dated: int) -> None:
    for size in (1, 20):
        seen = list[str]()
        for start in range(0, COUNT, size):
            found = await search.page(BOSS, Search(size, start, order=by(sort)))
            seen += [hit.source["recordingId"] for hit in found.hits]
        assert seen == expected(sort, dated), size


@pytest.mark.parametrize("sort", ["date", "-date", "-score"])
async def test_a_walk(search: RecordingSearch, sort: str, dated: int) -> None:
    for size in (3, 7):
        seen, after = list[str](), None
        for _ in range(COUNT):
            found = await search.page(BOSS, Search(size, order=by(sort), after=after))
            seen += [hit.source["recordingId"] for hit in found.hits]
            if len(found.hits) < size:
                break
            after = found.hits[-1].sort
        assert seen == expected(sort, dated), size
