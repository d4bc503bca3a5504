"""Facets: counts over everything that was found, by Elasticsearch aggregations.

They are part of the same search, so the same filters and the same access rule hold for them. The
counts are exact: each shard hands over all its values, up to PER_SHARD. Its own most frequent ones
alone, as is usual, would leave out a part of some counts when there are several shards.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from api.models import Count, Facets

MOST: Final = 100
# Different values of one facet in one shard, of all that was found. What is beyond is a tail of
# rare ones.
PER_SHARD: Final = 10_000
_FIELDS: Final = {
    "sentiment": "analysisResult.sentiment",
    "tags": "tags.id",
    "direction": "direction",
    "users": "ownerId",
}
# The newest days when there are more than can be shown: those are what is looked at.
_NEWEST_DAYS: Final = {
    "date_histogram": {
        "field": "date",
        "calendar_interval": "day",
        "format": "yyyy-MM-dd",
        "order": "desc",
    }
}


def aggregations(facets: Sequence[str]) -> dict[str, Any]:
    """What to ask Elasticsearch for these facets."""
    return {facet: _aggregation(facet) for facet in facets}


def _aggregation(facet: str) -> dict[str, Any]:
    if facet == "day":
        return {"composite": {"size": MOST, "sources": [{"day": _NEWEST_DAYS}]}}
    order = [{"_count": "desc"}, {"_key": "asc"}]
    size = {"size": MOST, "shard_size": PER_SHARD}
    return {"terms": {"field": _FIELDS[facet], "order": order} | size}


def facets_of(answer: Mapping[str, Any], facets: Sequence[str]) -> Facets:
    """The facets in the form of the answer; `answer` is what Elasticsearch aggregated."""
    return cast(Facets, {facet: _counts(facet, answer[facet]["buckets"]) for facet in facets})


def _counts(facet: str, buckets: Sequence[Mapping[str, Any]]) -> list[Count]:
    if facet == "day":
        return [
            {"value": bucket["key"]["day"], "count": bucket["doc_count"]}
            for bucket in reversed(buckets)
        ]
    return [{"value": bucket["key"], "count": bucket["doc_count"]} for bucket in buckets]
