"""Keys at a JWKS address, over a real local HTTP server: when they are fetched, which are used."""

import asyncio
import base64
import hmac
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import jwt
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from api import keys
from api.app import create_app
from api.auth import Authenticator
from api.keys import JwksKeys
from services.errors import BackendError, CallerError
from services.settings import ApiSettings, load

USER = "1efc024d-0000-4000-8000-00000000000a"
PRIVATE: dict[str, Any] = {
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}
ALGORITHMS: dict[str, Any] = {
    "ES256": jwt.algorithms.ECAlgorithm,
    "RS256": jwt.algorithms.RSAAlgorithm,
    "EdDSA": jwt.algorithms.OKPAlgorithm,
}


def entry(kid: str, algorithm: str = "ES256", key: Any = None, **members: str) -> dict[str, Any]:
    public = (key or PRIVATE[algorithm]).public_key()
    return {**ALGORITHMS[algorithm].to_jwk(public, as_dict=True), "kid": kid, **members}


def signed(kid: str | None, algorithm: str = "ES256", key: Any = None, headers: Any = None) -> str:
    claims = {"sub": USER, "tenant": "acme", "role": "user", "iss": "issuer", "aud": "audience"}
    return jwt.encode(
        {**claims, "exp": int(time.time()) + 60},
        key or PRIVATE[algorithm],
        algorithm=algorithm,
        headers={**({"kid": kid} if kid else {}), **(headers or {})},
    )


class Issuer:
    """A JWKS address; what it answers can be changed, and its requests are counted."""

    def __init__(self) -> None:
        self.entries: list[Any] = [entry("a")]
        self.status = 200
        self.body: bytes | None = None
        self.requests = 0
        self.open = asyncio.Event()
        self.open.set()
        self.url = ""
        self._asked: asyncio.Queue[int] = asyncio.Queue()

    async def asked(self, times: int) -> None:
        """Returns when so many requests have come; fails at a deadline."""
        async with asyncio.timeout(5):
            while await self._asked.get() < times:
                pass

    async def answer(self, _: web.Request) -> web.Response:
        self.requests += 1
        self._asked.put_nowait(self.requests)
        await self.open.wait()
        body = json.dumps({"keys": self.entries}).encode() if self.body is None else self.body
        return web.Response(status=self.status, body=body, content_type="application/json")


class Clock:
    """The time that the keys see, in seconds; it can be put forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(keys, "time", clock)
    return clock


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    issuer = Issuer()
    app = web.Application()
    app.router.add_get("/keys", issuer.answer)
    async with TestServer(app, host="127.0.0.1") as server:
        issuer.url = str(server.make_url("/keys"))
        yield issuer
        issuer.open.set()


@pytest.fixture
def authenticator(issuer: Issuer) -> Authenticator:
    return Authenticator(JwksKeys(issuer.url), "issuer", "audience")


async def accepted(authenticator: Authenticator, token: str) -> bool:
    """Whether the token is believed; other errors than 401 go on."""
    try:
        principal = await authenticator.principal(f"Bearer {token}")
    except CallerError as error:
        assert error.code == "unauthorized"
        return False
    assert principal.user_id == USER
    return True


@pytest.mark.parametrize("algorithm", PRIVATE)
async def test_a_key_of_each_kind(
    issuer: Issuer, authenticator: Authenticator, algorithm: str
) -> None:
    issuer.entries = [entry(name, name) for name in PRIVATE]
    assert await accepted(authenticator, signed(algorithm, algorithm))


async def test_the_keys_are_fetched_once(issuer: Issuer, authenticator: Authenticator) -> None:
    for _ in range(20):
        assert await accepted(authenticator, signed("a"))
    assert issuer.requests == 1


async def test_many_at_once_wait_for_one_fetch(
    issuer: Issuer, authenticator: Authenticator
) -> None:
    issuer.open.clear()
    waiting = [asyncio.create_task(accepted(authenticator, signed("a"))) for _ in range(50)]
    await issuer.asked(1)
    issuer.open.set()
    assert all(await asyncio.gather(*waiting))
    assert issuer.requests == 1


async def test_one_who_leaves_does_not_end_the_fetch_of_the_others(
    issuer: Issuer, authenticator: Authenticator
) -> None:
    issuer.open.clear()
    first, second = (asyncio.create_task(accepted(authenticator, signed("a"))) for _ in range(2))
    await issuer.asked(1)
    first.cancel()
    issuer.open.set()
    assert await second
    assert issuer.requests == 1


async def test_an_unknown_key_is_fetched(
    issuer: Issuer, authenticator: Authenticator, clock: Clock
) -> None:
    assert await accepted(authenticator, signed("a"))
    issuer.entries.append(entry("b", "RS256"))
    clock.ahead += keys.PAUSE_SECONDS
    assert await accepted(authenticator, signed("b", "RS256"))
    assert issuer.requests == 2


async def test_unknown_keys_fetch_no_more_than_the_pause_allows(
    issuer: Issuer, authenticator: Authenticator
) -> None:
    for number in range(50):
        assert not await accepted(authenticator, signed(f"unknown {number}"))
    assert issuer.requests == 1


async def test_a_key_that_was_withdrawn_is_not_believed_for_long(
    issuer: Issuer, authenticator: Authenticator, clock: Clock
) -> None:
    assert await accepted(authenticator, signed("a"))
    issuer.entries = [entry("b", "RS256")]
    clock.ahead += keys.LIFETIME_SECONDS + 1
    # The first one after the lifetime has the old keys while the new ones are fetched.
    assert await accepted(authenticator, signed("a"))
    await issuer.asked(2)
    assert await accepted(authenticator, signed("b", "RS256"))
    assert not await accepted(authenticator, signed("a"))


@pytest.mark.parametrize("kid", ["a", "b"], ids=["another key of its name", "a key less"])
async def test_a_token_that_is_remembered_ends_with_its_key(
    issuer: Issuer, authenticator: Authenticator, clock: Clock, kid: str
) -> None:
    token = signed("a")
    assert await accepted(authenticator, token)
    issuer.entries = [entry(kid, key=ec.generate_private_key(ec.SECP256R1()))]
    clock.ahead += keys.LIFETIME_SECONDS + 1
    assert await accepted(authenticator, token)  # while the new ones are fetched
    assert not await accepted(authenticator, signed("unknown"))  # this one waits for them
    assert not await accepted(authenticator, token)


async def test_a_slow_address_holds_nobody_up_whose_key_is_known(
    issuer: Issuer, authenticator: Authenticator, clock: Clock
) -> None:
    assert await accepted(authenticator, signed("a"))
    clock.ahead += keys.LIFETIME_SECONDS + 1
    issuer.open.clear()  # never answers from here on
    async with asyncio.timeout(keys.FETCH_TIMEOUT_SECONDS / 2):
        assert await accepted(authenticator, signed("a"))


FAILURES = [
    pytest.param({"status": 500}, id="an error"),
    pytest.param({"status": 404}, id="not there"),
    pytest.param({"body": b"<html>"}, id="no JSON"),
    pytest.param({"body": b"\xff\xfe"}, id="no text"),
    pytest.param({"body": b"[]"}, id="no object"),
    pytest.param({"body": b'{"keys": null}'}, id="no list"),
    pytest.param({"entries": []}, id="no keys"),
    pytest.param({"entries": [None, 1, {}, {"kty": "RSA"}]}, id="no usable keys"),
]


def breaks(issuer: Issuer, changes: dict[str, Any]) -> None:
    for name, value in changes.items():
        setattr(issuer, name, value)


@pytest.mark.parametrize("changes", FAILURES)
async def test_without_keys_the_token_is_not_blamed(
    issuer: Issuer, authenticator: Authenticator, changes: dict[str, Any]
) -> None:
    breaks(issuer, changes)
    for _ in range(5):
        with pytest.raises(BackendError) as caught:
            await accepted(authenticator, signed("a"))
        assert caught.value.retryable
    assert issuer.requests == 1


async def test_nothing_listens_there() -> None:
    authenticator = Authenticator(JwksKeys("http://127.0.0.1:1/keys"), "issuer", "audience")
    with pytest.raises(BackendError):
        await accepted(authenticator, signed("a"))


async def test_after_a_failure_the_next_fetch_comes_soon(
    issuer: Issuer, authenticator: Authenticator, clock: Clock
) -> None:
    issuer.status = 503
    with pytest.raises(BackendError):
        await accepted(authenticator, signed("a"))
    issuer.status = 200
    clock.ahead += keys.PAUSE_AFTER_FAILURE_SECONDS
    assert await accepted(authenticator, signed("a"))


async def test_over_http_it_is_503_until_the_keys_are_there(
    issuer: Issuer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RECORDINGS_AUTH_PUBLIC_KEY", raising=False)
    for name, value in {"JWKS_URL": issuer.url, "ISSUER": "issuer", "AUDIENCE": "audience"}.items():
        monkeypatch.setenv(f"RECORDINGS_AUTH_{name}", value)
    issuer.status = 500
    headers = {"Authorization": f"Bearer {signed('a')}"}
    async with TestClient(TestServer(create_app(load(ApiSettings)), host="127.0.0.1")) as client:
        answer = await client.get("/v1/recordings", headers=headers)
        assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
        assert (await client.get("/v1/recordings")).status == 401
        issuer.status = 200
        clock.ahead += keys.PAUSE_AFTER_FAILURE_SECONDS
        answer = await client.get("/v1/recordings", headers=headers)
        assert (answer.status, (await answer.json())["code"]) == (400, "missing_parameter")


@pytest.mark.parametrize("changes", FAILURES)
async def test_keys_that_were_good_stay_while_there_are_no_others(
    issuer: Issuer, authenticator: Authenticator, clock: Clock, changes: dict[str, Any]
) -> None:
    assert await accepted(authenticator, signed("a"))
    breaks(issuer, changes)
    clock.ahead += keys.LIFETIME_SECONDS + 1
    assert await accepted(authenticator, signed("a"))
    await issuer.asked(2)
    assert await accepted(authenticator, signed("a"))
    assert not await accepted(authenticator, signed("unknown"))


async def test_but_not_for_ever(issuer: Issuer, authenticator: Authenticator, clock: Clock) -> None:
    assert await accepted(authenticator, signed("a"))
    issuer.status = 500
    clock.ahead += keys.LONGEST_LIFETIME_SECONDS + 1
    with pytest.raises(BackendError):
        await accepted(authenticator, signed("a"))


async def test_a_token_that_names_no_key_has_the_only_one(
    issuer: Issuer, authenticator: Authenticator
) -> None:
    assert await accepted(authenticator, signed(None))


async def test_and_none_of_several(issuer: Issuer, authenticator: Authenticator) -> None:
    issuer.entries.append(entry("b", "RS256"))
    assert not await accepted(authenticator, signed(None))


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(entry("x", use="enc"), id="a key to encrypt with"),
        pytest.param(entry("x", "RS256", alg="RS512"), id="a key of another algorithm"),
        pytest.param(
            entry("x", "ES256", ec.generate_private_key(ec.SECP384R1())), id="another curve"
        ),
        pytest.param(entry("x", "EdDSA", ed448.Ed448PrivateKey.generate()), id="Ed448"),
        pytest.param(
            entry("x", "RS256", rsa.generate_private_key(public_exponent=65537, key_size=1024)),  # noqa: S505
            id="a short RSA key",
        ),
        pytest.param({"kty": "oct", "k": "c2VjcmV0", "kid": "x"}, id="a symmetric key"),
        pytest.param({"kty": "new", "kid": "x"}, id="a kind of the future"),
        pytest.param("x", id="no object"),
        pytest.param({"kty": "RSA", "kid": ["x"]}, id="a name that is no text"),
    ],
)
async def test_other_keys_are_passed_over(
    issuer: Issuer, authenticator: Authenticator, other: Any
) -> None:
    issuer.entries.insert(0, other)
    assert await accepted(authenticator, signed("a"))
    assert await authenticator.keys.find("x") is None


async def test_a_key_has_the_algorithm_of_its_type(
    issuer: Issuer, authenticator: Authenticator
) -> None:
    issuer.entries.append(entry("rsa", "RS256"))
    assert not await accepted(authenticator, signed("rsa", "ES256"))
    assert not await accepted(authenticator, signed("a", "RS256"))
    for algorithm in ("RS384", "RS512", "PS256"):
        assert not await accepted(authenticator, signed("rsa", algorithm, PRIVATE["RS256"]))
    assert await accepted(authenticator, signed("rsa", "RS256"))


async def test_the_document_is_no_secret_of_a_symmetric_signature(
    issuer: Issuer, authenticator: Authenticator
) -> None:
    header, _, claims = signed("a").rpartition(".")[0].partition(".")
    header = encoded({"alg": "HS256", "typ": "JWT", "kid": "a"})
    for secret in (json.dumps(entry("a")), entry("a")["x"], ""):
        mac = hmac.digest(secret.encode(), f"{header}.{claims}".encode(), "sha256")
        signature = base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
        assert not await accepted(authenticator, f"{header}.{claims}.{signature}")


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "", None, "HS256"])
async def test_a_token_without_a_signature(authenticator: Authenticator, algorithm: Any) -> None:
    _, claims, signature = signed("a").split(".")
    header = encoded({"alg": algorithm, "kid": "a"})
    assert not await accepted(authenticator, f"{header}.{claims}.")
    assert not await accepted(authenticator, f"{header}.{claims}.{signature}")


async def test_a_token_brings_no_key_of_its_own(
    issuer: Issuer, authenticator: Authenticator
) -> None:
    own = ec.generate_private_key(ec.SECP256R1())
    jwk = entry("a", "ES256", own)
    for headers in ({"jwk": jwk}, {"jku": issuer.url}, {"x5c": ["AA=="]}):
        assert not await accepted(authenticator, signed("a", "ES256", own, headers))
    assert issuer.requests == 1


@pytest.mark.parametrize("kid", [1, ["a"], {"a": 1}, None, True])
async def test_a_name_of_a_key_that_is_no_text(authenticator: Authenticator, kid: Any) -> None:
    _, claims, signature = signed("a").split(".")
    assert not await accepted(
        authenticator, f"{encoded({'alg': 'ES256', 'kid': kid})}.{claims}.{signature}"
    )


async def test_extensions_that_must_be_understood(authenticator: Authenticator) -> None:
    headers = {"crit": ["exp-policy"], "exp-policy": 1}
    assert not await accepted(authenticator, signed("a", headers=headers))


def encoded(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
