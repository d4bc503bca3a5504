"""Where verification keys come from: one public key of the settings, or a JWKS address.

A key has one algorithm, which follows from its type and never from a token, so that no token can
choose how it is checked.
"""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import aiohttp
import jwt
import structlog
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from services.errors import BackendError, SettingsError
from services.settings import AuthSettings

LIFETIME_SECONDS: Final = 300.0
"""After this, the keys are fetched again."""
LONGEST_LIFETIME_SECONDS: Final = 3600.0
"""So long are keys believed while the address does not answer."""
PAUSE_SECONDS: Final = 10.0
"""Between two fetches, whatever tokens come."""
PAUSE_AFTER_FAILURE_SECONDS: Final = 2.0
FETCH_TIMEOUT_SECONDS: Final = 5.0
MIN_RSA_BITS: Final = 2048

log = structlog.get_logger("api")


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

    There is one fetch at a time, for all who wait for it. Who has a known key does not wait: keys
    that are merely old are used until the new ones are there.
    """

    url: str
    _keys: dict[str | None, VerificationKey] = field(default_factory=dict)
    _fetched_at: float = -float("inf")
    _not_before: float = -float("inf")
    _fetch: asyncio.Task[None] | None = None

    async def find(self, key_id: str | None) -> VerificationKey | None:
        key = self._known(key_id)
        if self._age > LIFETIME_SECONDS or key is None:
            fetch = self._fetch_unless_just_done()
            if key is None and fetch:
                # A caller who leaves does not end the fetch of the others.
                await asyncio.shield(fetch)
                key = self._known(key_id)
        if key is None and self._age > LONGEST_LIFETIME_SECONDS:
            raise BackendError("the JWKS address gives no keys", retryable=True)
        return key

    @property
    def _age(self) -> float:
        return time.monotonic() - self._fetched_at

    def _known(self, key_id: str | None) -> VerificationKey | None:
        """A token that names no key has the only one there is."""
        if self._age > LONGEST_LIFETIME_SECONDS:
            return None
        if key_id is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(key_id)

    def _fetch_unless_just_done(self) -> asyncio.Task[None] | None:
        if self._fetch and not self._fetch.done():
            return self._fetch
        if time.monotonic() < self._not_before:
            return None
        self._fetch = asyncio.create_task(self._refresh())
        return self._fetch

    async def _refresh(self) -> None:
        try:
            self._keys = await _download(self.url)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            self._not_before = time.monotonic() + PAUSE_AFTER_FAILURE_SECONDS
            log.warning("jwks_failed", kind=type(error).__name__)
        else:
            self._fetched_at = time.monotonic()
            self._not_before = self._fetched_at + PAUSE_SECONDS


async def _download(url: str) -> dict[str | None, VerificationKey]:
    """The usable keys at this address, one or more.

    Raises aiohttp.ClientError, TimeoutError, and ValueError for an answer without such keys.
    """
    timeout = aiohttp.ClientTimeout(total=FETCH_TIMEOUT_SECONDS)
    async with (
        aiohttp.ClientSession(timeout=timeout, raise_for_status=True) as session,
        session.get(url) as response,
    ):
        keys = _keys_of(await response.json(content_type=None))
    if not keys:
        raise ValueError("no usable key")
    return keys


def _keys_of(document: Any) -> dict[str | None, VerificationKey]:
    """The usable keys of a JWKS document by `kid`; others are passed over (RFC 7517, section 5)."""
    entries = document.get("keys") if isinstance(document, dict) else None
    found: dict[str | None, VerificationKey] = {}
    for entry in entries if isinstance(entries, list) else []:
        try:
            found[entry.get("kid")] = _key_of(entry)
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
            continue
    return found


def _key_of(entry: dict[str, Any]) -> VerificationKey:
    """Raises ValueError, and what PyJWT raises, for a key that verifies no tokens here."""
    key = jwt.PyJWK(entry).key
    algorithm = _algorithm(key)
    if entry.get("use", "sig") != "sig" or entry.get("alg", algorithm) != algorithm:
        raise ValueError("a key for another use")
    return VerificationKey(key, algorithm)


def _algorithm(key: object) -> str:
    """Raises ValueError for a key of no kind that is used here."""
    match key:
        case RSAPublicKey() if key.key_size >= MIN_RSA_BITS:
            return "RS256"
        case EllipticCurvePublicKey() if key.curve.name == "secp256r1":
            return "ES256"
        case Ed25519PublicKey():
            return "EdDSA"
    raise ValueError(f"must be an RSA (of {MIN_RSA_BITS} bits or more), P-256 or Ed25519 key")


def keys_from(settings: AuthSettings) -> Keys:
    """The source of keys that the settings name. Raises SettingsError."""
    if settings.jwks_url:
        return JwksKeys(str(settings.jwks_url))
    try:
        key = load_pem_public_key((settings.public_key or "").encode())
    except ValueError:
        raise SettingsError("RECORDINGS_AUTH_PUBLIC_KEY: is not a public key in PEM") from None
    try:
        return OneKey(VerificationKey(key, _algorithm(key)))
    except ValueError as error:
        raise SettingsError(f"RECORDINGS_AUTH_PUBLIC_KEY: {error}") from None
