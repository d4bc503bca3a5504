"""What pages of other origins may do, and that nothing a proxy adds changes an answer."""

import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urljoin

import pytest
from aiohttp import web

from services.acl import Principal, Role
from services.indices import IndexNames
from tests.endpoint import Endpoint, serve, token

USER = Principal("acme", "1efc024d-0000-4000-8000-00000000000a", Role.USER)
STRANGER = "2efc024d-0000-4000-8000-00000000000b"
PAGE, OTHER_PAGE = "https://app.example.com", "http://localhost:3000"
LIST = "/v1/recordings?quantity=1&from=0"
PREFLIGHT = {"Access-Control-Request-Method": "GET"}


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def cors(self) -> dict[str, str]:
        """The headers that browsers look at."""
        return {
            name: value
            for name, value in self.headers.items()
            if name.startswith("Access-Control") or name == "Vary"
        }


async def ask(
    endpoint: Endpoint,
    path: str = LIST,
    headers: Mapping[str, str] | None = None,
    *,
    method: str = "GET",
    bearer: str | None = None,
) -> Answer:
    given = {"Authorization": f"Bearer {bearer or token(USER)}"} if method == "GET" else {}
    given |= headers or {}
    async with endpoint.session.request(method, endpoint.base + path, headers=given) as answer:
        return Answer(answer.status, answer.headers, await answer.read())


@pytest.fixture
async def closed(elasticsearch_url: str, names: IndexNames) -> AsyncIterator[Endpoint]:
    """Without the setting."""
    async with serve(elasticsearch_url, names) as endpoint:
        yield endpoint


@pytest.fixture
async def opened(elasticsearch_url: str, names: IndexNames) -> AsyncIterator[Endpoint]:
    """With two origins."""
    async with serve(elasticsearch_url, names, cors_origins=f"{PAGE},{OTHER_PAGE}") as endpoint:
        yield endpoint


class TestWithoutOrigins:
    async def test_no_page_is_allowed(self, closed: Endpoint) -> None:
        answer = await ask(closed, headers={"Origin": PAGE})
        assert (answer.status, answer.cors) == (200, {})

    async def test_there_is_no_preflight(self, closed: Endpoint) -> None:
        answer = await ask(closed, LIST, {"Origin": PAGE, **PREFLIGHT}, method="OPTIONS")
        assert (answer.status, answer.cors) == (405, {})
        assert json.loads(answer.body)["code"] == "method_not_allowed"


class TestWithOrigins:
    @pytest.mark.parametrize("origin", [PAGE, OTHER_PAGE])
    @pytest.mark.parametrize(
        ("path", "bearer", "status"),
        [
            pytest.param(LIST, None, 200, id="an answer"),
            pytest.param("/v1/recordings/r-0", None, 404, id="no recording"),
            pytest.param("/v1/recordings", None, 400, id="a wrong request"),
            pytest.param(LIST, "none", 401, id="no good token"),
            pytest.param(f"{LIST}&users={STRANGER}", None, 403, id="not allowed"),
        ],
    )
    async def test_an_allowed_page_reads_answers_and_errors(
        self, opened: Endpoint, origin: str, path: str, bearer: str | None, status: int
    ) -> None:
        answer = await ask(opened, path, {"Origin": origin}, bearer=bearer)
        assert answer.status == status
        assert answer.cors == {
            "Vary": "Origin",
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Expose-Headers": "X-Request-ID, Retry-After, WWW-Authenticate",
        }

    async def test_an_allowed_page_reads_that_the_search_is_away(self, names: IndexNames) -> None:
        async with serve("http://127.0.0.1:9", names, cors_origins=PAGE) as endpoint:
            answer = await ask(endpoint, headers={"Origin": PAGE})
        assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
        assert answer.cors["Access-Control-Allow-Origin"] == PAGE

    async def test_an_allowed_page_may_send_a_token(self, opened: Endpoint) -> None:
        for path in ("/v1/recordings", "/v1/recordings/r-0"):
            answer = await ask(opened, path, {"Origin": PAGE, **PREFLIGHT}, method="OPTIONS")
            assert (answer.status, answer.body) == (204, b"")
            assert answer.headers["X-Request-ID"]
            assert answer.cors == {
                "Vary": "Origin",
                "Access-Control-Allow-Origin": PAGE,
                "Access-Control-Allow-Methods": "GET",
                "Access-Control-Allow-Headers": "Authorization, X-Request-ID, traceparent",
                "Access-Control-Max-Age": "600",
                "Access-Control-Expose-Headers": "X-Request-ID, Retry-After, WWW-Authenticate",
            }

    @pytest.mark.parametrize(
        "origin",
        [
            f"{PAGE}.evil.example",
            "http://app.example.com",
            "https://APP.example.com",
            f"{PAGE}:8443",
            f"{PAGE},{OTHER_PAGE}",
            "null",
            None,
        ],
    )
    async def test_any_other_page_is_told_nothing(
        self, opened: Endpoint, origin: str | None
    ) -> None:
        headers = {"Origin": origin} if origin else {}
        answer = await ask(opened, headers=headers)
        assert (answer.status, answer.cors) == (200, {"Vary": "Origin"})
        preflight = await ask(opened, LIST, headers | PREFLIGHT, method="OPTIONS")
        assert (preflight.status, preflight.cors) == (405, {"Vary": "Origin"})
        assert json.loads(preflight.body)["code"] == "method_not_allowed"

    async def test_only_the_endpoint_is_opened(self, opened: Endpoint) -> None:
        for path in ("/healthz", "/metrics", "/docs", "/openapi.json", "/v1/recordingsx"):
            assert (await ask(opened, path, {"Origin": PAGE})).cors == {}, path


class TestProxies:
    @pytest.mark.parametrize(
        "path", [LIST, "/v1/recordings", "/v1/recordings/r-0", "/openapi.json"]
    )
    async def test_what_a_proxy_says_of_the_caller_changes_nothing(
        self, closed: Endpoint, path: str
    ) -> None:
        plain = await ask(closed, path, {"X-Request-ID": "r-1"})
        said = {
            "X-Forwarded-For": "203.0.113.7, 10.0.0.1",
            "X-Forwarded-Host": "evil.example",
            "X-Forwarded-Proto": "ftp",
            "X-Forwarded-Prefix": "/evil",
            "X-Forwarded-Port": "1",
            "X-Real-IP": "203.0.113.7",
            "Forwarded": 'for="[2001:db8::1]";host=evil.example;proto=ftp',
            "X-Original-URL": "/metrics",
            "X-HTTP-Method-Override": "DELETE",
            "X-Request-ID": "r-1",
        }
        through = await ask(closed, path, said)
        assert (through.status, through.body) == (plain.status, plain.body)
        assert {**through.headers, "Date": ""} == {**plain.headers, "Date": ""}
        assert through.headers["X-Request-ID"] == "r-1"

    @pytest.mark.parametrize("base_path", ["", "/voice-analytics"])
    async def test_a_prefix_may_be_taken_away_on_the_way(
        self, elasticsearch_url: str, names: IndexNames, base_path: str
    ) -> None:
        """The page finds the document and the endpoint beside itself, wherever that is."""
        async with (
            serve(elasticsearch_url, names, base_path=base_path) as behind,
            in_front_of(behind, "/calls") as endpoint,
        ):
            page = (await ask(endpoint, "/calls/docs")).body.decode()
            assert 'fetch("openapi.json")' in page
            assert "`.${path}" in page
            assert not re.findall(r"""(?:href|src|fetch\()=?["'`](?:/|https?:)""", page)
            document = json.loads((await ask(endpoint, "/calls/openapi.json")).body)
            path = next(path for path in document["paths"] if path.endswith("/v1/recordings"))
            asked = urljoin("/calls/docs", f".{path}?quantity=1&from=0")
            assert asked.startswith(f"/calls{base_path}/v1/recordings?")
            assert (await ask(endpoint, asked)).status == 200


@asynccontextmanager
async def in_front_of(behind: Endpoint, prefix: str) -> AsyncIterator[Endpoint]:
    """A proxy that takes this prefix away and passes the rest on."""

    async def forward(request: web.Request) -> web.Response:
        headers = {"Authorization": request.headers["Authorization"]}
        target = behind.base + request.raw_path.removeprefix(prefix)
        async with behind.session.get(target, headers=headers) as answer:
            return web.Response(body=await answer.read(), status=answer.status)

    app = web.Application()
    app.router.add_get(f"{prefix}/{{rest:.*}}", forward)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield Endpoint(behind.session, f"http://127.0.0.1:{runner.addresses[0][1]}")
    finally:
        await runner.cleanup()
