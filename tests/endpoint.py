"""The API in this process, on a real port, with tokens of the tests' own."""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from api.app import create_app
from api.protection import SERVER_OPTIONS
from services.acl import Principal
from services.indices import IndexNames
from services.settings import ApiSettings, load

KEY = ec.generate_private_key(ec.SECP256R1())
PEM = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@dataclass
class Answer:
    status: int
    body: dict[str, Any]
    headers: Mapping[str, str]


def token(principal: Principal) -> str:
    now = int(time.time())
    claims = {"iss": "tests", "aud": "recordings-api", "iat": now, "exp": now + 3600}
    claims |= {"sub": principal.user_id, "tenant": principal.tenant_id, "role": principal.role}
    return jwt.encode(claims | {"groups": list(principal.groups)}, KEY, algorithm="ES256")


@dataclass
class Endpoint:
    """Asks the running API."""

    session: aiohttp.ClientSession
    base: str
    tokens: dict[Principal, str] = field(default_factory=dict)

    async def get(
        self, principal: Principal, path: str = "/v1/recordings", **parameters: Any
    ) -> Answer:
        """One request; a list of parameters that is without `quantity` and `from` gets them."""
        if path == "/v1/recordings":
            parameters = {"quantity": 100, "from": 0} | parameters
        bearer = self.tokens.setdefault(principal, token(principal))
        async with self.session.get(
            self.base + path,
            params={name: str(value) for name, value in parameters.items()},
            headers={"Authorization": f"Bearer {bearer}"},
        ) as response:
            return Answer(response.status, await response.json(content_type=None), response.headers)

    async def found(self, principal: Principal, **parameters: Any) -> dict[str, Any]:
        """The body of an answer that must be good."""
        answer = await self.get(principal, **parameters)
        assert answer.status == 200, (answer.status, answer.body, parameters)
        return answer.body

    async def ids(self, principal: Principal, **parameters: Any) -> list[str]:
        body = await self.found(principal, **parameters)
        return [recording["id"] for recording in body["recordings"]]

    async def pages(self, principal: Principal, **parameters: Any) -> AsyncIterator[dict[str, Any]]:
        """The pages of a walk to its end."""
        cursor: str | None = ""
        while cursor is not None:
            page = await self.found(principal, cursor=cursor, **parameters)
            yield page
            cursor = page["nextCursor"]


@asynccontextmanager
async def serve(
    elasticsearch_url: str, names: IndexNames, **settings: str
) -> AsyncIterator[Endpoint]:
    """The API over these indices; `settings` are of RECORDINGS_API_, without the prefix."""
    with pytest.MonkeyPatch.context() as patch:
        environment = {
            "RECORDINGS_ELASTICSEARCH_URL": elasticsearch_url,
            "RECORDINGS_INDEX_PREFIX": names.prefix,
            "RECORDINGS_PHONE_REGION": "IT",
            "RECORDINGS_AUTH_PUBLIC_KEY": PEM,
            "RECORDINGS_AUTH_ISSUER": "tests",
            "RECORDINGS_AUTH_AUDIENCE": "recordings-api",
        } | {f"RECORDINGS_API_{name.upper()}": value for name, value in settings.items()}
        for name, value in environment.items():
            patch.setenv(name, value)
        app = create_app(load(ApiSettings))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1, **SERVER_OPTIONS)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        port = runner.addresses[0][1]
        async with aiohttp.ClientSession() as session:
            yield Endpoint(session, f"http://127.0.0.1:{port}")
    finally:
        await runner.cleanup()
