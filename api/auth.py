"""Who asks: a bearer token, verified, becomes a Principal.

The keys come from one public key in the settings or from a JWKS address. A key has one algorithm,
which follows from its type and never from the token, so that no token can choose how it is checked.
"""

import asyncio
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import aiohttp
import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from services.acl import Principal, Role
from services.errors import BackendError, CallerError, SettingsError
from services.settings import AuthSettings

LEEWAY_SECONDS: Final = 30
MAX_GROUPS: Final = 200
JWKS_LIFETIME_SECONDS: Final = 300.0
JWKS_SHORTEST_PAUSE_SECONDS: Final = 10.0
_GUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public key and the only algorithm that it is used with."""

    key: Any
    algorithm: str


class Keys(Protocol):
    """Where verification keys come from."""

    async def find(self, key_id: str | None) -> VerificationKey | None:
        """The key of this `kid`, or None. Raises BackendError when it cannot be known."""
        ...


@dataclass(frozen=True, slots=True)
class OneKey:
    """The key of the settings, for every token."""

    key: VerificationKey

    async def find(self, key_id: str | None) -> VerificationKey | None:  # noqa: ARG002
        return self.key


@dataclass(slots=True)
class JwksKeys:
    """The keys at a JWKS address: kept for a while, fetched again when an unknown one is named.

    Fetches are single and rarely closer than `JWKS_SHORTEST_PAUSE_SECONDS`, whatever tokens come.
    """

    url: str
    _keys: dict[str | None, VerificationKey] = field(default_factory=dict)
    _fetched_at: float = -float("inf")
    _tried_at: float = -float("inf")
    _fetching: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def find(self, key_id: str | None) -> VerificationKey | None:
        if not self._known(key_id):
            async with self._fetching:
                if not self._known(key_id):
                    await self._refresh()
        return self._keys.get(key_id)

    def _known(self, key_id: str | None) -> bool:
        now = time.monotonic()
        fresh = now - self._fetched_at < JWKS_LIFETIME_SECONDS
        tried_just_now = now - self._tried_at < JWKS_SHORTEST_PAUSE_SECONDS
        return (fresh and key_id in self._keys) or (tried_just_now and bool(self._keys))

    async def _refresh(self) -> None:
        self._tried_at = time.monotonic()
        try:
            timeout = aiohttp.ClientTimeout(total=5)
            async with (
                aiohttp.ClientSession(timeout=timeout, raise_for_status=True) as session,
                session.get(self.url) as response,
            ):
                document = await response.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            if self._keys:
                return  # better the keys that were good a moment ago than no answer
            raise BackendError("the JWKS address does not answer", retryable=True) from error
        self._keys = _keys_of(document)
        self._fetched_at = self._tried_at


def _keys_of(document: Any) -> dict[str | None, VerificationKey]:
    """The usable keys of a JWKS document by `kid`; others are passed over (RFC 7517, section 5)."""
    found: dict[str | None, VerificationKey] = {}
    for entry in document.get("keys", []) if isinstance(document, dict) else []:
        try:
            key = jwt.PyJWK(entry).key
            found[entry.get("kid")] = VerificationKey(key, _algorithm(key))
        except (jwt.PyJWTError, SettingsError):
            continue
    return found


def _algorithm(key: object) -> str:
    match key:
        case RSAPublicKey():
            return "RS256"
        case EllipticCurvePublicKey() if key.curve.name == "secp256r1":
            return "ES256"
        case Ed25519PublicKey():
            return "EdDSA"
    raise SettingsError("RECORDINGS_AUTH_PUBLIC_KEY: must be an RSA, P-256 or Ed25519 key")


def keys_from(settings: AuthSettings) -> Keys:
    """The source of keys that the settings name. Raises SettingsError."""
    if settings.jwks_url:
        return JwksKeys(str(settings.jwks_url))
    try:
        key = load_pem_public_key((settings.public_key or "").encode())
    except ValueError:
        raise SettingsError("RECORDINGS_AUTH_PUBLIC_KEY: is not a public key in PEM") from None
    return OneKey(VerificationKey(key, _algorithm(key)))


@dataclass(frozen=True, slots=True)
class Authenticator:
    """Verifies tokens of one issuer for one audience."""

    keys: Keys
    issuer: str
    audience: str

    async def principal(self, authorization: str | None) -> Principal:
        """The principal of this `Authorization` header.

        Raises CallerError: "unauthorized" for a token that is missing or not good, "forbidden" for
        a good one without a tenant or a known role.
        """
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise CallerError("unauthorized", "a bearer token is required")
        return _principal(await self._claims(token.strip()))

    async def _claims(self, token: str) -> Mapping[str, Any]:
        try:
            key = await self.keys.find(jwt.get_unverified_header(token).get("kid"))
            if key is None:
                raise CallerError("unauthorized", "the token is signed with an unknown key")
            claims: Mapping[str, Any] = jwt.decode(
                token,
                key.key,
                algorithms=[key.algorithm],
                issuer=self.issuer,
                audience=self.audience,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.ExpiredSignatureError:
            raise CallerError("unauthorized", "the token has expired") from None
        except (jwt.PyJWTError, ValueError, TypeError):
            raise CallerError("unauthorized", "the token is not valid") from None
        return claims


def _principal(claims: Mapping[str, Any]) -> Principal:
    user_id = str(claims["sub"]).lower()
    if not _GUID.fullmatch(user_id):
        raise CallerError("unauthorized", "the token's subject is not a user")
    tenant = claims.get("tenant")
    if not isinstance(tenant, str) or not tenant:
        raise CallerError("forbidden", "the token names no tenant")
    try:
        role = Role(claims.get("role", ""))
    except ValueError:
        raise CallerError("forbidden", "the token names no role that may search") from None
    return Principal(tenant, user_id, role, _groups(claims) if role is Role.SUPERVISOR else ())


def _groups(claims: Mapping[str, Any]) -> tuple[str, ...]:
    groups = claims.get("groups") or []
    if not isinstance(groups, list) or not all(isinstance(group, str) for group in groups):
        raise CallerError("forbidden", "the token's groups are not a list of ids")
    if len(groups) > MAX_GROUPS:
        raise CallerError("forbidden", f"the token names more than {MAX_GROUPS} groups")
    return tuple(dict.fromkeys(groups))
