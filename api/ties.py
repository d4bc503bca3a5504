"""Windows by date for which no recording ids are looked up: ties of a date are settled here.

Where ties go by the id, Elasticsearch looks up the id of each recording that comes before the page,
once in every segment: at 38,000 recordings three quarters of a search for page 50. Dates alone are
compared as numbers. So the window is fetched by date, with one neighbour on each side. Recordings
of one date inside of it are put in order by the ids that were fetched with them. Where a date goes
over an edge, which of its recordings belong inside is not known: the whole order has to be asked.
"""

from collections.abc import Sequence
from typing import Final

from api.cursors import SortValues
from api.orders import Order, is_newest_first
from services.schema import MAX_WINDOW

FAR: Final = 100
"""From this rank on it is worth the risk of a second search."""


def helps(order: Order, start: int, end: int) -> bool:
    """Whether a window in this order from this rank to that one is better fetched by date."""
    return "date" in order[0] and start >= FAR and end < MAX_WINDOW


def settled(found: Sequence[SortValues], size: int, order: Order) -> list[int] | None:
    """Which of a window and its neighbours are inside, as positions in `found`, in this order.

    `found` has date and id of each, in order of the dates: a neighbour, at most `size`, another
    neighbour. None when a date goes over an edge.
    """
    first, last = found[:2], found[size : size + 2]
    if _one_date(first) or _one_date(last):
        return None
    inside = range(1, len(found[: size + 1]))
    return sorted(inside, key=found.__getitem__, reverse=is_newest_first(order))


def _one_date(neighbours: Sequence[SortValues]) -> bool:
    return len(neighbours) == 2 and neighbours[0][0] == neighbours[1][0]
