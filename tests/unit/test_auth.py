"""Tokens: which are believed, and what is said about the others."""

import base64
import hmac
import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from api.auth import LEEWAY_SECONDS, Authenticator
from api.keys import keys_from
from services.acl import Principal, Role
from services.errors import CallerError, SettingsError
from services.settings import AuthSettings

USER = "1efc024d-0000-4000-8000-00000000000a"
KEYS: dict[str, Any] = {
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}


TIMES = ("exp", "nbf", "iat")


def pem(key: Any) -> str:
    public = key.public_key()
    text: bytes = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return text.decode()


def claims(**changes: Any) -> dict[str, Any]:
    """Good claims with these changes; times in seconds from now."""
    now = int(time.time())
    good: dict[str, Any] = {
        "sub": USER.upper(),
        "tenant": "acme",
        "role": "user",
        "iss": "issuer",
        "aud": "audience",
        "exp": 60,
    }
    every = good | changes
    times = {name: now + every[name] for name in TIMES if isinstance(every.get(name), int)}
    return {name: value for name, value in (every | times).items() if value is not None}


def authenticator(algorithm: str = "ES256") -> Authenticator:
    settings = AuthSettings(public_key=pem(KEYS[algorithm]), issuer="issuer", audience="audience")
    return Authenticator(keys_from(settings), "issuer", "audience")


async def refusal(header: str | None, algorithm: str = "ES256") -> str:
    with pytest.raises(CallerError) as caught:
        await authenticator(algorithm).principal(header)
    return caught.value.code


@pytest.mark.parametrize("algorithm", KEYS)
async def test_a_good_token(algorithm: str) -> None:
    token = jwt.encode(claims(), KEYS[algorithm], algorithm=algorithm)
    principal = await authenticator(algorithm).principal(f"bearer {token}")
    assert principal == Principal("acme", USER, Role.USER)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"exp": -3600}, id="expired"),
        pytest.param({"exp": None}, id="never expires"),
        pytest.param({"nbf": 3600}, id="not yet valid"),
        pytest.param({"iss": "somebody"}, id="another issuer"),
        pytest.param({"aud": "others"}, id="another audience"),
        pytest.param({"aud": None}, id="no audience"),
        pytest.param({"sub": None}, id="no subject"),
        pytest.param({"sub": "root"}, id="subject that is no GUID"),
        pytest.param({"sub": 7}, id="subject that is no text"),
        pytest.param({"sub": ""}, id="empty subject"),
        pytest.param({"sub": f"{USER}\n"}, id="subject with a line break"),
        pytest.param({"iss": None}, id="no issuer"),
        pytest.param({"iss": "issuer/"}, id="issuer that begins the same"),
        pytest.param({"aud": "Audience"}, id="audience in another case"),
        pytest.param({"aud": ["others"]}, id="other audiences"),
        pytest.param({"aud": []}, id="no audience in the list"),
        pytest.param({"exp": "tomorrow"}, id="end that is no number"),
        pytest.param({"exp": -40}, id="expired longer ago than clocks differ"),
        pytest.param({"nbf": 90}, id="not yet valid, beyond the skew of clocks"),
        pytest.param({"iat": 90}, id="issued in the future"),
    ],
)
async def test_a_token_that_is_not_good(changes: dict[str, Any]) -> None:
    token = jwt.encode(claims(**changes), KEYS["ES256"], algorithm="ES256")
    assert await refusal(f"Bearer {token}") == "unauthorized"


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"tenant": None}, id="no tenant"),
        pytest.param({"tenant": ""}, id="empty tenant"),
        pytest.param({"tenant": ["acme"]}, id="tenant that is no text"),
        pytest.param({"role": None}, id="no role"),
        pytest.param({"role": "root"}, id="unknown role"),
        pytest.param({"role": ["administrator"]}, id="role that is no text"),
        pytest.param({"role": "Administrator"}, id="role in another case"),
        pytest.param({"role": "administrator,user"}, id="two roles"),
        pytest.param({"role": {}}, id="role that is an object"),
        pytest.param({"tenant": 1}, id="tenant that is a number"),
        pytest.param({"role": "supervisor", "groups": "team"}, id="groups that are no list"),
        pytest.param({"role": "supervisor", "groups": [1]}, id="a group that is no text"),
        pytest.param({"role": "supervisor", "groups": {"a": 1}}, id="groups that are an object"),
        pytest.param({"role": "supervisor", "groups": ["g"] * 201}, id="too many groups"),
    ],
)
async def test_a_good_token_that_may_not_search(changes: dict[str, Any]) -> None:
    token = jwt.encode(claims(**changes), KEYS["ES256"], algorithm="ES256")
    assert await refusal(f"Bearer {token}") == "forbidden"


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"exp": -5}, id="expired, as far as clocks differ"),
        pytest.param({"nbf": 20}, id="not yet valid, as far as clocks differ"),
        pytest.param({"iat": 20}, id="issued by a clock that is ahead"),
        pytest.param({"aud": ["others", "audience"]}, id="one audience of several"),
        pytest.param({"groups": "team"}, id="groups of who is no supervisor"),
        pytest.param({"extra": {"a": [1]}}, id="other claims"),
    ],
)
async def test_a_token_that_is_good_enough(changes: dict[str, Any]) -> None:
    token = jwt.encode(claims(**changes), KEYS["ES256"], algorithm="ES256")
    assert (await authenticator().principal(f"Bearer {token}")).groups == ()


async def test_the_groups_of_a_supervisor() -> None:
    changes = {"role": "supervisor", "groups": ["b", "a", "b"]}
    token = jwt.encode(claims(**changes), KEYS["ES256"], algorithm="ES256")
    principal = await authenticator().principal(f"Bearer {token}")
    assert principal == Principal("acme", USER, Role.SUPERVISOR, ("b", "a"))


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Basic abc",
        "Bearer a.b.c",
        "Bearer \u00e9",
        "Bearer {}.{}.{}",
    ],
)
async def test_what_is_no_token(header: str | None) -> None:
    assert await refusal(header) == "unauthorized"


def encoded(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


async def test_an_unsigned_token() -> None:
    assert (
        await refusal(f"Bearer {encoded({'alg': 'none'})}.{encoded(claims())}.") == "unauthorized"
    )


async def test_a_token_of_another_kind_of_key() -> None:
    token = jwt.encode(claims(), KEYS["RS256"], algorithm="RS256")
    assert await refusal(f"Bearer {token}") == "unauthorized"


async def test_the_public_key_is_no_secret_of_a_symmetric_signature() -> None:
    signed = f"{encoded({'alg': 'HS256', 'typ': 'JWT'})}.{encoded(claims())}"
    mac = hmac.digest(pem(KEYS["ES256"]).encode(), signed.encode(), "sha256")
    signature = base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
    assert await refusal(f"Bearer {signed}.{signature}") == "unauthorized"


@pytest.mark.parametrize("part", [0, 1, 2])
async def test_a_token_of_which_a_part_was_altered(part: int) -> None:
    parts = jwt.encode(claims(), KEYS["ES256"], algorithm="ES256").split(".")
    other = jwt.encode(claims(role="administrator"), KEYS["RS256"], algorithm="RS256").split(".")
    parts[part] = other[part]
    assert await refusal(f"Bearer {'.'.join(parts)}") == "unauthorized"


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(ec.generate_private_key(ec.SECP384R1()), id="another curve"),
        pytest.param(rsa.generate_private_key(public_exponent=65537, key_size=1024), id="short"),  # noqa: S505
    ],
)
def test_a_key_of_a_kind_that_is_not_used(key: Any) -> None:
    settings = AuthSettings(public_key=pem(key), issuer="i", audience="a")
    with pytest.raises(SettingsError, match="RECORDINGS_AUTH_PUBLIC_KEY: must be an RSA"):
        keys_from(settings)


def test_a_key_that_is_none_is_told_by_the_name_of_its_setting() -> None:
    settings = AuthSettings(public_key="secret", issuer="i", audience="a")
    with pytest.raises(SettingsError, match="RECORDINGS_AUTH_PUBLIC_KEY") as caught:
        keys_from(settings)
    assert "secret" not in str(caught.value)


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tokens whose signature was looked at."""
    looked_at, decode = list[str](), jwt.decode

    def spy(token: str, *arguments: Any, **options: Any) -> Any:
        looked_at.append(token)
        return decode(token, *arguments, **options)

    monkeypatch.setattr(jwt, "decode", spy)
    return looked_at


async def test_a_good_token_is_verified_once(verified: list[str]) -> None:
    known = authenticator()
    token = jwt.encode(claims(), KEYS["ES256"], algorithm="ES256")
    principals = {await known.principal(f"Bearer {token}") for _ in range(3)}
    assert principals == {Principal("acme", USER, Role.USER)}
    assert verified == [token]


async def test_what_is_remembered_of_one_token_is_not_of_another() -> None:
    known = authenticator()
    boss = jwt.encode(claims(role="administrator"), KEYS["ES256"], algorithm="ES256")
    await known.principal(f"Bearer {boss}")
    user = jwt.encode(claims(), KEYS["ES256"], algorithm="ES256")
    assert (await known.principal(f"Bearer {user}")).role is Role.USER
    header, payload, signature = boss.split(".")
    for altered in (
        f"{header}.{payload}.",
        f"{header}.{user.split('.')[1]}.{signature}",
        boss[:-4],
    ):
        with pytest.raises(CallerError, match="not valid"):
            await known.principal(f"Bearer {altered}")


async def test_a_remembered_token_ends_when_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    known = authenticator()
    token = jwt.encode(claims(exp=60), KEYS["ES256"], algorithm="ES256")
    now = time.time()
    await known.principal(f"Bearer {token}")
    monkeypatch.setattr(time, "time", lambda: now + 60 + LEEWAY_SECONDS - 2)
    await known.principal(f"Bearer {token}")
    monkeypatch.setattr(time, "time", lambda: now + 60 + LEEWAY_SECONDS + 1)
    # The library that verifies has a clock of its own, so what refuses here is what is remembered.
    monkeypatch.setattr(jwt, "decode", refuses)
    with pytest.raises(CallerError, match="expired"):
        await known.principal(f"Bearer {token}")


def refuses(*_: Any, **__: Any) -> Any:
    raise jwt.ExpiredSignatureError


async def test_refused_tokens_are_not_remembered(verified: list[str]) -> None:
    known = authenticator()
    token = jwt.encode(claims(role="root"), KEYS["ES256"], algorithm="ES256")
    for _ in range(2):
        with pytest.raises(CallerError):
            await known.principal(f"Bearer {token}")
    assert verified == [token] * 2


async def test_only_so_many_are_remembered(
    verified: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.auth.MAX_REMEMBERED", 2)
    known = authenticator()
    tokens = [
        jwt.encode(claims(extra=number), KEYS["ES256"], algorithm="ES256") for number in range(3)
    ]
    for token in [*tokens, *tokens[1:], tokens[0]]:
        await known.principal(f"Bearer {token}")
    assert verified == [*tokens, tokens[0]]
