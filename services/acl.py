"""The access rule: who may see which recording. The only module that knows it.

The rule, in two forms that must always agree:

- `can_read(principal, document, supervised)` decides about one document;
- `visible_to(principal, groups)` is the same rule as an Elasticsearch filter.

administrator, controller: every recording of their tenant. supervisor: the own recordings and those
of the members of the groups that he or she supervises. user: the own recordings. What is not
allowed is denied: a document without a tenant or without an owner is visible to nobody. Every
search puts `visible_to` round everything else, at one place (`api.wire`).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from services.documents import document_id


class Role(StrEnum):
    """The roles that a token may carry."""

    ADMINISTRATOR = "administrator"
    CONTROLLER = "controller"
    SUPERVISOR = "supervisor"
    USER = "user"


WHOLE_TENANT = frozenset({Role.ADMINISTRATOR, Role.CONTROLLER})


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks, as a verified token says it.

    `user_id` is a lower-case GUID; `groups` are the ids of the groups that a supervisor has, empty
    for the other roles.
    """

    tenant_id: str
    user_id: str
    role: Role
    groups: tuple[str, ...] = ()


def can_read(
    principal: Principal, document: Mapping[str, Any], supervised: Collection[str] = ()
) -> bool:
    """Whether the principal may see this document (the `_source` of the index).

    `supervised` are the members of the principal's groups, as lower-case GUIDs.
    """
    tenant, owner = document.get("tenantId"), document.get("ownerId")
    if tenant is None or owner is None or tenant != principal.tenant_id:
        return False
    return may_ask_for(principal, owner, supervised)


def visible_to(principal: Principal, groups: str) -> list[dict[str, Any]]:
    """The rule as filter clauses that must all hold; `groups` is the alias of the groups.

    The members of a group are looked up by Elasticsearch at each search, so that a change of
    membership shows at once and no recording has to be touched.
    """
    tenant = {"term": {"tenantId": principal.tenant_id}}
    if principal.role in WHOLE_TENANT:
        return [tenant, {"exists": {"field": "ownerId"}}]
    own = {"term": {"ownerId": principal.user_id}}
    if not principal.groups:
        return [tenant, own]
    supervised = [
        {"terms": {"ownerId": {"index": groups, "id": identity, "path": "members"}}}
        for identity in group_documents(principal)
    ]
    return [tenant, {"bool": {"should": [own, *supervised], "minimum_should_match": 1}}]


def group_documents(principal: Principal) -> list[str]:
    """The `_id`s of the principal's groups: of the own tenant alone."""
    return [document_id(principal.tenant_id, group) for group in principal.groups]


def may_ask_for(principal: Principal, user_id: str, supervised: Collection[str] = ()) -> bool:
    """Whether this user's recordings can be in the principal's sight at all."""
    if principal.role in WHOLE_TENANT:
        return True
    return user_id.lower() == principal.user_id or user_id.lower() in supervised
