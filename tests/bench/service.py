"""`recordings-api serve` as a process of its own, tokens that it takes, and requests as bytes."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
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
from tests.bench.crews import BIN, POLL_SECONDS, START_SECONDS
from tests.bench.errors import BenchError
from tests.bench.stand import Stand

ISSUER: Final = "bench"
AUDIENCE: Final = "recordings-api"

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Service:
    """Where the API answers, and its process."""

    address: Address
    pid: int
    key: EllipticCurvePrivateKey

    def headers(self, principal: Principal) -> dict[str, str]:
        """With a token that is good for a day."""
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + 86_400}
        claims |= {"sub": principal.user_id, "tenant": principal.tenant_id, "role": principal.role}
        return {"Authorization": f"Bearer {jwt.encode(claims, self.key, algorithm='ES256')}"}

    def request(self, path: str, principal: Principal) -> bytes:
        """A whole GET request."""
        lines = {"Host": LOOPBACK, **self.headers(principal)}
        headers = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        return f"GET {path} HTTP/1.1\r\n{headers}\r\n".encode()


def target(parameters: Mapping[str, str]) -> str:
    """Path and query string of one search."""
    return f"/v1/recordings?{urlencode(parameters, quote_via=quote)}"


@contextmanager
def serving(stand: Stand, names: IndexNames) -> Iterator[Service]:
    """The API over these indices, with its defaults, ready. Raises BenchError."""
    key = generate_private_key(SECP256R1())
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    port = free_port()
    settings = {
        **os.environ,
        "RECORDINGS_ELASTICSEARCH_URL": stand.addresses.elasticsearch_url,
        "RECORDINGS_INDEX_PREFIX": names.prefix,
        "RECORDINGS_API_PORT": str(port),
        "RECORDINGS_AUTH_PUBLIC_KEY": pem.decode(),
        "RECORDINGS_AUTH_ISSUER": ISSUER,
        "RECORDINGS_AUTH_AUDIENCE": AUDIENCE,
    }
    with (stand.folder / "api.log").open("ab") as log:
        process = subprocess.Popen(
            [BIN / "recordings-api", "serve"],
            env=settings,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait(process, (LOOPBACK, port))
        yield Service((LOOPBACK, port), process.pid, key)
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
                text = "the API did not start; its log is in the folder of the results"
                raise BenchError(text) from None
            time.sleep(POLL_SECONDS)
        else:
            return
