"""The only caller of Elasticsearch on this side, and the one place where the access rule goes on.

`visible_to(principal)` stands round every search: no filter can widen it.

Pages are windows (`from` and `size`) of one sorted search, up to 100,000 deep: the index allows it
(`max_result_window`). A window of 100,000 costs Elasticsearch one pass over what was found and a
queue of that many entries of two sort values, some 25 MB for the moment, as it fetches the page's
documents alone; on 120,000 recordings the last window took twice as long as the first. Going there
in steps of `search_after` would be ten such passes, and send 100,000 sort values to this side to be
thrown away. So the memory is bounded by how many deep searches run at once, and that is what
`api.protection` bounds.
"""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Final

from elasticsearch import AsyncElasticsearch

from api.cursors import SortValues
from api.orders import Order, by, is_scored
from api.parameters import NEWEST_FIRST
from api.protection import DEEP_AT_ONCE, DEEP_WINDOW, Gate
from api.query.compiler import Clause
from services.acl import Principal, group_documents, visible_to
from services.documents import DISPLAY_FIELDS
from services.errors import BackendError
from services.es_client import failures_as_ours
from services.indices import IndexNames

MAX_ID_CHARACTERS: Final = 256
# Of an answer of Elasticsearch, what is read.
_NEEDED: Final = [
    "timed_out",
    "_shards.failed",
    "hits.total.value",
    "hits.hits._source",
    "hits.hits.sort",
    "hits.hits.highlight",
    "aggregations",
]


@dataclass(frozen=True, slots=True)
class Search:
    """What to look for and what to bring back, in the terms of Elasticsearch.

    `words` are the clauses that a score comes from, where the order needs one. `extra_fields` are
    fetched beside those of an answer.
    """

    size: int
    start: int = 0
    filters: list[Clause] = field(default_factory=list)
    words: list[Clause] = field(default_factory=list)
    order: Order = field(default_factory=lambda: by(NEWEST_FIRST))
    after: SortValues | None = None
    aggregations: dict[str, Any] = field(default_factory=dict)
    highlight: dict[str, Any] = field(default_factory=dict)
    extra_fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hit:
    """One document: the fields that were fetched, its sort values, and its marked texts."""

    source: Mapping[str, Any]
    sort: SortValues
    highlight: Mapping[str, list[str]]


@dataclass(frozen=True, slots=True)
class Page:
    """The exact total, one page of documents, and what was aggregated over all."""

    total: int
    hits: list[Hit]
    aggregations: Mapping[str, Any]


@dataclass(slots=True)
class RecordingSearch:
    """Searches one alias; `timeout` in seconds is passed on to Elasticsearch."""

    client: AsyncElasticsearch
    names: IndexNames
    timeout: float
    gate: Gate
    _deep: Gate = field(default_factory=lambda: Gate(DEEP_AT_ONCE))
    _searching: AsyncElasticsearch = field(init=False)

    def __post_init__(self) -> None:
        self._searching = self.client.options(request_timeout=self.timeout + 1)

    async def page(self, principal: Principal, search: Search) -> Page:
        """One page of what the principal may see.

        Raises BackendError; never answers from a part of the shards. Cancelling it closes the
        connection, and by that Elasticsearch cancels the search.
        """
        async with AsyncExitStack() as held:
            if search.start + search.size > DEEP_WINDOW:
                await held.enter_async_context(self._deep.entered())
            await held.enter_async_context(self.gate.entered())
            with failures_as_ours():
                answer = await self._searching.search(
                    index=self.names.recordings,
                    **search_body(principal, search, self.names),
                    timeout=f"{int(self.timeout * 1000)}ms",
                    allow_partial_search_results=False,
                    filter_path=_NEEDED,
                )
        if answer.get("timed_out") or answer["_shards"]["failed"]:
            raise BackendError("Elasticsearch answered in part", retryable=True)
        hits = answer["hits"]
        return Page(
            hits["total"]["value"],
            [_hit(raw) for raw in hits.get("hits", ())],
            answer.get("aggregations", {}),
        )

    async def one(self, principal: Principal, recording_id: str) -> Mapping[str, Any] | None:
        """This recording, or None when it is not there or out of the principal's sight."""
        if len(recording_id) > MAX_ID_CHARACTERS:
            return None
        found = await self.page(
            principal, Search(size=1, filters=[{"term": {"recordingId": recording_id}}])
        )
        return found.hits[0].source if found.hits else None

    async def supervised_by(self, principal: Principal) -> frozenset[str]:
        """The members of the principal's groups, as lower-case GUIDs. Raises BackendError."""
        if not principal.groups:
            return frozenset()
        with failures_as_ours():
            found = await self.client.options(request_timeout=self.timeout).mget(
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


def search_body(principal: Principal, search: Search, names: IndexNames) -> dict[str, Any]:
    """The search as sent: the access rule outermost, words scored only where the order needs it."""
    allowed = visible_to(principal, names.groups)
    scored = search.words if is_scored(search.order) else []
    filters = search.filters if scored else [*search.filters, *search.words]
    body = {
        "query": {"bool": {"filter": [*allowed, *filters], "must": scored}},
        "sort": search.order,
        "from_": search.start,
        "size": search.size,
        "track_total_hits": True,
        "source_includes": [*DISPLAY_FIELDS, *search.extra_fields],
        "search_after": search.after,
        "aggregations": search.aggregations,
        "highlight": search.highlight,
    }
    return {name: value for name, value in body.items() if value not in (None, {})}


def _hit(raw: Mapping[str, Any]) -> Hit:
    return Hit(raw["_source"], raw["sort"], raw.get("highlight", {}))
