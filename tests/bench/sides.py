"""The four ways to the same searches, each a process that is ready and the bytes that it is asked.

service      `recordings-api serve`, as it is run
direct       Elasticsearch itself, asked byte for byte what the service asks it
forwarder    aiohttp in and out, no check
FastAPI      the ordinary way

What the service asks is heard, not written again: a second one is asked the whole mix once through
a relay.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from services.acl import Principal
from services.indices import IndexNames
from tests.bench.crews import BIN, POLL_SECONDS, ROOT, START_SECONDS
from tests.bench.errors import BenchError
from tests.bench.questions import Question
from tests.bench.stand import Stand
from tests.bench.wire import HEAD_END, Address, Tap, address_of, exchange, tapped

ISSUER: Final = "bench"
AUDIENCE: Final = "recordings-api"
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
    key = generate_private_key(SECP256R1())
    settings = _settings(stand.addresses.elasticsearch_url, names, key)
    asked = [_get(one.target, _token(one.principal, key)) for one in questions]
    elasticsearch = address_of(stand.addresses.elasticsearch_url)
    with tapped(elasticsearch) as tap:
        heard = {"RECORDINGS_ELASTICSEARCH_URL": tap.url}
        with _service(stand, settings | heard) as service:
            searches = [_heard(tap, service.address, request) for request in asked]
    with (
        _service(stand, settings) as service,
        _forwarder(stand, searches) as forwarder,
        _fastapi(stand, settings) as fastapi,
    ):
        numbers = [_get(f"/{number}") for number in range(len(questions))]
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
    with _python(stand, "tests.bench.canned", str(file)) as program:
        yield Side("canned", program.address, program.pid, [_get("/")])


@dataclass(frozen=True, slots=True)
class _Program:
    address: Address
    pid: int


@contextmanager
def _program(
    stand: Stand, command: Sequence[str], port: int, settings: Mapping[str, str]
) -> Iterator[_Program]:
    """A program that listens on this port of 127.0.0.1, ended at the end."""
    with (stand.folder / "search-servers.log").open("ab") as log:
        process = subprocess.Popen(
            command,
            env=settings,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    address = ("127.0.0.1", port)
    try:
        _wait(process, address)
        yield _Program(address, process.pid)
    finally:
        process.kill()
        process.wait()


def _wait(process: subprocess.Popen[bytes], address: Address) -> None:
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(address, 1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > end:
                text = "a server did not start; its log is in the folder of the results"
                raise BenchError(text) from None
            time.sleep(POLL_SECONDS)
        else:
            return


@contextmanager
def _service(stand: Stand, settings: Mapping[str, str]) -> Iterator[_Program]:
    port = _free_port()
    command = [str(BIN / "recordings-api"), "serve"]
    changed = {**settings, "RECORDINGS_API_PORT": str(port)}
    with _program(stand, command, port, changed) as program:
        yield program


@contextmanager
def _fastapi(stand: Stand, settings: Mapping[str, str]) -> Iterator[_Program]:
    port = _free_port()
    command = [
        *(str(BIN / "uvicorn"), "tests.bench.ordinary_api:app", f"--port={port}"),
        *("--loop=uvloop", "--http=httptools", "--no-access-log", "--log-level=warning"),
    ]
    with _program(stand, command, port, settings) as program:
        yield program


@contextmanager
def _forwarder(stand: Stand, searches: Sequence[bytes]) -> Iterator[_Program]:
    file = stand.folder / "forwarded.json"
    requests = [_taken_apart(search) for search in searches]
    url = stand.addresses.elasticsearch_url.rstrip("/")
    file.write_bytes(orjson.dumps({"url": url, "requests": requests}))
    with _python(stand, "tests.bench.forwarder", str(file)) as program:
        yield program


@contextmanager
def _python(stand: Stand, module: str, file: str) -> Iterator[_Program]:
    port = _free_port()
    command = [sys.executable, "-m", module, str(port), file]
    with _program(stand, command, port, os.environ) as program:
        yield program


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


def _settings(url: str, names: IndexNames, key: EllipticCurvePrivateKey) -> dict[str, str]:
    """Of service and FastAPI; everything else is left at its default."""
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return {
        **os.environ,
        "RECORDINGS_ELASTICSEARCH_URL": url,
        "RECORDINGS_INDEX_PREFIX": names.prefix,
        "RECORDINGS_AUTH_PUBLIC_KEY": pem.decode(),
        "RECORDINGS_AUTH_ISSUER": ISSUER,
        "RECORDINGS_AUTH_AUDIENCE": AUDIENCE,
    }


def _token(principal: Principal, key: EllipticCurvePrivateKey) -> str:
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + 86_400}
    claims |= {"sub": principal.user_id, "tenant": principal.tenant_id, "role": principal.role}
    return jwt.encode(claims, key, algorithm="ES256")


def _get(target: str, token: str = "") -> bytes:
    authorization = f"Authorization: Bearer {token}\r\n" if token else ""
    return f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n{authorization}\r\n".encode()


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
