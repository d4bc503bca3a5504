"""The access rule: who may see which recording. The only module that knows it.

The rule, in two forms that must always agree:

- `can_read(principal, document)` decides about one document;
- `visible_to(principal)` is the same rule as an Elasticsearch filter.

administrator, controller: every recording of their tenant. user: the recordings that they own.
What is not allowed is denied: a document without a tenant or without an owner is visible to nobody.
Every search puts `visible_to` round everything else, at one place (`api.search`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Role(StrEnum):
    """The roles that a token may carry."""

    ADMINISTRATOR = "administrator"
    CONTROLLER = "controller"
    USER = "user"


WHOLE_TENANT = frozenset({Role.ADMINISTRATOR, Role.CONTROLLER})


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks, as a verified token says it. `user_id` is a lower-case GUID."""

    tenant_id: str
    user_id: str
    role: Role


def can_read(principal: Principal, document: Mapping[str, Any]) -> bool:
    """Whether the principal may see this document (the `_source` of the index)."""
    tenant, owner = document.get("tenantId"), document.get("ownerId")
    if tenant is None or owner is None or tenant != principal.tenant_id:
        return False
    return principal.role in WHOLE_TENANT or owner.lower() == principal.user_id


def visible_to(principal: Principal) -> list[dict[str, Any]]:
    """The rule as filter clauses that must all hold."""
    tenant = {"term": {"tenantId": principal.tenant_id}}
    if principal.role in WHOLE_TENANT:
        return [tenant, {"exists": {"field": "ownerId"}}]
    return [tenant, {"term": {"ownerId": principal.user_id}}]


def may_ask_for(principal: Principal, user_id: str) -> bool:
    """Whether this user's recordings can be in the principal's sight at all."""
    return principal.role in WHOLE_TENANT or user_id.lower() == principal.user_id
