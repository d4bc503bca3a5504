"""Several shards answer as one would, or not at all."""

import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from elasticsearch import Elasticsearch

from indexer import admin
from indexer.reindex import indices
from indexer.sink import Sink
from services import schema
from services.acl import Principal, Role
from services.indices import IndexNames, Layout
from tests.endpoint import Endpoint, serve

SHARDS = 3
COUNT = 60
MOST_ON_A_NODE = "index.routing.allocation.total_shards_per_node"
ADA = str(uuid.UUID(int=1))
BOSS = Principal("acme", ADA, Role.ADMINISTRATOR)
MANY = Principal("many", ADA, Role.ADMINISTRATOR)


def saved(number: int) -> dict[str, Any]:
    """Some have the same words and so the same score, in whatever shard they are."""
    text = "refund " * (number % 4 + 1) + "please " * (number % 5 * 20)
    recording = {
        "ownerId": ADA,
        "language": "en",
        "date": f"2026-01-{number % 9 + 1:02}" if number % 3 else None,
        "transcript": [{"speaker": "agent", "offset": 0, "text": text}],
    }
    return {
        "type": "recording.saved",
        "tenantId": "acme",
        "recordingId": f"r-{number:02}",
        "version": 1,
        "occurredAt": "2026-01-01T00:00:00Z",
        "recording": recording,
    }


@pytest.fixture(scope="module", autouse=True)
def _corpus(sink: Sink, elasticsearch: Elasticsearch, names: IndexNames) -> None:
    assert sink.apply([saved(number) for number in range(COUNT)])["done"] == COUNT
    elasticsearch.indices.refresh(index=names.recordings)


@pytest.fixture
async def endpoint(elasticsearch_url: str, names: IndexNames) -> AsyncIterator[Endpoint]:
    async with serve(elasticsearch_url, names) as served:
        yield served


@pytest.fixture
def of_one_shard(
    elasticsearch: Elasticsearch, make_sink: Callable[..., Sink]
) -> Iterator[IndexNames]:
    """The same recordings in an index of one shard."""
    names = IndexNames(f"test-{uuid.uuid4().hex[:8]}")
    admin.create_missing(elasticsearch, names)
    make_sink(names=names).apply([saved(number) for number in range(COUNT)])
    elasticsearch.indices.refresh(index=names.recordings)
    yield names
    elasticsearch.indices.delete(index=list(elasticsearch.indices.get(index=f"{names.prefix}-*")))


def test_each_shard_has_a_part(elasticsearch: Elasticsearch, names: IndexNames) -> None:
    shards = elasticsearch.indices.stats(index=names.recordings, level="shards")["indices"]
    counts = [
        shard["docs"]["count"]
        for index in shards.values()
        for copies in index["shards"].values()
        for shard in copies
        if shard["routing"]["primary"]
    ]
    assert len(counts) == SHARDS
    assert all(counts)
    assert sum(counts) == COUNT


@pytest.mark.parametrize("sort", ["relevance", "-date", "date"])
async def test_the_same_order_as_of_one_shard(
    endpoint: Endpoint, elasticsearch_url: str, of_one_shard: IndexNames, sort: str
) -> None:
    asked: dict[str, Any] = {"words": "refund please", "sort": sort}
    found = await endpoint.found(BOSS, **asked)
    async with serve(elasticsearch_url, of_one_shard) as other:
        assert await other.found(BOSS, **asked) == found
    walked = [page async for page in endpoint.pages(BOSS, quantity=7, **asked)]
    assert [one for page in walked for one in page["recordings"]] == found["recordings"]
    assert found["total"] == COUNT - COUNT // 5


async def test_facets_count_what_no_shard_has_among_its_first(
    endpoint: Endpoint, sink: Sink, elasticsearch: Elasticsearch, names: IndexNames
) -> None:
    """Many owners with nearly as many recordings each, spread over the shards."""
    owners = [str(uuid.UUID(int=number * number % 701)) for number in range(1_500)]
    events = [
        saved(number) | {"tenantId": "many", "recording": {"ownerId": owner}}
        for number, owner in enumerate(owners)
    ]
    assert sink.apply(events)["done"] == len(events)
    elasticsearch.indices.refresh(index=names.recordings)
    counts = sorted(Counter(owners).items(), key=lambda one: (-one[1], one[0]))
    facets = (await endpoint.found(MANY, facets="users"))["facets"]
    assert [(one["value"], one["count"]) for one in facets["users"]] == counts[:100]


@pytest.fixture
def with_a_shard_away(elasticsearch: Elasticsearch) -> Iterator[IndexNames]:
    """The only node takes two shards of three."""
    names = IndexNames(f"test-{uuid.uuid4().hex[:8]}")
    elasticsearch.indices.create(
        index=names.first_recordings_index,
        mappings=schema.mapping(),
        settings=indices.settings_of_every_day(Layout(SHARDS)) | {MOST_ON_A_NODE: SHARDS - 1},
        aliases={names.recordings: {}},
        wait_for_active_shards="0",
    )
    elasticsearch.cluster.health(
        index=names.recordings, wait_for_active_shards=SHARDS - 1, timeout="30s"
    )
    yield names
    elasticsearch.indices.delete(index=names.first_recordings_index)


ASKED: list[tuple[str, dict[str, Any]]] = [
    ("/v1/recordings", {}),
    ("/v1/recordings", {"quantity": 1, "words": "refund"}),
    ("/v1/recordings", {"cursor": "", "facets": "day"}),
    ("/v1/recordings/r-01", {}),
    ("/readyz", {}),
]


async def test_a_part_of_the_shards_is_no_answer(
    elasticsearch: Elasticsearch, elasticsearch_url: str, with_a_shard_away: IndexNames
) -> None:
    """Never a total of two thirds."""
    names = with_a_shard_away
    async with serve(elasticsearch_url, names) as endpoint:
        for path, parameters in ASKED:
            answer = await endpoint.get(BOSS, path, **parameters)
            assert (answer.status, answer.body["code"]) == (503, "unavailable"), path
            assert int(answer.headers["Retry-After"]) > 0
        elasticsearch.indices.put_settings(index=names.recordings, settings={MOST_ON_A_NODE: -1})
        elasticsearch.cluster.health(
            index=names.recordings, wait_for_status="yellow", timeout="30s"
        )
        assert (await endpoint.found(BOSS))["total"] == 0
