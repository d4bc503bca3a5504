"""The access rule's two forms agree: what can be read is what the search finds."""

import itertools
from typing import Any

import pytest
from elasticsearch import Elasticsearch

from api.search import RecordingSearch
from api.wire import Search
from services.acl import Principal, Role, can_read, may_ask_for
from services.documents import document_id
from services.indices import IndexNames

A = "aaaaaaaa-0000-4000-8000-00000000000a"
B = "bbbbbbbb-0000-4000-8000-00000000000b"
TENANTS = ("acme", "ACME", "globex", "")
OWNERS = (A, A.upper(), B, None)
DOCUMENTS: list[dict[str, Any]] = [
    {"recordingId": f"{tenant}/{owner}"}
    | ({"tenantId": tenant} if tenant else {})
    | ({"ownerId": owner} if owner else {})
    for tenant, owner in itertools.product(TENANTS, OWNERS)
]
# Members are compared without regard to case; a group of another tenant has the same id.
GROUPS: dict[tuple[str, str], list[str]] = {
    ("acme", "of-b"): [B.upper()],
    ("acme", "of-nobody"): [],
    ("globex", "of-b"): [A],
}
GROUPS_ASKED = ((), ("of-b",), ("of-nobody", "no-such"), ("no-such", "of-b"))
PRINCIPALS = [
    Principal(tenant, user, role, groups if role is Role.SUPERVISOR else ())
    for tenant, user, role, groups in itertools.product(
        ("acme", "globex", "other", ""), (A, B), Role, GROUPS_ASKED
    )
    if role is Role.SUPERVISOR or not groups
]


def supervised(principal: Principal) -> set[str]:
    groups = [GROUPS.get((principal.tenant_id, group), []) for group in principal.groups]
    return {member.lower() for members in groups for member in members}


@pytest.fixture(scope="module", autouse=True)
def _documents(elasticsearch: Elasticsearch, names: IndexNames) -> None:
    for document in DOCUMENTS:
        elasticsearch.index(index=names.recordings, document=document)
    for (tenant, group), members in GROUPS.items():
        content = {"tenantId": tenant, "groupId": group, "version": 1, "members": members}
        identity = document_id(tenant, group)
        elasticsearch.index(index=names.groups, id=identity, document=content)
    elasticsearch.indices.refresh(index=names.recordings)


@pytest.mark.parametrize("principal", PRINCIPALS, ids=str)
async def test_what_can_be_read_is_what_is_found(
    search: RecordingSearch, principal: Principal
) -> None:
    page = await search.page(principal, Search(size=100))
    readable = [
        d["recordingId"] for d in DOCUMENTS if can_read(principal, d, supervised(principal))
    ]
    assert sorted(hit.source["recordingId"] for hit in page.hits) == sorted(readable)
    assert page.total == len(readable)


@pytest.mark.parametrize("principal", PRINCIPALS, ids=str)
async def test_a_single_recording_follows_the_same_rule(
    search: RecordingSearch, principal: Principal
) -> None:
    for document in DOCUMENTS:
        found = await search.one(principal, document["recordingId"])
        assert (found is not None) == can_read(principal, document, supervised(principal))


@pytest.mark.parametrize("principal", PRINCIPALS, ids=str)
def test_nobody_may_ask_for_less_than_can_be_read(principal: Principal) -> None:
    owners = {d["ownerId"] for d in DOCUMENTS if can_read(principal, d, supervised(principal))}
    assert all(may_ask_for(principal, owner, supervised(principal)) for owner in owners)


@pytest.mark.parametrize("principal", PRINCIPALS, ids=str)
async def test_the_members_are_those_of_the_own_groups(
    search: RecordingSearch, principal: Principal
) -> None:
    assert await search.supervised_by(principal) == supervised(principal)


def test_the_rule_is_not_empty() -> None:
    pairs = itertools.product(PRINCIPALS, DOCUMENTS)
    assert (
        0
        < sum(can_read(p, d, supervised(p)) for p, d in pairs)
        < len(PRINCIPALS) * len(DOCUMENTS) / 4
    )
