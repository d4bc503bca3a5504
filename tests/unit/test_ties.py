"""Ties of a date, settled from a window and its neighbours."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import ties
from api.orders import by
from services.schema import MAX_WINDOW

RECORDINGS = st.lists(st.integers(0, 9), min_size=1, max_size=30).map(
    lambda dates: [[date, f"r-{number}"] for number, date in enumerate(dates)]
)


@given(RECORDINGS, st.integers(1, 35), st.integers(1, 12), st.booleans(), st.randoms())
def test_a_window_is_that_of_the_whole_order_or_none(
    recordings: list[list[Any]], start: int, size: int, newest: bool, chance: Any
) -> None:
    chance.shuffle(recordings)
    by_date = sorted(recordings, key=lambda one: one[0], reverse=newest)
    whole = sorted(recordings, reverse=newest)
    found = by_date[start - 1 : start + size + 1]
    inside = ties.settled(found, size, by("-date" if newest else "date"))
    if inside is None:
        edges = {start - 1, start + size - 1}
        pairs = enumerate(pairwise(whole))
        assert any(one[0] == other[0] for rank, (one, other) in pairs if rank in edges)
    else:
        assert [found[position] for position in inside] == whole[start : start + size]


@pytest.mark.parametrize(
    ("sort", "start", "end", "helps"),
    [
        pytest.param("-date", 0, 20, False, id="the first page"),
        pytest.param("-date", ties.FAR, ties.FAR + 20, True, id="a later page"),
        pytest.param("date", ties.FAR, ties.FAR + 20, True, id="from the oldest on"),
        pytest.param("-date", MAX_WINDOW - 20, MAX_WINDOW, False, id="no room for a neighbour"),
        pytest.param("duration", 500, 520, False, id="another order"),
    ],
)
def test_what_is_fetched_by_date(sort: str, start: int, end: int, helps: bool) -> None:
    assert ties.helps(by(sort), start, end) is helps
