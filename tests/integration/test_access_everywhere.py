"""The access rule by every way in: what can be read is what is found, in random worlds.

A world has tenants, users, groups and recordings, among them the same ids in several tenants,
deleted and invalid documents. RECORDINGS_TEST_SEED repeats a run.
"""

import random
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, get_args
from urllib.parse import quote

import pytest
from elasticsearch import Elasticsearch

from api.parameters import Sort
from indexer.sink import Sink
from services.acl import Principal, Role, can_read
from services.indices import IndexNames
from tests.endpoint import Endpoint, serve

WORLDS = 4
PRINCIPALS = 8
FACETS = "sentiment,tags,direction,users,day"


@dataclass
class World:
    """What is in the index, as it is there; recordings are told apart by their durations."""

    documents: list[dict[str, Any]]
    groups: dict[tuple[str, str], list[str]]
    tenants: list[str]
    users: list[str]

    def readable(self, principal: Principal) -> set[float]:
        groups = [self.groups.get((principal.tenant_id, group), []) for group in principal.groups]
        supervised = {member.lower() for members in groups for member in members}
        return {d["duration"] for d in self.documents if can_read(principal, d, supervised)}

    def principal(self, chance: random.Random) -> Principal:
        role = chance.choice(list(Role))
        known = sorted({group for _, group in self.groups}) + ["no-such"]
        groups = tuple(chance.sample(known, chance.randrange(3)))
        return Principal(
            chance.choice(self.tenants),
            chance.choice(self.users),
            role,
            groups if role is Role.SUPERVISOR else (),
        )


def make_world(
    chance: random.Random, sink: Sink, elasticsearch: Elasticsearch, names: IndexNames
) -> World:
    mark = f"{chance.randrange(2**32):08x}"
    tenants = [f"{mark}-a", f"{mark}-A", f"{mark}-b"]
    users = [str(uuid.UUID(int=chance.getrandbits(128))) for _ in range(5)]
    groups = {
        (tenant, group): [chance.choice((str, str.upper))(u) for u in chance.sample(users, 2)]
        for tenant in tenants
        for group in chance.sample(("sales", "support", "Sales"), 2)
    }
    events = [recording(chance, n, tenants, users) for n in range(40)]
    envelope = {"version": 1, "occurredAt": "2026-01-01T00:00:00Z"}
    events += [
        envelope
        | {"type": "group.saved", "tenantId": t, "groupId": g, "group": {"members": members}}
        for (t, g), members in groups.items()
    ]
    # Group `Sales` of the first tenant is deleted, if there is one; some recordings are as well.
    groups.pop((tenants[0], "Sales"), None)
    events.append(
        envelope
        | {"type": "group.deleted", "tenantId": tenants[0], "groupId": "Sales", "version": 2}
    )
    events += [
        {key: e[key] for key in ("tenantId", "recordingId", "occurredAt")}
        | {"type": "recording.deleted", "version": 2}
        for e in chance.sample(events[:40], 5)
    ]
    assert sink.apply(events)
    for broken in ({"tenantId": tenants[0]}, {"ownerId": users[0]}, {}):
        document = broken | {"recordingId": f"{mark}-broken", "duration": -1}
        elasticsearch.index(index=names.recordings, document=document)
    elasticsearch.indices.refresh(index=names.recordings)
    every = elasticsearch.search(index=names.recordings, size=10_000)["hits"]["hits"]
    return World(
        [hit["_source"] for hit in every if "duration" in hit["_source"]], groups, tenants, users
    )


def recording(
    chance: random.Random, number: int, tenants: list[str], users: list[str]
) -> dict[str, Any]:
    """Every one has a word in common with all, and one of its own."""
    return {
        "type": "recording.saved",
        "tenantId": chance.choice(tenants),
        "recordingId": f"r/{number // 2}",
        "version": 1,
        "occurredAt": "2026-01-01T00:00:00Z",
        "recording": {
            "ownerId": chance.choice((str, str.upper))(chance.choice(users)),
            "duration": number,
            "date": chance.choice((None, f"2026-01-{chance.randrange(1, 29):02}")),
            "direction": chance.choice((None, "IN", "OUT")),
            "analysisResult": {"score": chance.choice((None, 0.5)), "sentiment": "ERROR"},
            "tags": [{"id": str(uuid.UUID(int=number)), "value": None}],
            "language": chance.choice(("en", None)),
            "transcript": [{"speaker": "agent", "offset": 0, "text": f"common own{number}"}],
        },
    }


@pytest.fixture
async def endpoint(elasticsearch_url: str, names: IndexNames) -> AsyncIterator[Endpoint]:
    async with serve(elasticsearch_url, names) as served:
        yield served


async def test_can_read_is_what_is_found_by_every_way(
    endpoint: Endpoint, elasticsearch: Elasticsearch, names: IndexNames, sink: Sink, seed: int
) -> None:
    chance = random.Random(seed)
    some = 0
    for _ in range(WORLDS):
        world = make_world(chance, sink, elasticsearch, names)
        for principal in {world.principal(chance) for _ in range(PRINCIPALS)}:
            readable = world.readable(principal)
            some += 0 < len(readable) < 40
            await searches_find(endpoint, principal, readable, chance)
            await counts_tell_of(endpoint, principal, world, readable)
            await marks_are_of(endpoint, principal, world, readable)
            await walks_pass(endpoint, principal, readable, chance)
            await single_gets_show(endpoint, principal, world, readable)
    assert some > WORLDS, "hardly anybody sees a part"


def durations(body: dict[str, Any]) -> list[float]:
    return [recording["duration"] for recording in body["recordings"]]


async def searches_find(
    endpoint: Endpoint, principal: Principal, readable: set[float], chance: random.Random
) -> None:
    queries: list[dict[str, Any]] = [
        {},
        {"words": "common"},
        {"words": "NOT nothing"},
        {"words": "own* OR NOT common"},
        {"noteswords": "NOT nothing"},
        {"users": f"exclude:{uuid.UUID(int=0)}"},
        {"sentiment": "ERROR", "minduration": 0},
        {"hasnotes": "false"},
    ]
    for query in queries:
        body = await endpoint.found(principal, **query, sort=chance.choice(get_args(Sort)))
        assert (set(durations(body)), body["total"]) == (readable, len(readable)), query
    for sort in get_args(Sort):
        assert set(durations(await endpoint.found(principal, sort=sort))) == readable, sort


async def counts_tell_of(
    endpoint: Endpoint, principal: Principal, world: World, readable: set[float]
) -> None:
    body = await endpoint.found(principal, quantity=1, facets=FACETS)
    seen = [d for d in world.documents if d["duration"] in readable and "ownerId" in d]
    seen = [d for d in seen if d["tenantId"] == principal.tenant_id]
    counts = {
        name: {c["value"]: c["count"] for c in body["facets"][name]} for name in body["facets"]
    }
    assert set(counts["tags"]) == {d["tags"][0]["id"] for d in seen}
    assert set(counts["users"]) == {d["ownerId"].lower() for d in seen}
    assert set(counts["day"]) == {d["date"][:10] for d in seen if d["date"]}
    assert sum(counts["users"].values()) == sum(counts["sentiment"].values()) == len(readable)
    hidden = next(d for d in world.documents if d["duration"] not in readable)
    nothing = await endpoint.found(
        principal, words=f"own{hidden['duration']}", facets=FACETS, highlight="true"
    )
    assert (nothing["total"], set(map(len, nothing["facets"].values()))) == (0, {0})


async def marks_are_of(
    endpoint: Endpoint, principal: Principal, world: World, readable: set[float]
) -> None:
    body = await endpoint.found(principal, words="common OR own*", highlight="true")
    marked = {
        fragment
        for recording in body["recordings"]
        for match in recording["matches"]
        for fragment in match["fragments"]
    }
    assert marked == {f"<em>common</em> <em>own{n}</em>" for n in readable}


async def walks_pass(
    endpoint: Endpoint, principal: Principal, readable: set[float], chance: random.Random
) -> None:
    asked: dict[str, Any] = {"sort": chance.choice(get_args(Sort)), "words": "common"}
    pages = [page async for page in endpoint.pages(principal, **asked, quantity=3)]
    walked = [duration for page in pages for duration in durations(page)]
    assert sorted(walked) == sorted(readable)
    # Somebody else gets nothing by this cursor, not even the own recordings.
    if cursor := pages[0]["nextCursor"]:
        stranger = Principal(principal.tenant_id, str(uuid.UUID(int=1)), Role.ADMINISTRATOR)
        assert (await endpoint.get(stranger, **asked, cursor=cursor)).status == 400


async def single_gets_show(
    endpoint: Endpoint, principal: Principal, world: World, readable: set[float]
) -> None:
    shown = set()
    for name in {document["recordingId"] for document in world.documents}:
        answer = await endpoint.get(principal, f"/v1/recordings/{quote(name, safe='')}")
        if answer.status == 200:
            shown.add(answer.body["duration"])
        else:
            assert (answer.status, answer.body["code"]) == (404, "not_found")
    assert shown == readable
