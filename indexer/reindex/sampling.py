"""A sample looked at closely: documents field by field, and who sees them.

Both are asked of both indices, again and again for a while, because the documents may be changing.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from elasticsearch import Elasticsearch

from indexer.documents import from_source, to_source
from indexer.reducer import RecordingState, State
from indexer.reindex.comparison import Difference, attempts, name_of_document
from indexer.reindex.versions import versions
from indexer.sources.live import get_many
from services.acl import Principal, Role, visible_to
from services.es_client import failures_as_ours
from services.indices import IndexNames

MOST_USERS: Final = 20
MOST_TENANTS: Final = 5
MOST_GROUPS: Final = 10
AT_ONCE: Final = 50

Source = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Sample:
    """These documents, in the old and in the new index."""

    client: Elasticsearch
    names: IndexNames
    old: str
    new: str
    ids: Sequence[str]
    region_of: Callable[[str], str | None]

    def differences(self) -> list[Difference]:
        """What differs of their fields. Raises BackendError."""
        return lasting(lambda: list(self._of_fields()))

    def sights(self, principals: Iterable[Principal]) -> list[Difference]:
        """What of them a principal sees in one index and not in the other. Raises BackendError."""
        return lasting(lambda: [one for who in principals for one in self._of_sight(who)])

    def principals(self) -> list[Principal]:
        """Owners, administrators of their tenants, supervisors of groups. Raises BackendError."""
        owners = dict.fromkeys(
            (source["tenantId"], source["ownerId"].lower())
            for one in get_many(self.client, self.new, self.ids, ["tenantId", "ownerId"])
            if one and "ownerId" in (source := one["_source"])
        )
        tenants = list(dict.fromkeys(tenant for tenant, _ in owners))[:MOST_TENANTS]
        return [
            *(Principal(tenant, user, Role.USER) for tenant, user in list(owners)[:MOST_USERS]),
            *(Principal(tenant, user, Role.ADMINISTRATOR) for tenant, user in _first_of(owners)),
            *self._supervisors(tenants),
        ]

    def _supervisors(self, tenants: Sequence[str]) -> Iterator[Principal]:
        with failures_as_ours():
            hits = self.client.search(
                index=self.names.groups,
                query={"bool": {"filter": [{"terms": {"tenantId": tenants}}]}},
                size=MOST_GROUPS,
                source_includes=["tenantId", "groupId"],
            )["hits"]["hits"]
        for hit in hits:
            source = hit["_source"]
            groups = (source["groupId"],)
            yield Principal(source["tenantId"], "no-one", Role.SUPERVISOR, groups)

    def _of_fields(self) -> Iterator[Difference]:
        for start in range(0, len(self.ids), AT_ONCE):
            part = self.ids[start : start + AT_ONCE]
            olds = get_many(self.client, self.old, part)
            news = get_many(self.client, self.new, part)
            for old, new in zip(olds, news, strict=True):
                if old and new:
                    yield from self._of_one(old["_source"], new["_source"])

    def _of_one(self, old: Source, new: Source) -> Iterator[Difference]:
        where, state = name_of_document(new), from_source(new)
        if versions(new) == versions(old):
            for name in _differing(from_source(old), state):
                yield Difference(where, f"{name} is not the same")
        rendered = to_source(state, self.region_of(state.tenant_id))
        for name in sorted(rendered.keys() | new.keys()):
            if name != "writtenAt" and rendered.get(name) != new.get(name):
                yield Difference(where, f"{name} is not as this release writes it")

    def _of_sight(self, who: Principal) -> Iterator[Difference]:
        old, new = self._seen(who, self.old), self._seen(who, self.new)
        for identity in sorted(old ^ new):
            only = "old" if identity in old else "new"
            what = f"sees the document {identity} in the {only} index only"
            yield Difference(f"a principal ({who.role} of {who.tenant_id})", what)

    def _seen(self, who: Principal, index: str) -> set[str]:
        sampled = {"ids": {"values": list(self.ids)}}
        query = {"bool": {"filter": [*visible_to(who, self.names.groups), sampled]}}
        with failures_as_ours():
            self.client.indices.refresh(index=index)
            hits = self.client.search(
                index=index, query=query, size=len(self.ids) or 1, source=False
            )["hits"]["hits"]
        return {hit["_id"] for hit in hits}


def lasting(find: Callable[[], list[Difference]]) -> list[Difference]:
    """The differences that are there every time one looks."""
    left: list[Difference] | None = None
    for _ in attempts():
        found = find()
        left = found if left is None else [one for one in left if one in found]
        if not left:
            return []
    return left or []


def _first_of(owners: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """One owner of each tenant."""
    return list({tenant: (tenant, user) for tenant, user in owners}.values())[:MOST_TENANTS]


def _differing(old: State, new: State) -> Iterator[str]:
    """The names of what is not the same in two states of one recording."""
    if not isinstance(old, RecordingState) or not isinstance(new, RecordingState):
        return
    if old.recording and new.recording and old.recording != new.recording:
        before, after = old.recording.content or {}, new.recording.content or {}
        yield from (
            name
            for name in sorted(before.keys() | after.keys())
            if before.get(name) != after.get(name)
        )
    yield from (f"note {note}" for note in old.notes if old.notes[note] != new.notes.get(note))
