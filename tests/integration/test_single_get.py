"""`GET /v1/recordings/{id}`: any id, percent-encoded; one answer for absent and hidden."""

import uuid
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest
from elasticsearch import Elasticsearch
from yarl import URL

from indexer.sink import Sink
from services.acl import Principal, Role
from services.indices import IndexNames
from tests.endpoint import Endpoint, serve, token

ADA, BOB = (str(uuid.UUID(int=n)) for n in (1, 2))
BOSS = Principal("acme", ADA, Role.ADMINISTRATOR)
IDS = {
    "plain": "r-1",
    "a slash": "a/b",
    "slashes alone": "//",
    "dots": "..",
    "one dot": ".",
    "dots between slashes": "../../etc",
    "a plus and a blank": "a b+c",
    "a percent sign": "100%",
    "what looks encoded": "a%2Fb",
    "of a query string": "a?b=c&d#e",
    "braces": "{id}",
    "a semicolon": "a;b=1",
    "quotes": "'\"`\\",
    "accents": "\u00e9",
    "accents, decomposed": "e\u0301",
    "256 characters of three bytes": "\u5929" * 256,
    "an emoji": "\U0001f600",
    "a control character": "\x01\x7f",
    "a line break": "a\r\nb",
    "right to left": "\u05e9\u05dc\u05d5\u05dd",
    "a blank at each end": " a ",
}


@pytest.fixture(scope="module", autouse=True)
def _corpus(sink: Sink, elasticsearch: Elasticsearch, names: IndexNames) -> None:
    def saved(tenant: str, name: str, owner: str) -> dict[str, Any]:
        return {
            "type": "recording.saved",
            "tenantId": tenant,
            "recordingId": name,
            "version": 1,
            "occurredAt": "2026-01-01T00:00:00Z",
            "recording": {"ownerId": owner},
        }

    assert sink.apply([saved("acme", name, ADA) for name in IDS.values()])
    assert sink.apply([saved("acme", "of-bob", BOB), saved("globex", "of-others", ADA)])
    elasticsearch.indices.refresh(index=names.recordings)


@pytest.fixture
async def endpoint(elasticsearch_url: str, names: IndexNames) -> AsyncIterator[Endpoint]:
    async with serve(elasticsearch_url, names) as served:
        yield served


async def raw(endpoint: Endpoint, path: str, principal: Principal = BOSS) -> tuple[int, Any]:
    """With the path as it is, where clients would tidy it up."""
    url = URL(f"{endpoint.base}/v1/recordings/{path}", encoded=True)
    headers = {"Authorization": f"Bearer {token(principal)}"}
    async with endpoint.session.get(url, headers=headers) as answer:
        return answer.status, await answer.json(content_type=None)


@pytest.mark.parametrize("name", IDS.values(), ids=IDS.keys())
async def test_every_id_is_found(endpoint: Endpoint, name: str) -> None:
    status, body = await raw(endpoint, quote(name, safe=""))
    assert (status, body["id"]) == (200, name)
    everything = "".join(f"%{byte:02x}" for byte in name.encode())
    status, body = await raw(endpoint, everything)
    assert (status, body["id"]) == (200, name)


async def test_it_has_the_form_of_a_list(endpoint: Endpoint) -> None:
    _, body = await raw(endpoint, "of-bob")
    listed = await endpoint.found(BOSS, users=BOB)
    assert [body] == listed["recordings"]


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("never-was", id="absent"),
        pytest.param("of-others", id="of another tenant"),
        pytest.param("of-bob", id="of somebody else"),
        pytest.param("R-1", id="in another case"),
        pytest.param("x" * 257, id="too long for an id"),
        pytest.param("x" * 40_000, id="much too long"),
        pytest.param("%ff", id="not UTF-8"),
        pytest.param("%zz", id="not percent-encoded"),
        pytest.param("%", id="a percent sign alone"),
    ],
)
async def test_absent_and_hidden_are_one_answer(endpoint: Endpoint, path: str) -> None:
    ada = Principal("acme", ADA, Role.USER)
    _, absent = await raw(endpoint, "there-is-none", ada)
    status, body = await raw(endpoint, path, ada)
    assert status == 404
    assert {**body, "requestId": ""} == {**absent, "requestId": ""}


@pytest.mark.parametrize("path", ["", "a/b", "../recordings"])
async def test_other_paths(endpoint: Endpoint, path: str) -> None:
    status, body = await raw(endpoint, path)
    assert (status, body["code"]) == (404, "not_found")


async def test_parameters_are_not_known_here(endpoint: Endpoint) -> None:
    status, body = await raw(endpoint, "r-1?highlight=true")
    assert (status, body["parameter"]) == (400, "highlight")
