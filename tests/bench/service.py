"""`recordings-api serve` as a process of its own, tokens that it takes, and requests as bytes."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, urlencode

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from deploy.local.ports import LOOPBACK, free_port
from services.acl import Principal
from services.indices import IndexNames
from tests.bench.crews import BIN, POLL_SECONDS, ROOT, START_SECONDS
from tests.bench.errors import BenchError
from tests.bench.stand import Stand
from tests.bench.wire import Address

ISSUER: Final = "bench"
AUDIENCE: Final = "recordings-api"


@dataclass(frozen=True, slots=True)
class Program:
    """Where it listens, and its process."""

    address: Address
    pid: int


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens that are good for a day, and the settings of a program that takes them."""

    key: EllipticCurvePrivateKey = field(default_factory=lambda: generate_private_key(SECP256R1()))

    def header(self, principal: Principal) -> str:
        """The value of `Authorization`."""
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + 86_400}
        claims |= {"sub": principal.user_id, "tenant": principal.tenant_id, "role": principal.role}
        return f"Bearer {jwt.encode(claims, self.key, algorithm='ES256')}"

    def settings(self) -> dict[str, str]:
        """As variables of the environment."""
        pem = self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return {
            "RECORDINGS_AUTH_PUBLIC_KEY": pem.decode(),
            "RECORDINGS_AUTH_ISSUER": ISSUER,
            "RECORDINGS_AUTH_AUDIENCE": AUDIENCE,
        }


@dataclass(frozen=True, slots=True)
class Service:
    """The API, and who may ask it."""

    address: Address
    pid: int
    tokens: Tokens

    def headers(self, principal: Principal) -> dict[str, str]:
        """Of a request of this principal."""
        return {"Authorization": self.tokens.header(principal)}

    def request(self, path: str, principal: Principal) -> bytes:
        """A whole GET request."""
        return get(path, self.headers(principal))


def get(path: str, headers: Mapping[str, str] | None = None) -> bytes:
    """A whole GET request."""
    lines = {"Host": LOOPBACK, **(headers or {})}
    text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"GET {path} HTTP/1.1\r\n{text}\r\n".encode()


def target(parameters: Mapping[str, str]) -> str:
    """Path and query string of one search."""
    return f"/v1/recordings?{urlencode(parameters, quote_via=quote)}"


def settings_of(url: str, names: IndexNames, tokens: Tokens) -> dict[str, str]:
    """Of a program that searches these indices; everything else is left at its default."""
    return {
        **os.environ,
        "RECORDINGS_ELASTICSEARCH_URL": url,
        "RECORDINGS_INDEX_PREFIX": names.prefix,
        **tokens.settings(),
    }


@contextmanager
def serving(
    stand: Stand, names: IndexNames, tokens: Tokens | None = None, url: str | None = None
) -> Iterator[Service]:
    """The API over these indices, with its defaults, ready; Elasticsearch is at `url`.

    Raises BenchError.
    """
    tokens, port = tokens or Tokens(), free_port()
    settings = settings_of(url or stand.addresses.elasticsearch_url, names, tokens)
    command = [str(BIN / "recordings-api"), "serve"]
    with program(stand, command, port, settings | {"RECORDINGS_API_PORT": str(port)}) as made:
        yield Service(made.address, made.pid, tokens)


@contextmanager
def program(
    stand: Stand, command: Sequence[str], port: int, settings: Mapping[str, str]
) -> Iterator[Program]:
    """A program that listens on this port of 127.0.0.1, ended at the end. Raises BenchError."""
    with (stand.folder / "servers.log").open("ab") as log:
        process = subprocess.Popen(
            command,
            env=settings,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait(process, (LOOPBACK, port))
        yield Program((LOOPBACK, port), process.pid)
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
