"""What is marked, by the cases of tests/cases/highlights.toml, through the endpoint."""

import re
import tomllib
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import Elasticsearch

from api.backend import Backend
from indexer.sink import Sink
from services.acl import Principal, Role
from services.indices import IndexNames
from tests.endpoint import Endpoint, serve

CASES = tomllib.loads((Path(__file__).parents[1] / "cases/highlights.toml").read_text())
ADA = str(uuid.UUID(int=1))
BOSS = Principal("acme", ADA, Role.ADMINISTRATOR)


@pytest.fixture(scope="module", autouse=True)
def _corpus(sink: Sink, elasticsearch: Elasticsearch, names: IndexNames) -> None:
    for name, told in CASES["corpus"].items():
        envelope = {
            "tenantId": "acme",
            "recordingId": name,
            "version": 1,
            "occurredAt": "2026-01-01T00:00:00Z",
        }
        turns = [{"speaker": s, "offset": at, "text": text} for s, at, text in told["transcript"]]
        content = {"ownerId": ADA, "language": told["language"], "transcript": turns}
        notes = [
            envelope | {"type": "note.saved", "noteId": str(n), "note": {"text": text}}
            for n, text in enumerate(told["notes"])
        ]
        assert sink.apply([*notes, envelope | {"type": "recording.saved", "recording": content}])
    elasticsearch.indices.refresh(index=names.recordings)


@pytest.fixture
async def endpoint(elasticsearch_url: str, names: IndexNames) -> AsyncIterator[Endpoint]:
    async with serve(elasticsearch_url, names) as served:
        yield served


@pytest.mark.parametrize(
    ("parameter", "query", "expected"),
    [pytest.param(*case, id=name) for name, case in CASES["cases"].items()],
)
async def test_marks(endpoint: Endpoint, parameter: str, query: str, expected: list[str]) -> None:
    parameters: dict[str, Any] = {parameter: query}
    body = await endpoint.found(BOSS, **parameters, highlight="true", sort="date")
    assert [
        shown(recording["id"], match)
        for recording in body["recordings"]
        for match in recording["matches"]
    ] == expected


def shown(recording: str, match: dict[str, Any]) -> str:
    (fragment,) = match["fragments"]
    text = re.sub("<em>(.*?)</em>", r"[\1]", fragment)
    if match["field"] == "notes":
        assert (match["speaker"], match["offset"]) == (None, None)
        return f"{recording} note: {text}"
    return f"{recording} {match['speaker']} {match['offset']:g}: {text}"


async def test_both_parameters_at_once(endpoint: Endpoint) -> None:
    body = await endpoint.found(BOSS, words="morning", noteswords="calls", highlight="true")
    fields = [match["field"] for match in body["recordings"][0]["matches"]]
    assert fields == ["transcript", "notes"]


async def test_without_words_there_is_nothing_to_mark(endpoint: Endpoint) -> None:
    body = await endpoint.found(BOSS, highlight="true")
    assert [recording["matches"] for recording in body["recordings"]] == [[]] * 4


async def test_matches_only_where_they_were_asked_for(endpoint: Endpoint) -> None:
    for parameters in ({"words": "refund"}, {"words": "refund", "highlight": "false"}):
        body = await endpoint.found(BOSS, **parameters)
        assert all("matches" not in recording for recording in body["recordings"])


async def test_the_transcript_stays_where_it_is_without_a_highlight(
    endpoint: Endpoint, elasticsearch: Elasticsearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = list[Any]()
    original = Backend.ask

    async def spy(self: Backend, *asked: Any) -> Any:
        answer = await original(self, *asked)
        fetched.append(str(answer))
        return answer

    monkeypatch.setattr(Backend, "ask", spy)
    for parameters in ({"words": "refund"}, {"noteswords": "refund", "highlight": "true"}):
        await endpoint.found(BOSS, **parameters)
        assert "credit card" not in fetched.pop()
    await endpoint.found(BOSS, words="refund", highlight="true")
    assert "credit card" in fetched.pop()
