"""Fuzzing of the parser: whatever comes is a tree or an error with its place, and soon."""

import os
import random
import time
from collections.abc import Callable

import pytest

from api.query.nodes import QuerySyntaxError
from api.query.parser import MAX_CHARACTERS, parse
from api.query_string import read
from api.values import Limits
from services.errors import CallerError
from tests.fuzzing import altered, as_value, query, random_bytes

ROUNDS = 200_000 if os.environ.get("RECORDINGS_TEST_SIZE") == "full" else 3_000
LONGEST_SECONDS = 0.05
"""Of the processor, for one query: the bound of the product."""


def outcome(text: str) -> str:
    """What came of the text; fails where that is no answer, or took too long."""
    result, seconds = _attempt(text)
    if seconds >= LONGEST_SECONDS:  # perhaps the collector of this large process came in between
        seconds = min(_attempt(text)[1] for _ in range(3))
    assert seconds < LONGEST_SECONDS, text
    return result


def _attempt(text: str) -> tuple[str, float]:
    began = time.thread_time()
    try:
        parse(text, sides=True)
        result = "tree"
    except QuerySyntaxError as error:
        assert 0 <= error.position <= len(text)
        assert error.message
        result = "error"
    return result, time.thread_time() - began


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda chance: random_bytes(chance).decode(errors="replace"), id="bytes"),
        pytest.param(lambda chance: random_bytes(chance).decode("latin-1"), id="Latin-1"),
        pytest.param(
            lambda chance: random_bytes(chance).decode("utf-16", errors="replace"), id="UTF-16"
        ),
        pytest.param(query, id="grammar"),
        pytest.param(lambda chance: altered(chance, query(chance)), id="altered grammar"),
    ],
)
def test_any_text_is_a_tree_or_an_error(make: Callable[[random.Random], str]) -> None:
    chance = random.Random(3)
    for _ in range(ROUNDS):
        outcome(make(chance))


def test_the_grammar_makes_trees_and_errors() -> None:
    chance = random.Random(4)
    results = [outcome(altered(chance, query(chance))) for _ in range(1_000)]
    assert min(results.count("tree"), results.count("error")) > 200


@pytest.mark.parametrize(
    "sign", ['"', "(", "((a)", "-", "NOT ", "a ", "a|", '"a"~2', "agent:", "退"]
)
@pytest.mark.parametrize("end", ["", ")", '"', "*", "😀"])
def test_the_longest_texts(sign: str, end: str) -> None:
    outcome((sign * MAX_CHARACTERS)[: MAX_CHARACTERS - len(end)] + end)
    outcome(sign * 100_000 + end)


def test_any_value_in_a_query_string_is_read_or_blamed_on_the_caller() -> None:
    chance = random.Random(5)
    for _ in range(ROUNDS):
        name = chance.choice(["words", "noteswords"])
        given = f"quantity=1&from=0&{name}={as_value(chance)}"
        try:
            read(given, Limits(10, None))
        except CallerError as error:
            assert (error.parameter, error.position is not None) == (name, True), given
