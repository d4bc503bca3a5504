"""What is too old is removed, and nothing else, on a real Elasticsearch."""

import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from elasticsearch import ConflictError, Elasticsearch, NotFoundError

from indexer import dead_letters, deletion, purge
from indexer.sink import Sink
from services import instants
from services.documents import document_id
from services.indices import IndexNames
from services.settings import RetentionSettings

OWNER = "1efc024d-0000-4000-8000-00000000000a"
RETENTION = RetentionSettings()


def days_ago(days: float) -> str:
    return instants.render(time.time_ns() // 1_000_000 - round(days * instants.DAY))


@dataclass(frozen=True)
class Tenant:
    """A tenant of its own for one test."""

    client: Elasticsearch
    names: IndexNames
    sink: Sink
    id: str

    def event(self, kind: str, recording_id: str, version: int, **more: Any) -> dict[str, Any]:
        return {
            "type": kind,
            "tenantId": self.id,
            "recordingId": recording_id,
            "version": version,
            "occurredAt": "2020-04-25T10:30:00Z",
        } | more

    def save(self, recording: str, version: int = 1) -> None:
        content = {"ownerId": OWNER, "date": "2001-01-01T00:00:00Z"}
        self.sink.apply([self.event("recording.saved", recording, version, recording=content)])

    def delete(self, recording: str, days: float = 0) -> None:
        """Delete it, so many days ago."""
        self.sink.apply([self.event("recording.deleted", recording, 5)])
        if days:
            self.age(recording, days)

    def age(self, recording: str, days: float) -> None:
        self.client.update(
            index=self.names.recordings,
            id=document_id(self.id, recording),
            doc={purge.AGE_FIELD: days_ago(days)},
        )

    def letter(self, recording: str, **fields: Any) -> None:
        """A dead letter with these fields."""
        event = self.event("note.saved", recording, 1)
        dead_letters.write(self.client, self.names, [(event, "reason")])
        self.client.indices.refresh(index=self.names.dead_letters)
        (found,) = dead_letters.find(
            self.client, self.names, dead_letters.waiting(tenant=self.id, recording=recording)
        )
        self.client.update(index=self.names.dead_letters, id=found.id, doc=fields)

    def has(self, recording: str) -> bool:
        found = self.client.options(ignore_status=404).get(
            index=self.names.recordings, id=document_id(self.id, recording)
        )
        return bool(found["found"])

    def letters(self) -> set[str]:
        self.client.indices.refresh(index=self.names.dead_letters)
        query = {"term": {"tenantId": self.id}}
        hits = self.client.search(index=self.names.dead_letters, query=query)["hits"]["hits"]
        return {hit["_source"]["recordingId"] for hit in hits}


@pytest.fixture
def tenant(elasticsearch: Elasticsearch, names: IndexNames, sink: Sink) -> Tenant:
    return Tenant(elasticsearch, names, sink, uuid.uuid4().hex)


Remove = Callable[[int], int]


@pytest.fixture
def remove(elasticsearch: Elasticsearch, names: IndexNames) -> Remove:
    return lambda days: purge.tombstones(elasticsearch, names, RETENTION, days)


def test_tombstones_go_by_when_they_were_written(tenant: Tenant, remove: Remove) -> None:
    remove(30)
    tenant.save("live")
    tenant.age("live", 400)
    tenant.delete("just written of an old deletion")
    for days in (31, 89.9, 90.1, 400):
        tenant.delete(f"{days} days", days)
    assert remove(90) == 2
    assert tenant.has("live")
    assert tenant.has("just written of an old deletion")
    assert tenant.has("31 days")
    assert tenant.has("89.9 days")
    assert remove(30) == 2
    assert tenant.has("just written of an old deletion")


def test_tombstones_of_groups_go_too(tenant: Tenant, remove: Remove) -> None:
    remove(30)
    identity = document_id(tenant.id, "g")
    group = {"groupId": "g", "version": 1, "occurredAt": "2020-04-25T10:30:00Z"}
    tenant.sink.apply([{"type": "group.deleted", "tenantId": tenant.id} | group])
    assert remove(90) == 0
    tenant.client.update(
        index=tenant.names.groups, id=identity, doc={purge.AGE_FIELD: days_ago(91)}
    )
    assert remove(90) == 1
    assert not tenant.client.exists(index=tenant.names.groups, id=identity)


def test_more_tombstones_than_go_at_once(
    tenant: Tenant, remove: Remove, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletion, "AT_ONCE", 3)
    remove(30)
    for number in range(10):
        tenant.delete(f"r-{number}", 100)
    assert remove(90) == 10
    assert not any(tenant.has(f"r-{number}") for number in range(10))


@pytest.mark.parametrize(
    ("queue", "letters", "days", "refused"),
    [
        (7, 30, 29, True),
        (7, 30, 30, False),
        (45, 30, 44, True),
        (45, 30, 45, False),
        (7, 30, 1, True),
    ],
)
def test_an_age_at_which_older_events_can_still_come_is_refused(
    tenant: Tenant, queue: int, letters: int, days: int, refused: bool
) -> None:
    retention = RetentionSettings(queue_days=queue, dead_letters_days=letters)
    tenant.delete("gone", 1000)
    if not refused:
        assert purge.tombstones(tenant.client, tenant.names, retention, days) == 1
        return
    with pytest.raises(purge.TooYoungError) as caught:
        purge.tombstones(tenant.client, tenant.names, retention, days)
    assert all(str(number) in str(caught.value) for number in (queue, letters, days))
    assert purge.tombstone(tenant.client, tenant.names, tenant.id, "gone")


def test_one_tombstone_of_any_age(tenant: Tenant) -> None:
    def remove(recording: str) -> bool:
        return purge.tombstone(tenant.client, tenant.names, tenant.id, recording)

    tenant.delete("gone")
    tenant.delete("other")
    tenant.save("gone", 9)
    tenant.save("live")
    assert remove("gone")
    assert not remove("gone")
    assert not remove("live")
    assert tenant.has("live")
    assert tenant.has("other")
    tenant.save("gone", 1)
    assert tenant.has("gone")
    assert not remove("gone")
    assert tenant.has("gone")


def test_what_is_no_tombstone_any_more_stays(tenant: Tenant, remove: Remove) -> None:
    """Each tombstone is replaced by a recording while all of them are being removed."""
    ids = [f"r-{number}" for number in range(3_000)]
    old = {"tenantId": tenant.id, "version": 1, "deleted": True, purge.AGE_FIELD: days_ago(100)}
    operations: list[dict[str, Any]] = []
    for id_ in ids:
        operations += [{"index": {"_id": document_id(tenant.id, id_)}}, old | {"recordingId": id_}]
    tenant.client.bulk(index=tenant.names.recordings, operations=operations)

    def revive(id_: str) -> str | None:
        identity = document_id(tenant.id, id_)
        live = {"tenantId": tenant.id, "recordingId": id_, "version": 2, "notes": []}
        try:
            found = tenant.client.get(index=tenant.names.recordings, id=identity)
            seen = {"if_seq_no": found["_seq_no"], "if_primary_term": found["_primary_term"]}
            tenant.client.index(index=tenant.names.recordings, id=identity, document=live, **seen)
        except (NotFoundError, ConflictError):
            return None
        return id_

    with ThreadPoolExecutor(2) as pool:
        revived = pool.map(revive, reversed(ids))
        removed = remove(90)
        live = [id_ for id_ in revived if id_]
    assert live, "nothing was revived in time"
    assert removed == len(ids) - len(live)
    assert [id_ for id_ in live if not tenant.has(id_)] == []


def test_dead_letters_go_by_their_last_attempt(tenant: Tenant) -> None:
    long_ago = {"firstAt": days_ago(300)}
    tenant.letter("new", **long_ago)
    tenant.letter("29 days", lastAt=days_ago(29.9), **long_ago)
    tenant.letter("31 days", lastAt=days_ago(30.1), **long_ago)
    tenant.letter("in the queue", lastAt=days_ago(99), replayedAt=days_ago(6.9), **long_ago)
    tenant.letter("came through", lastAt=days_ago(99), replayedAt=days_ago(7.1), **long_ago)
    assert purge.letters(tenant.client, tenant.names, RETENTION) == 2
    assert tenant.letters() == {"new", "29 days", "in the queue"}
