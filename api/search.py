"""The only caller of Elasticsearch on this side, and the one place where the access rule goes on.

`visible_to(principal)` stands round every search: no filter can widen it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from elasticsearch import AsyncElasticsearch

from api.query.compiler import Clause
from services.acl import Principal, group_documents, visible_to
from services.documents import DISPLAY_FIELDS
from services.errors import BackendError
from services.es_client import failures_as_ours
from services.indices import IndexNames

NEWEST_FIRST: Final = [{"date": "desc"}, {"recordingId": "desc"}]
_NEEDED: Final = ["timed_out", "_shards.failed", "hits.total.value", "hits.hits._source"]


@dataclass(frozen=True, slots=True)
class Page:
    """The exact total and one page of documents, of which only the fields that are shown."""

    total: int
    sources: list[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class RecordingSearch:
    """Searches one alias; `timeout` in seconds is passed on to Elasticsearch."""

    client: AsyncElasticsearch
    names: IndexNames
    timeout: float

    async def page(
        self, principal: Principal, filters: list[Clause], *, start: int, size: int
    ) -> Page:
        """One page of what the principal may see, newest first; ties by id.

        Raises BackendError; never answers from a part of the shards.
        """
        body = search_body(principal, filters, self.names)
        with failures_as_ours():
            answer = await self.client.options(request_timeout=self.timeout + 1).search(
                index=self.names.recordings,
                **body,
                from_=start,
                size=size,
                timeout=f"{int(self.timeout * 1000)}ms",
                allow_partial_search_results=False,
                filter_path=_NEEDED,
            )
        if answer.get("timed_out") or answer["_shards"]["failed"]:
            raise BackendError("Elasticsearch answered in part", retryable=True)
        hits = answer["hits"]
        return Page(hits["total"]["value"], [hit["_source"] for hit in hits.get("hits", ())])

    async def one(self, principal: Principal, recording_id: str) -> Mapping[str, Any] | None:
        """This recording, or None when it is not there or out of the principal's sight."""
        found = await self.page(
            principal, [{"term": {"recordingId": recording_id}}], start=0, size=1
        )
        return found.sources[0] if found.sources else None

    async def supervised_by(self, principal: Principal) -> frozenset[str]:
        """The members of the principal's groups, as lower-case GUIDs. Raises BackendError."""
        if not principal.groups:
            return frozenset()
        with failures_as_ours():
            found = await self.client.mget(
                index=self.names.groups, ids=group_documents(principal), source_includes="members"
            )
        if any("error" in document for document in found["docs"]):
            raise BackendError("groups cannot be read", retryable=True)
        groups = [document["_source"] for document in found["docs"] if document["found"]]
        return frozenset(user.lower() for group in groups for user in group.get("members", ()))

    async def check(self) -> None:
        """Raises BackendError unless the index can be searched."""
        with failures_as_ours():
            await self.client.options(request_timeout=2).search(
                index=self.names.recordings,
                size=0,
                terminate_after=1,
                allow_partial_search_results=False,
            )


def search_body(principal: Principal, filters: list[Clause], names: IndexNames) -> dict[str, Any]:
    """The search as sent, without the window."""
    allowed = visible_to(principal, names.groups)
    return {
        "query": {"bool": {"filter": [*allowed, *filters]}},
        "sort": NEWEST_FIRST,
        "track_total_hits": True,
        "source_includes": list(DISPLAY_FIELDS),
    }
