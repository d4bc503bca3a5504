"""The orders of a page, as Elasticsearch sorts. Every order is total: ties go by the recording id.

A recording's place follows from that recording alone, so that a walk can go on from the values of
the last one shown (`api.cursors`); of `relevance` too: see `services.schema` on scores.
"""

from typing import Any, Final

from api.parameters import NEWEST_FIRST, ListParameters

Order = list[dict[str, Any]]

_FIELDS: Final = {"date": "date", "duration": "duration", "score": "analysisResult.score"}
# What "_last" stands for. By that name Elasticsearch leaves out shards in which nothing has a date,
# when others have enough without looking what comes last in them.
_LAST: Final = {"desc": -(2**63), "asc": 2**63 - 1}
_BEST_FIRST: Final[Order] = [{"_score": "desc"}, {"recordingId": "desc"}]


def order_of(asked: ListParameters) -> Order:
    """The order that was asked for; relevance to no words is the newest first."""
    if asked.sort != "relevance":
        return by(asked.sort)
    has_words = asked.words is not None or asked.noteswords is not None
    return _BEST_FIRST if has_words else by(NEWEST_FIRST)


def by(sort: str) -> Order:
    """The order by a property, `-` before it for descending; what has no value comes last."""
    direction = "desc" if sort.startswith("-") else "asc"
    field = _FIELDS[sort.removeprefix("-")]
    missing = _LAST[direction] if field == "date" else "_last"
    return [{field: {"order": direction, "missing": missing}}, {"recordingId": direction}]


def is_newest_first(order: Order) -> bool:
    """The direction of an order by date."""
    return bool(order[0]["date"]["order"] == "desc")


def is_scored(order: Order) -> bool:
    """Whether the words have to be scored for this order."""
    return "_score" in order[0]
