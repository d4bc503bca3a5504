"""What a query becomes for Elasticsearch; what it finds is tested on a real one."""

from collections.abc import Iterator
from typing import Any, Final

import pytest

from api.query.compiler import compile_query
from api.query.parser import parse
from services.schema import SIDES

# Lucene's filter cache keeps nothing of a query of more clauses.
MOST_CLAUSES: Final = 16


def disjunctions(clause: Any) -> Iterator[int]:
    """How many clauses each "one of these" in it has."""
    if isinstance(clause, list):
        for one in clause:
            yield from disjunctions(one)
    elif isinstance(clause, dict):
        for name, value in clause.items():
            if name in {"fields", "queries", "should"}:
                yield len(value)
            yield from disjunctions(value)


@pytest.mark.parametrize("text", ["please", "please NOT order", "e-mail", '"thank you"', "refund*"])
def test_elasticsearch_can_keep_what_an_atom_finds(text: str) -> None:
    found = list(disjunctions(compile_query(parse(text, sides=True), SIDES)))
    assert found
    assert max(found) <= MOST_CLAUSES
