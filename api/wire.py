"""One search on the wire: what is looked for, as Elasticsearch is asked it, and what it answers.

`visible_to(principal)` stands round every search: no filter can widen it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from api.cursors import SortValues
from api.orders import Order, by, is_scored
from api.parameters import NEWEST_FIRST
from api.query.compiler import Clause
from services.acl import Principal, visible_to
from services.documents import DISPLAY_FIELDS
from services.errors import BackendError
from services.indices import IndexNames

# An answer from a part of the shards is none.
WHOLE: Final = "allow_partial_search_results=false"
# Of an answer of Elasticsearch, what is read.
_NEEDED: Final = (
    "timed_out,_shards.failed,hits.total.value,"
    "hits.hits._source,hits.hits.sort,hits.hits.highlight,aggregations"
)


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

    @property
    def end(self) -> int:
        """The rank after the window's last."""
        return self.start + self.size

    def counting(self, aggregations: dict[str, Any]) -> "Search":
        """The same without a page: what was found is counted."""
        return replace(self, size=0, start=0, after=None, aggregations=aggregations, highlight={})

    def with_neighbours(self) -> "Search":
        """The same by the first sort value alone, with one document more on each side."""
        return replace(self, order=self.order[:1], start=self.start - 1, size=self.size + 2)

    def only(self, clause: Clause) -> "Search":
        """The same with one filter more."""
        return replace(self, filters=[*self.filters, clause])


@dataclass(frozen=True, slots=True)
class Hit:
    """One document: the fields that were fetched, its sort values, and its marked texts."""

    source: Mapping[str, Any]
    sort: SortValues
    highlight: Mapping[str, list[str]]

    def with_id_in_sort(self) -> "Hit":
        """As if it had been sorted by the recording id too."""
        return replace(self, sort=[*self.sort, self.source["recordingId"]])


@dataclass(frozen=True, slots=True)
class Page:
    """The exact total, one page of documents, and what was aggregated over all."""

    total: int
    hits: list[Hit]
    aggregations: Mapping[str, Any]


def path(names: IndexNames) -> str:
    """Where a search is sent: never answered in part, and no more of the answer than is read."""
    return f"/{names.recordings}/_search?{WHOLE}&filter_path={_NEEDED}"


def body(principal: Principal, search: Search, names: IndexNames, timeout: float) -> dict[str, Any]:
    """The search as sent: the access rule outermost, words scored only where the order needs it.

    `timeout` in seconds.
    """
    allowed = visible_to(principal, names.groups)
    scored = search.words if is_scored(search.order) else []
    filters = search.filters if scored else [*search.filters, *search.words]
    parts = {
        "query": {"bool": {"filter": [*allowed, *filters], "must": scored}},
        "sort": search.order,
        "from": search.start,
        "size": search.size,
        "track_total_hits": True,
        "_source": [*DISPLAY_FIELDS, *search.extra_fields],
        "timeout": f"{int(timeout * 1000)}ms",
        "search_after": search.after,
        "aggregations": search.aggregations,
        "highlight": search.highlight,
    }
    return {name: value for name, value in parts.items() if value not in (None, {})}


def page(answer: Mapping[str, Any]) -> Page:
    """What was answered. Raises BackendError for a part of it."""
    if answer.get("timed_out") or answer["_shards"]["failed"]:
        raise BackendError("Elasticsearch answered in part", retryable=True)
    hits = answer["hits"]
    return Page(
        hits["total"]["value"],
        [_hit(raw) for raw in hits.get("hits", ())],
        answer.get("aggregations", {}),
    )


def _hit(raw: Mapping[str, Any]) -> Hit:
    return Hit(raw["_source"], raw["sort"], raw.get("highlight", {}))
