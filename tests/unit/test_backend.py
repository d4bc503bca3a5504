"""The API's way to Elasticsearch: connections that are kept, closed, cut and cancelled."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import AnyHttpUrl, SecretStr

from api.backend import Backend
from api.protection import Gate
from api.search import RecordingSearch
from services.acl import Principal, Role
from services.errors import BackendError
from services.es_client import TooLargeError, TooManyClausesError
from services.indices import IndexNames
from services.settings import ElasticsearchSettings

Answering = Callable[["Server", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
PATH = "/recordings/_search"


def http(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@dataclass
class Server:
    """A server of TCP that says what it is told to."""

    answer: bytes = http(b'{"found":1}')
    heads: list[str] = field(default_factory=list)
    connections: int = 0
    closes_after: int | None = None  # answers on one connection
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    pieces: int = 1_000_000

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        answered = 0
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while self.closes_after is None or answered < self.closes_after:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = head.lower().partition("content-length: ")[2].partition("\r\n")[0]
                await reader.readexactly(int(length))
                self.heads.append(head)
                self.asked.set()
                for start in range(0, len(self.answer), self.pieces):
                    writer.write(self.answer[start : start + self.pieces])
                    await writer.drain()
                    await asyncio.sleep(0)
                answered += 1
        writer.close()
        self.gone.set()


@contextlib.asynccontextmanager
async def serving(server: Server, **settings: Any) -> AsyncIterator[Backend]:
    listening = await asyncio.start_server(server.talk, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    userinfo = settings.pop("userinfo", "")
    url = AnyHttpUrl(f"http://{userinfo}127.0.0.1:{port}{settings.pop('under', '')}")
    backend = Backend.of(ElasticsearchSettings(url=url, **settings))
    try:
        yield backend
    finally:
        backend.close()
        listening.close()


async def ask(backend: Backend, at_most: float = 5.0) -> Any:
    return await backend.ask(PATH, {"size": 0}, at_most)


async def test_one_connection_is_enough_for_questions_in_turn() -> None:
    server = Server()
    async with serving(server) as backend:
        assert [await ask(backend) for _ in range(3)] == [{"found": 1}] * 3
    assert server.connections == 1


async def test_questions_at_once_have_connections_of_their_own_that_are_kept() -> None:
    server = Server()
    async with serving(server) as backend:
        for _ in range(3):
            await asyncio.gather(*(ask(backend) for _ in range(4)))
    assert server.connections == 4


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        pytest.param({}, None, id="anonymous"),
        pytest.param({"api_key": SecretStr("a2V5")}, "ApiKey a2V5", id="an API key"),
        pytest.param({"userinfo": "u%40x:p@"}, "Basic dUB4OnA=", id="name and password"),
    ],
)
async def test_credentials(settings: dict[str, Any], expected: str | None) -> None:
    server = Server()
    async with serving(server, **settings) as backend:
        await ask(backend)
    lines = dict(line.split(": ") for line in server.heads[0].lower().split("\r\n")[1:-2])
    assert lines.get("authorization") == (expected.lower() if expected else None)
    assert "@" not in lines["host"]


async def test_an_address_under_a_path() -> None:
    server = Server()
    async with serving(server, under="/search/") as backend:
        await ask(backend)
    assert server.heads[0].startswith(f"POST /search{PATH} HTTP/1.1\r\n")


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(http(b'{"found":1}'), id="with a length"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
            b'5\r\n{"fou\r\n6\r\nnd":1}\r\n0\r\n\r\n',
            id="in chunks",
        ),
    ],
)
async def test_an_answer_byte_by_byte(answer: bytes) -> None:
    async with serving(Server(answer, pieces=1)) as backend:
        assert await ask(backend) == {"found": 1}
        assert await ask(backend) == {"found": 1}


async def test_a_connection_that_was_closed_while_idle_is_no_error() -> None:
    server = Server(closes_after=1)
    async with serving(server) as backend:
        for _ in range(3):
            assert await ask(backend) == {"found": 1}
            await asyncio.wait_for(server.gone.wait(), 5)
            server.gone.clear()
    assert server.connections == 3


async def test_a_connection_is_not_kept_when_the_server_says_so() -> None:
    server = Server(http(b'{"found":1}', "200 OK", "Connection: close"))
    async with serving(server) as backend:
        await ask(backend)
        await ask(backend)
    assert server.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n{", id="cut in the body"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Le", id="cut in the head"),
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", id="not HTTP"),
        pytest.param(http(b"<html>busy</html>"), id="not JSON"),
        pytest.param(http(b"<html>busy</html>", "502 Bad Gateway"), id="the error of a proxy"),
    ],
)
async def test_what_is_no_answer_is_worth_another_try_of_the_caller(answer: bytes) -> None:
    async with serving(Server(answer, closes_after=1)) as backend:
        with pytest.raises(BackendError) as caught:
            await ask(backend)
    assert caught.value.retryable


async def test_an_answer_that_was_begun_is_not_asked_for_again() -> None:
    server = Server()
    async with serving(server) as backend:
        await ask(backend)
        server.answer, server.closes_after = b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n{", 2
        with pytest.raises(BackendError):
            await ask(backend)
    assert len(server.heads) == 2


@pytest.mark.parametrize(
    ("status", "kind", "retryable", "error"),
    [
        pytest.param("400 Bad Request", "parsing_exception", False, BackendError, id="our fault"),
        pytest.param("401 Unauthorized", "security_exception", False, BackendError, id="no key"),
        pytest.param("404 Not Found", "index_not_found_exception", True, BackendError, id="index"),
        pytest.param("413 Too Large", "x", False, TooLargeError, id="too large"),
        pytest.param("429 Too Many", "es_rejected", True, BackendError, id="overloaded"),
        pytest.param("503 Unavailable", "no_shard", True, BackendError, id="no shard"),
        pytest.param("400 Bad Request", "too many clauses", False, TooManyClausesError, id="wide"),
    ],
)
async def test_errors_of_elasticsearch(
    status: str, kind: str, retryable: bool, error: type[BackendError]
) -> None:
    body = b'{"error":{"type":"%b","reason":"the words of a user"}}' % kind.encode()
    async with serving(Server(http(body, status))) as backend:
        with pytest.raises(BackendError) as caught:
            await ask(backend)
    assert type(caught.value) is error
    assert caught.value.retryable is retryable
    assert "words" not in str(caught.value)


@pytest.mark.parametrize("how", ["too late", "cancelled"])
async def test_who_stops_waiting_closes_the_connection(how: str) -> None:
    server = Server(b"HTTP/1.1 200 OK\r\n")
    async with serving(server) as backend:
        if how == "too late":
            with pytest.raises(BackendError) as caught:
                await ask(backend, at_most=0.05)
            assert caught.value.retryable
        else:
            task = asyncio.create_task(ask(backend))
            await asyncio.wait_for(server.asked.wait(), 5)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await asyncio.wait_for(server.gone.wait(), 5)


async def test_nobody_listens() -> None:
    backend = Backend.of(ElasticsearchSettings(url=AnyHttpUrl("http://127.0.0.1:1")))
    with pytest.raises(BackendError) as caught:
        await ask(backend)
    assert caught.value.retryable


@pytest.mark.parametrize("more", [http(b'{"found":2}'), b"HTTP/1.1 200 OK\r\nContent"])
async def test_an_answer_that_nobody_asked_for_is_never_that_of_the_next(more: bytes) -> None:
    server = Server(http(b'{"found":1}') + more)
    async with serving(server) as backend:
        assert await ask(backend) == {"found": 1}
        server.answer = http(b'{"found":3}')
        assert await ask(backend) == {"found": 3}
    assert server.connections == 2


async def test_as_many_connections_as_there_are_places() -> None:
    server = Server(http(b'{"docs":[]}'))
    supervisor = Principal("acme", "1efc024d-0000-4000-8000-00000000000a", Role.SUPERVISOR, ("g",))
    async with serving(server) as backend:
        search = RecordingSearch(backend, IndexNames("voice"), timeout=5.0, gate=Gate(3))
        await asyncio.gather(*(search.supervised_by(supervisor) for _ in range(40)))
    assert server.connections == 3
