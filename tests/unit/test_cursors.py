"""Cursors: what one is good for, and how others are told apart."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.cursors import Cursors, walk_of
from api.query_string import read
from api.values import Limits
from services.acl import Principal, Role
from services.errors import CallerError

A = "aaaaaaaa-0000-4000-8000-000000000000"
B = "bbbbbbbb-0000-4000-8000-000000000000"
TAGS: dict[str, Any] = {"tagids": f"{A},{B}"}
ADA = Principal("acme", A, Role.USER)
KEY = b"k" * 32
AFTER = [1_619_346_280_000, "r-1"]


def walk(principal: Principal = ADA, /, **parameters: Any) -> bytes:
    query = urlencode({"quantity": 10, "from": 0} | parameters)
    return walk_of(principal, read(query, Limits(max_quantity=1000, region="IT")))


def cursors(key: bytes = KEY, now: float = 1000.0) -> Cursors:
    return Cursors(key, lifetime=60, clock=lambda: now)


def refusal(cursor: str, walked: bytes, by: Cursors | None = None) -> str:
    with pytest.raises(CallerError) as caught:
        (by or cursors()).read(cursor, walked)
    assert (caught.value.code, caught.value.parameter) == ("invalid_parameter", "cursor")
    return caught.value.detail


@given(st.lists(st.one_of(st.text(), st.integers(-(2**63), 2**63 - 1), st.floats(-1, 1))))
def test_it_carries_the_sort_values(after: list[Any]) -> None:
    cursor = cursors().write(after, walk())
    assert re.fullmatch("[A-Za-z0-9_-]+", cursor)
    assert cursors().read(cursor, walk()) == after


def test_the_empty_one_starts_a_walk() -> None:
    assert cursors().read("", walk()) is None


def test_the_longest_id_fits_into_a_parameter() -> None:
    cursor = cursors().write([-(2**63), "\x01" * 256], walk())
    assert walk(cursor=cursor)


@pytest.mark.parametrize(
    "another",
    [
        pytest.param(lambda: walk(Principal("globex", A, Role.USER)), id="tenant"),
        pytest.param(lambda: walk(Principal("acme", B, Role.USER)), id="subject"),
        pytest.param(lambda: walk(words="b"), id="words"),
        pytest.param(lambda: walk(noteswords="a"), id="notes instead of words"),
        pytest.param(lambda: walk(words="a", sort="date"), id="order"),
        pytest.param(lambda: walk(words="a", **TAGS), id="a filter more"),
    ],
)
def test_it_is_bound_to_who_asks_and_for_what(another: Callable[[], bytes]) -> None:
    cursor = cursors().write(AFTER, walk(words="a"))
    assert "not a cursor of this query" in refusal(cursor, another())


@pytest.mark.parametrize(
    ("first", "then"),
    [
        pytest.param({}, {"quantity": 500}, id="another size of page"),
        pytest.param({}, {"highlight": "true", "facets": "day"}, id="more to show"),
        pytest.param({"words": "a AND b"}, {"words": "a b"}, id="the same query"),
        pytest.param({"tagids": f"{A},{A.upper()}"}, {"tagids": A}, id="the same tags"),
        pytest.param({}, {"sort": "-date"}, id="the default order, written out"),
    ],
)
def test_what_does_not_matter(first: dict[str, Any], then: dict[str, Any]) -> None:
    cursor = cursors().write(AFTER, walk(**first))
    assert cursors().read(cursor, walk(**then)) == AFTER


def test_every_altered_character_is_noticed() -> None:
    cursor = cursors().write(AFTER, walk())
    for place, character in enumerate(cursor):
        other = "A" if character != "A" else "B"
        refusal(cursor[:place] + other + cursor[place + 1 :], walk())
        refusal(cursor[:place] + "!" + cursor[place:], walk())


@pytest.mark.parametrize("cursor", ["x", "%%%%", "\u00e9", "A" * 40, "A" * 100, "==="])
def test_what_is_no_cursor(cursor: str) -> None:
    refusal(cursor, walk())


def test_it_expires() -> None:
    cursor = cursors(now=1000).write(AFTER, walk())
    assert cursors(now=1059.9).read(cursor, walk()) == AFTER
    assert "has expired" in refusal(cursor, walk(), cursors(now=1060))


def test_replicas_share_a_key_or_not() -> None:
    cursor = cursors(b"k" * 32).write(AFTER, walk())
    assert cursors(b"k" * 32).read(cursor, walk()) == AFTER
    refusal(cursor, walk(), cursors(b"l" * 32))
