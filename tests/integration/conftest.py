"""An index of its own for each test module, on the real Elasticsearch of the run."""

import os
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from elasticsearch import Elasticsearch, OrjsonSerializer
from pydantic import AnyHttpUrl

from api.backend import Backend
from api.protection import Gate
from api.search import RecordingSearch
from api.wire import Search
from indexer import admin
from indexer.celery_app import StopFlag
from indexer.sink import Sink
from services.acl import Principal
from services.indices import IndexNames, Layout
from services.settings import ElasticsearchSettings

Apply = Callable[..., None]


@pytest.fixture(scope="session")
def elasticsearch(elasticsearch_url: str) -> Iterator[Elasticsearch]:
    with Elasticsearch(elasticsearch_url, serializer=OrjsonSerializer()) as client:
        yield client


@pytest.fixture(scope="module")
def names(elasticsearch: Elasticsearch, request: pytest.FixtureRequest) -> Iterator[IndexNames]:
    """One shard, or as many as the module or RECORDINGS_TEST_SHARDS says."""
    shards = getattr(request.module, "SHARDS", int(os.environ.get("RECORDINGS_TEST_SHARDS", "1")))
    names = IndexNames(f"test-{uuid.uuid4().hex[:8]}")
    admin.create_missing(elasticsearch, names, Layout(shards=shards))
    yield names
    elasticsearch.indices.delete(index=list(elasticsearch.indices.get(index=f"{names.prefix}-*")))


@pytest.fixture(scope="module")
def make_sink(elasticsearch: Elasticsearch, names: IndexNames) -> Callable[..., Sink]:
    def make(**changes: Any) -> Sink:
        settings: dict[str, Any] = {
            "client": elasticsearch,
            "names": names,
            "region_of": lambda _: "IT",
            "stopping": StopFlag(),
            "bulk_count": 500,
            "bulk_bytes": 5_000_000,
            "max_document_bytes": 32_000_000,
            "deadline": 30.0,
        }
        return Sink(**settings | changes)

    return make


@pytest.fixture(scope="module")
def sink(make_sink: Callable[..., Sink]) -> Sink:
    return make_sink()


@pytest.fixture
async def search(elasticsearch_url: str, names: IndexNames) -> Any:
    backend = Backend.of(ElasticsearchSettings(url=AnyHttpUrl(elasticsearch_url)))
    yield RecordingSearch(backend, names, timeout=10.0, gate=Gate(16))
    backend.close()


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Search]:
    """What Elasticsearch was asked."""
    questions = list[Search]()
    original = RecordingSearch._page

    async def spy(self: RecordingSearch, principal: Principal, question: Search) -> Any:
        questions.append(question)
        return await original(self, principal, question)

    monkeypatch.setattr(RecordingSearch, "_page", spy)
    return questions
