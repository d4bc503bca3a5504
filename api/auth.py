"""Who asks: a bearer token, verified, becomes a Principal. The keys come from `api.keys`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import jwt

from api.keys import Keys
from services.acl import Principal, Role
from services.errors import CallerError
from services.pseudonyms import Pseudonyms

LEEWAY_SECONDS: Final = 30
MAX_GROUPS: Final = 200
_GUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Authenticator:
    """Verifies tokens of one issuer for one audience."""

    keys: Keys
    issuer: str
    audience: str
    pseudonyms: Pseudonyms = field(default_factory=Pseudonyms)

    async def principal(self, authorization: str | None) -> Principal:
        """The principal of this `Authorization` header.

        Raises CallerError: "unauthorized" for a token that is missing or not good, "forbidden" for
        a good one without a tenant or a known role. Lines of the log name the subject from then on.
        """
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise CallerError("unauthorized", "a bearer token is required")
        claims = await self._claims(token.strip())
        self.pseudonyms.bind(subject=str(claims["sub"]).lower())
        return _principal(claims)

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
