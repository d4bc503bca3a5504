"""Pages by date that would be expensive to sort: where in time they lie is counted before.

The index keeps the newest first (`services.schema`). What is far from there, a window at 50,000 or
the oldest recordings, makes Elasticsearch sort nearly all that was found and look up as many
recording ids, to throw them away. Counting is cheap: what was found is counted by month, and in the
months that the page lies in by hour. What is left to sort are the recordings of those hours.

Between the counts and the page the index may change by a recording, as it may between two pages.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from api.cursors import SortValues
from api.orders import Order, is_newest_first
from api.query.compiler import Clause

DEEP: Final = 5_000
"""From here on (recordings) counting costs less than sorting, of the newest first."""
MANY: Final = 2_000
"""So many recordings are worth a second look, by hour."""
HOUR: Final = 3_600_000
MONTH: Final = 30 * 24 * HOUR
"""Milliseconds; a month is always of thirty days."""
_NAME: Final = "seek"


@dataclass(frozen=True, slots=True)
class Span:
    """How many recordings were found from `start` to `end` (exclusive), milliseconds since 1970."""

    start: int
    end: int
    found: int


@dataclass(frozen=True, slots=True)
class Stretch(Span):
    """The time that a page lies in, and how many recordings come before it in the order.

    `to_the_end` is set when the page may have recordings that come after all those with a date.
    """

    before: int
    to_the_end: bool


def helps(order: Order, start: int) -> bool:
    """Whether a page in this order that begins at this rank is better sought."""
    return "date" in order[0] and (start >= DEEP or not is_newest_first(order))


def histogram(width: int) -> dict[str, Any]:
    """The aggregation that counts what was found by spans of so many milliseconds."""
    by_date = {"field": "date", "fixed_interval": f"{width}ms", "min_doc_count": 1}
    return {_NAME: {"date_histogram": by_date}}


def spans(aggregations: Mapping[str, Any], order: Order, width: int) -> list[Span]:
    """What the histogram counted, in this order."""
    buckets = aggregations[_NAME]["buckets"]
    found = [Span(one["key"], one["key"] + width, one["doc_count"]) for one in buckets]
    return found[::-1] if is_newest_first(order) else found


def ranks(found: Sequence[Span], start: int, size: int, after: SortValues | None) -> range:
    """The ranks (from 0) that a page has, or those that a page of a walk has some of.

    A walk goes on somewhere in the span of its last recording: the page ends at most `size` after
    that span. No span has a recording without a date, so after one nothing is sought.
    """
    if after is None:
        return range(start, start + size)
    passed = 0
    for span in found:
        if span.start <= after[0] < span.end:
            return range(passed, passed + span.found + size)
        passed += span.found
    return range(0)


def stretch(found: Sequence[Span], wanted: range, before: int = 0) -> Stretch | None:
    """The spans that have these ranks; None when there is none. `before` come before them all."""
    passed, touched, first = before, list[Span](), before
    for span in found:
        if passed < wanted.stop and passed + span.found > wanted.start:
            first = first if touched else passed
            touched.append(span)
        passed += span.found
    if not touched:
        return None
    start, end = min(one.start for one in touched), max(one.end for one in touched)
    count = sum(one.found for one in touched)
    return Stretch(start, end, count, first, to_the_end=passed < wanted.stop)


def inside(place: Span) -> Clause:
    """The recordings of this time."""
    return {"range": {"date": _millis(gte=place.start, lt=place.end)}}


def from_there_on(place: Span, order: Order) -> Clause:
    """The recordings of this time and all that come after, those without a date too."""
    passed = _millis(gte=place.end) if is_newest_first(order) else _millis(lt=place.start)
    return {"bool": {"must_not": [{"range": {"date": passed}}]}}


def _millis(**bounds: int) -> dict[str, Any]:
    return {**bounds, "format": "epoch_millis"}
