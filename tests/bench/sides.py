"""The four ways to the same searches, each a process that is ready and the bytes that it is asked.

service      `recordings-api serve`, as it is run
direct       Elasticsearch itself, asked byte for byte what the service asks it
forwarder    aiohttp in and out, no check
FastAPI      the ordinary way

What the service asks is heard, not written again: a second one is asked the whole mix once through
a relay.
"""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import orjson

from deploy.local.ports import free_port
from services.indices import IndexNames
from tests.bench.crews import BIN
from tests.bench.errors import BenchError
from tests.bench.questions import Question
from tests.bench.service import Program, Tokens, get, program, serving, settings_of
from tests.bench.stand import Stand
from tests.bench.wire import HEAD_END, Address, Tap, address_of, exchange, tapped

SERVICE: Final = "service"
DIRECT: Final = "direct"
FORWARDER: Final = "forwarder"
FASTAPI: Final = "FastAPI"
# Of the headers that were heard, those that the forwarder's own client makes.
_OF_THE_CONNECTION: Final = frozenset({"host", "connection", "content-length"})


@dataclass(frozen=True, slots=True)
class Side:
    """Where it listens, its process (None is Elasticsearch's), and one request a question."""

    name: str
    address: Address
    pid: int | None
    requests: Sequence[bytes]


@contextmanager
def sides(stand: Stand, names: IndexNames, questions: Sequence[Question]) -> Iterator[list[Side]]:
    """All four, ready. Raises BenchError."""
    tokens, url = Tokens(), stand.addresses.elasticsearch_url
    asked = [get(one.target, {"Authorization": tokens.header(one.principal)}) for one in questions]
    elasticsearch = address_of(url)
    with tapped(elasticsearch) as tap, serving(stand, names, tokens, tap.url) as service:
        searches = [_heard(tap, service.address, request) for request in asked]
    with (
        serving(stand, names, tokens) as service,
        _forwarder(stand, searches) as forwarder,
        _fastapi(stand, settings_of(url, names, tokens)) as fastapi,
    ):
        numbers = [get(f"/{number}") for number in range(len(questions))]
        yield [
            Side(SERVICE, service.address, service.pid, asked),
            Side(DIRECT, elasticsearch, None, searches),
            Side(FORWARDER, forwarder.address, forwarder.pid, numbers),
            Side(FASTAPI, fastapi.address, fastapi.pid, asked),
        ]


@contextmanager
def canned(stand: Stand, body: bytes) -> Iterator[Side]:
    """A server that has this answer ready: what the load can do at most."""
    file = stand.folder / "canned-answer.json"
    file.write_bytes(body)
    with _python(stand, "tests.bench.canned", str(file)) as made:
        yield Side("canned", made.address, made.pid, [get("/")])


@contextmanager
def _fastapi(stand: Stand, settings: Mapping[str, str]) -> Iterator[Program]:
    port = free_port()
    command = [
        *(str(BIN / "uvicorn"), "tests.bench.ordinary_api:app", f"--port={port}"),
        *("--loop=uvloop", "--http=httptools", "--no-access-log", "--log-level=warning"),
    ]
    with program(stand, command, port, settings) as made:
        yield made


@contextmanager
def _forwarder(stand: Stand, searches: Sequence[bytes]) -> Iterator[Program]:
    file = stand.folder / "forwarded.json"
    requests = [_taken_apart(search) for search in searches]
    url = stand.addresses.elasticsearch_url.rstrip("/")
    file.write_bytes(orjson.dumps({"url": url, "requests": requests}))
    with _python(stand, "tests.bench.forwarder", str(file)) as made:
        yield made


@contextmanager
def _python(stand: Stand, module: str, file: str) -> Iterator[Program]:
    port = free_port()
    command = [sys.executable, "-m", module, str(port), file]
    with program(stand, command, port, os.environ) as made:
        yield made


def _heard(tap: Tap, service: Address, request: bytes) -> bytes:
    """What the service sends to Elasticsearch for this request: one search, as bytes."""
    tap.sent.clear()
    answer = exchange(service, request)
    if answer.status != 200:
        raise BenchError(f"the service answered {answer.status} to {request[:200]!r}")
    sent = bytes(tap.sent)
    head, _, body = sent.partition(HEAD_END)
    line = head.partition(b"\r\n")[0]
    length = int(_headers(head).get("content-length", -1))
    if not line.startswith(b"POST ") or b"/_search" not in line or length != len(body):
        raise BenchError(f"the service did not send one search: {line.decode()}")
    return sent


def _taken_apart(request: bytes) -> dict[str, Any]:
    """As a client takes it: target, headers, body."""
    head, _, body = request.partition(HEAD_END)
    headers = {
        name: value for name, value in _headers(head).items() if name not in _OF_THE_CONNECTION
    }
    target = head.split(b" ", 2)[1].decode()
    return {"target": target, "headers": headers, "body": body.decode()}


def _headers(head: bytes) -> dict[str, str]:
    lines = head.decode().split("\r\n")[1:]
    pairs = (line.partition(":") for line in lines)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}
