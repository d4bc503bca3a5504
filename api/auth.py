"""Who asks: a bearer token, verified, becomes a Principal. The keys come from `api.keys`.

A caller sends the same token with many requests, and to verify one costs as much as all else that
a request needs of this process but the search. So a token that was found good is remembered, by
its digest, as long as it lasts and its key stays the one that its issuer names.
"""

import re
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final

import jwt

from api.keys import Keys, VerificationKey
from services.acl import Principal, Role
from services.errors import CallerError
from services.pseudonyms import Pseudonyms

LEEWAY_SECONDS: Final = 30
MAX_GROUPS: Final = 200
MAX_REMEMBERED: Final = 10_000
_GUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class _Verified:
    """What a good token said: `key` verified it, `expires` is its `exp` (seconds since 1970)."""

    principal: Principal
    key_id: str | None
    key: VerificationKey
    expires: int


@dataclass(frozen=True, slots=True)
class Authenticator:
    """Verifies tokens of one issuer for one audience."""

    keys: Keys
    issuer: str
    audience: str
    pseudonyms: Pseudonyms = field(default_factory=Pseudonyms)
    _remembered: OrderedDict[bytes, _Verified] = field(default_factory=OrderedDict, init=False)

    async def principal(self, authorization: str | None) -> Principal:
        """The principal of this `Authorization` header.

        Raises CallerError: "unauthorized" for a token that is missing or not good, "forbidden" for
        a good one without a tenant or a known role. Lines of the log name the subject from then on.
        """
        scheme, _, token = (authorization or "").partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise CallerError("unauthorized", "a bearer token is required")
        digest = blake2b(token.encode(errors="surrogateescape"), digest_size=32).digest()
        known = self._remembered.get(digest)
        if known is None or not await self._still_good(known):
            known = await self._verify(token)
            self._remember(digest, known)
        else:
            self.pseudonyms.bind(subject=known.principal.user_id)
        return known.principal

    async def _still_good(self, known: _Verified) -> bool:
        """Asking for the key each time also keeps the keys fresh. Raises BackendError."""
        if time.time() >= known.expires + LEEWAY_SECONDS:
            return False
        return await self.keys.find(known.key_id) is known.key

    def _remember(self, digest: bytes, verified: _Verified) -> None:
        self._remembered[digest] = verified
        if len(self._remembered) > MAX_REMEMBERED:
            self._remembered.popitem(last=False)

    async def _verify(self, token: str) -> _Verified:
        try:
            key_id = jwt.get_unverified_header(token).get("kid")
            key = await self.keys.find(key_id)
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
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError):
            raise CallerError("unauthorized", "the token is not valid") from None
        self.pseudonyms.bind(subject=str(claims["sub"]).lower())
        return _Verified(_principal(claims), key_id, key, int(claims["exp"]))


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
