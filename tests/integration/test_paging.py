"""Pages and walks: deep windows, cursors over HTTP, walks while somebody writes."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from typing import Any, get_args

import pytest
from elasticsearch import Elasticsearch

from api.parameters import Sort
from indexer.sink import Sink
from services.acl import Principal, Role
from services.indices import IndexNames
from tests.endpoint import Endpoint, serve

ADA, BOB = (str(uuid.UUID(int=n)) for n in (1, 2))
BOSS = Principal("acme", ADA, Role.ADMINISTRATOR)
DEEP = Principal("deep", ADA, Role.ADMINISTRATOR)
COUNT = 10_500
SHARDS = 3  # of these tests' index: neither order nor totals nor walks may depend on it
KEY = "a key that all the replicas have in common"


def saved(name: str, version: int = 1, tenant: str = "acme", **content: Any) -> dict[str, Any]:
    return {
        "type": "recording.saved",
        "tenantId": tenant,
        "recordingId": name,
        "version": version,
        "occurredAt": "2026-01-01T00:00:00Z",
        "recording": {"ownerId": ADA} | content,
    }


def window(start: int, quantity: int) -> dict[str, Any]:
    return {"from": start, "quantity": quantity}


def fill(sink: Sink, events: Iterable[dict[str, Any]]) -> None:
    waiting = list(events)
    for start in range(0, len(waiting), 500):
        assert sink.apply(waiting[start : start + 500])


@pytest.fixture(scope="module", autouse=True)
def _corpus(sink: Sink, elasticsearch: Elasticsearch, names: IndexNames) -> None:
    fill(sink, (saved(f"d-{n:05}", tenant="deep", duration=n // 7) for n in range(COUNT)))
    elasticsearch.indices.refresh(index=names.recordings)


@pytest.fixture
async def endpoint(elasticsearch_url: str, names: IndexNames) -> AsyncIterator[Endpoint]:
    async with serve(elasticsearch_url, names, cursor_key=KEY) as served:
        yield served


@pytest.mark.parametrize("sort", ["duration", "-duration"])
async def test_windows_past_ten_thousand_keep_the_order(endpoint: Endpoint, sort: str) -> None:
    expected = [f"d-{n:05}" for n in range(COUNT)]
    if sort == "-duration":
        expected.reverse()
    for start in (0, 9_500, 9_999, 10_000, 10_400, COUNT - 1):
        found = await endpoint.ids(DEEP, sort=sort, **window(start, 1000))
        assert found == expected[start : start + 1000]


async def test_the_last_window_and_the_first_beyond(endpoint: Endpoint) -> None:
    last = await endpoint.found(DEEP, **window(99_999, 1))
    assert (last["total"], last["recordings"]) == (COUNT, [])
    beyond = await endpoint.get(DEEP, **window(99_999, 2))
    assert (beyond.status, beyond.body["code"]) == (400, "window_exceeded")
    assert "cursor" in beyond.body["detail"]


async def test_a_walk_over_everything(endpoint: Endpoint) -> None:
    pages = [page async for page in endpoint.pages(DEEP, quantity=1000, sort="-duration")]
    assert [len(page["recordings"]) for page in pages] == [1000] * 10 + [500]
    assert {page["total"] for page in pages} == {COUNT}
    found = [recording["id"] for page in pages for recording in page["recordings"]]
    assert found == [f"d-{n:05}" for n in reversed(range(COUNT))]


async def test_the_last_page_says_so_when_it_is_full(endpoint: Endpoint) -> None:
    sizes = [
        len(page["recordings"]) async for page in endpoint.pages(DEEP, quantity=50, maxduration=13)
    ]
    assert sizes == [50, 48]
    (whole,) = [page async for page in endpoint.pages(DEEP, quantity=98, maxduration=13)]
    assert len(whole["recordings"]) == 98


async def test_a_walk_over_nothing_is_one_empty_page(endpoint: Endpoint) -> None:
    pages = [page async for page in endpoint.pages(DEEP, words="nothing")]
    assert pages == [{"total": 0, "recordings": [], "nextCursor": None}]


async def test_no_cursor_without_a_walk(endpoint: Endpoint) -> None:
    assert set(await endpoint.found(DEEP)) == {"total", "recordings"}


async def test_whose_cursor_it_is(endpoint: Endpoint, elasticsearch_url: str) -> None:
    cursor = (await endpoint.found(DEEP, cursor=""))["nextCursor"]
    others = [
        (Principal("deep", BOB, Role.ADMINISTRATOR), {}),
        (Principal("acme", ADA, Role.ADMINISTRATOR), {}),
        (DEEP, {"sort": "date"}),
        (DEEP, {"users": ADA}),
    ]
    for principal, changes in others:
        refused = await endpoint.get(principal, cursor=cursor, **changes)
        assert (refused.status, refused.body["parameter"]) == (400, "cursor")
    moved = await endpoint.get(DEEP, cursor=cursor, **window(100, 100))
    assert (moved.status, moved.body["parameter"]) == (400, "from")
    # A change of role is no change of the walk: what may be seen is decided for each page.
    demoted = Principal("deep", ADA, Role.USER)
    assert len(await endpoint.ids(demoted, cursor=cursor)) == 100


async def test_replicas_take_each_others_cursors(
    endpoint: Endpoint, elasticsearch_url: str, names: IndexNames
) -> None:
    cursor = (await endpoint.found(DEEP, cursor=""))["nextCursor"]
    async with serve(elasticsearch_url, names, cursor_key=KEY) as replica:
        assert await replica.ids(DEEP, cursor=cursor) == await endpoint.ids(DEEP, cursor=cursor)
    async with serve(elasticsearch_url, names) as with_a_key_of_its_own:
        assert (await with_a_key_of_its_own.get(DEEP, cursor=cursor)).status == 400


async def test_an_expired_cursor_says_so(elasticsearch_url: str, names: IndexNames) -> None:
    async with serve(elasticsearch_url, names, cursor_lifetime="0.000001") as endpoint:
        cursor = (await endpoint.found(DEEP, cursor=""))["nextCursor"]
        answer = await endpoint.get(DEEP, cursor=cursor)
    assert (answer.status, answer.body["parameter"]) == (400, "cursor")
    assert "has expired" in answer.body["detail"]


# What else could be read as another date than it is: milliseconds like a year, far away, none.
DATES = (
    "0001-01-01T00:00:00Z",
    "1969-12-31T23:59:57.979Z",
    "1969-12-31T23:59:59.999Z",
    "1970-01-01T00:00:00Z",
    "1970-01-01T00:00:02.021Z",
    "1970-01-01T00:00:02.022Z",
    "2021-04-25T10:24:40Z",
    "9999-12-31T23:59:59.999Z",
)


@pytest.mark.parametrize("sort", ["date", "-date"])
async def test_a_walk_past_odd_dates(
    endpoint: Endpoint, sink: Sink, elasticsearch: Elasticsearch, names: IndexNames, sort: str
) -> None:
    dates: list[str | None] = list(DATES if sort == "date" else reversed(DATES))
    fill(sink, (saved(f"o-{n}", tenant="odd", date=date) for n, date in enumerate(DATES)))
    fill(sink, (saved(f"none-{n}", tenant="odd") for n in range(3)))
    elasticsearch.indices.refresh(index=names.recordings)
    odd = Principal("odd", ADA, Role.ADMINISTRATOR)
    walk = endpoint.pages(odd, sort=sort, quantity=1)
    assert [page["recordings"][0]["date"] async for page in walk] == [*dates, None, None, None]


STILL = 120


def changing(sink: Sink, round_: int) -> None:
    """New recordings, others moved to another place in every order, others deleted."""
    words = {
        "language": "en",
        "transcript": [{"speaker": "agent", "text": "refund " * (round_ % 9 + 1)}],
    }
    events = []
    for n in range(15):
        moved = round_ * 7 + n * 11
        content: dict[str, Any] = {
            "duration": moved % 50,
            "date": f"2026-01-{moved % 28 + 1:02}",
            **words,
        }
        content["analysisResult"] = {"score": (moved % 20) / 10 - 1}
        events.append(saved(f"moves-{n:02}", round_ + 1, **content))
        events.append(saved(f"new-{round_}-{n}", **content))
        if round_:
            events.append(
                {
                    "type": "recording.deleted",
                    "tenantId": "acme",
                    "recordingId": f"new-{round_ - 1}-{n}",
                    "version": 2,
                    "occurredAt": "2026-01-01T00:00:00Z",
                }
            )
    assert sink.apply(events)


def still(n: int) -> dict[str, Any]:
    """A recording that stays as it is; many have the same values, and many have none."""
    text = "refund " * (n % 4 + 1) + "please " * (n % 6)
    return saved(
        f"still-{n:03}",
        duration=n % 5 * 10 if n % 4 else None,
        date=f"2026-01-{n % 9 * 3 + 1:02}" if n % 7 else None,
        analysisResult={"score": (n % 9) / 10 - 0.4} if n % 3 else None,
        language="en",
        transcript=[{"speaker": "agent", "offset": 0, "text": text}],
    )


@pytest.mark.parametrize("sort", get_args(Sort))
async def test_a_walk_while_somebody_writes(
    endpoint: Endpoint, sink: Sink, elasticsearch: Elasticsearch, names: IndexNames, sort: str
) -> None:
    """Whatever is written meanwhile: each that stays as it is comes once, at its place."""
    fill(sink, map(still, range(STILL)))
    elasticsearch.indices.refresh(index=names.recordings)
    asked: dict[str, Any] = {"words": "refund", "sort": sort, "quantity": 7}
    alone = [
        recording["id"]
        async for page in endpoint.pages(BOSS, **asked)
        for recording in page["recordings"]
        if recording["id"].startswith("still")
    ]
    assert sorted(alone) == [f"still-{n:03}" for n in range(STILL)]

    seen, rounds = [], 0
    async with asyncio.timeout(120):
        async for page in endpoint.pages(BOSS, **asked):
            seen += [r["id"] for r in page["recordings"] if r["id"].startswith("still")]
            assert page["recordings"], "an empty page"
            await asyncio.to_thread(changing, sink, rounds)
            await asyncio.to_thread(elasticsearch.indices.refresh, index=names.recordings)
            rounds += 1
            if rounds > 60:
                pytest.fail("the writer is faster than the walk")
    assert seen == alone
    assert rounds > STILL / 7
    await asyncio.to_thread(sweep, elasticsearch, names)


def sweep(elasticsearch: Elasticsearch, names: IndexNames) -> None:
    with suppress(LookupError):
        elasticsearch.delete_by_query(
            index=names.recordings,
            query={"term": {"tenantId": "acme"}},
            refresh=True,
            conflicts="proceed",
        )
