"""The query language: trees and errors as data, its limits, and what holds for any text."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from api.query.nodes import And, Node, Not, Or, Phrase, Prefix, QuerySyntaxError, Word, atoms
from api.query.parser import MAX_ATOMS, MAX_CHARACTERS, MAX_DEPTH, parse

CASES = Path(__file__).parent.parent / "cases"


def cases(name: str) -> list[object]:
    sections = tomllib.loads((CASES / name).read_text(encoding="utf-8"))
    return [
        pytest.param(*case, id=f"{section}: {title}")
        for section, titles in sections.items()
        for title, case in titles.items()
    ]


def error_of(text: str, *, sides: bool = True) -> QuerySyntaxError:
    with pytest.raises(QuerySyntaxError) as caught:
        parse(text, sides=sides)
    return caught.value


@pytest.mark.parametrize(("query", "tree"), cases("query_trees.toml"))
def test_tree(query: str, tree: str) -> None:
    assert repr(parse(query, sides=True)) == tree


@pytest.mark.parametrize(("query", "position", "message"), cases("query_errors.toml"))
def test_error(query: str, position: int, message: str) -> None:
    error = error_of(query)
    assert (error.position, message in error.message) == (position, True), error.message


def test_an_error_reads_as_a_sentence() -> None:
    assert str(error_of("a AND")) == "expected a word after AND, found the end (at character 5)"


@pytest.mark.parametrize(
    ("query", "position"), [("agent:refund", 0), ("a (customer:b)", 3), ("agent:", 0)]
)
def test_notes_have_no_sides(query: str, position: int) -> None:
    error = error_of(query, sides=False)
    assert error.position == position
    assert "is only allowed in the parameter words" in error.message


@pytest.mark.parametrize("query", ["foo:bar", "Agent:x", 'a "agent:x"', "agent", "foo-agent:x"])
def test_notes_have_all_else(query: str) -> None:
    assert parse(query, sides=False) == parse(query, sides=True)


@pytest.mark.parametrize("code", [0xD800, 0xDFFF])
def test_half_a_surrogate_pair_is_an_error(code: int) -> None:
    error = error_of(f"ab {chr(code)}")
    assert error.position == 3
    assert f"U+{code:04X}" in error.message


def test_positions_are_those_of_the_atoms_themselves() -> None:
    tree = parse('  a -("b c"~2 OR agent:ref*) customer:„d“ 👍 e', sides=True)
    assert [atom.position for atom in atoms(tree)] == [2, 6, 23, 38, 42, 44]


def test_positions_do_not_count_for_equality() -> None:
    assert parse("a  b", sides=True) == parse("a b", sides=True)


def test_an_emoji_that_this_python_does_not_know_is_a_word() -> None:
    assert parse("\U0001fae8", sides=True) == Word("\U0001fae8")


@pytest.mark.parametrize("length", [1, MAX_CHARACTERS])
def test_length_within_the_limit(length: int) -> None:
    assert parse("x" * length, sides=True) == Word("x" * length)


@pytest.mark.parametrize("text", ["x" * (MAX_CHARACTERS + 1), " " * 600, "(" * 100_000])
def test_length_above_the_limit(text: str) -> None:
    error = error_of(text)
    assert error.position == MAX_CHARACTERS
    assert error.message == f"expected at most 512 characters, found {len(text)}"


@pytest.mark.parametrize("atom", ["a", '"a b"', "agent:a", "abc*", "-a", "(a)"])
def test_atoms_up_to_the_limit(atom: str) -> None:
    assert len(list(atoms(parse(" ".join([atom] * MAX_ATOMS), sides=True)))) == MAX_ATOMS
    error = error_of(" ".join([atom] * (MAX_ATOMS + 1)))
    assert "at most 32 words and phrases" in error.message
    assert error.position >= MAX_ATOMS * (len(atom) + 1)


def test_parentheses_up_to_the_limit() -> None:
    assert parse("(" * MAX_DEPTH + "a" + ")" * MAX_DEPTH, sides=True) == Word("a")
    error = error_of("(" * (MAX_DEPTH + 1) + "a" + ")" * (MAX_DEPTH + 1))
    assert error.position == MAX_DEPTH
    assert "at most 8 nested parentheses" in error.message


def test_parentheses_side_by_side_are_not_nested() -> None:
    assert len(list(atoms(parse("(a)" * MAX_ATOMS, sides=True)))) == MAX_ATOMS


@pytest.mark.parametrize("part", ["NOT ", "- ", "-", "-(", "NOT (", "(", ")", "agent:", '"', "|"])
def test_long_chains_end_in_an_error(part: str) -> None:
    error_of((part * MAX_CHARACTERS)[:MAX_CHARACTERS])


# Trees as text.

LETTERS = "abcößéÆ電話مر٣👍"
PLAIN_WORDS = st.builds(
    str.__add__, st.sampled_from(LETTERS), st.text(LETTERS + ".,:;'-+@/!?\\{[^", max_size=8)
)
LIKE_OPERATORS = st.sampled_from(["and", "or", "not", "ORDER", "NOTE", "ANDy", "agent", "Agent:x"])
PHRASES = st.text(LETTERS + " -()|&~:", max_size=10).map(lambda text: f"{text}a")
SIDES = st.sampled_from([None, "agent", "customer"])
ATOMS = st.one_of(
    st.builds(Word, PLAIN_WORDS | LIKE_OPERATORS, side=SIDES),
    st.builds(Prefix, PLAIN_WORDS.map(lambda text: f"abc{text}"), side=SIDES),
    st.builds(Phrase, PHRASES, gaps=st.integers(0, 20), side=SIDES),
)


def operands(kind: type[Node], nodes: st.SearchStrategy[Node]) -> st.SearchStrategy[list[Node]]:
    others = nodes.filter(lambda node: not isinstance(node, kind))
    return st.lists(others, min_size=2, max_size=4)


TREES: st.SearchStrategy[Node] = st.recursive(
    ATOMS,
    lambda nodes: st.one_of(
        st.builds(Not, nodes),
        operands(And, nodes).map(lambda children: And(*children)),
        operands(Or, nodes).map(lambda children: Or(*children)),
    ),
    max_leaves=10,
)
BLANKS = st.text(" \t\n\u00a0\u3000", min_size=1, max_size=3)


def tokens(node: Node, draw: st.DrawFn) -> list[str]:
    """The tree as tokens, with any of the spellings of its operators."""
    match node:
        case Or(children):
            return between([tokens(child, draw) for child in children], ["OR", "|"], draw)
        case And(children):
            parts = [enclosed(child, draw, Or) for child in children]
            return between(parts, ["AND", "&", ""], draw)
        case Not(child):
            return [draw(st.sampled_from(["NOT", "-"])), *enclosed(child, draw, Or, And, Not)]
        case atom:
            return [text_of(atom)]


def between(parts: list[list[str]], signs: list[str], draw: st.DrawFn) -> list[str]:
    joined = parts[0]
    for part in parts[1:]:
        sign = draw(st.sampled_from(signs))
        joined = [*joined, *([sign] if sign else []), *part]
    return joined


def enclosed(node: Node, draw: st.DrawFn, *kinds: type[Node]) -> list[str]:
    inner = tokens(node, draw)
    return ["(", *inner, ")"] if isinstance(node, kinds) else inner


def text_of(atom: Word | Prefix | Phrase) -> str:
    side = f"{atom.side}:" if atom.side else ""
    match atom:
        case Phrase(text, gaps=0):
            return f'{side}"{text}"'
        case Phrase(text, gaps=gaps):
            return f'{side}"{text}"~{gaps}'
        case Prefix(text):
            return f"{side}{text}*"
        case Word(text):
            return f"{side}{text}"


@st.composite
def trees_as_tokens(draw: st.DrawFn) -> tuple[Node, list[str]]:
    tree = draw(TREES)
    return tree, tokens(tree, draw)


def parsed_if_within_limits(text: str) -> Node:
    assume(len(text) <= MAX_CHARACTERS)
    try:
        return parse(text, sides=True)
    except QuerySyntaxError as error:
        assume("at most" not in error.message)
        raise


@given(trees_as_tokens())
def test_a_tree_written_as_text_is_read_as_the_same_tree(case: tuple[Node, list[str]]) -> None:
    tree, parts = case
    assert parsed_if_within_limits(" ".join(parts)) == tree


@given(trees_as_tokens(), st.data())
def test_extra_blanks_change_nothing(case: tuple[Node, list[str]], data: st.DataObject) -> None:
    tree, parts = case
    text = "".join(part + data.draw(BLANKS) for part in parts)
    assert parsed_if_within_limits(data.draw(BLANKS) + text) == tree


@given(trees_as_tokens())
def test_the_repr_of_a_tree_is_python(case: tuple[Node, list[str]]) -> None:
    tree, _ = case
    assert eval(repr(tree)) == tree


# Any text.

FRAGMENTS = st.sampled_from(
    ["a", "bcd", " ", "AND", "OR", "NOT", "-", "|", "&", "(", ")", '"', "„", "~", "~3", "21", "*"]
    + ["abc*", "agent:", "customer:", ":", "'", "’", ".", "👍", "\u00a0", "\0", "\ud800", "ß"]
)
ANY_TEXT = st.one_of(
    st.text(st.characters(exclude_categories=()), max_size=600),
    st.lists(FRAGMENTS, max_size=60).map("".join),
)


@given(ANY_TEXT, st.booleans())
def test_any_text_is_a_tree_within_the_limits_or_an_error_with_a_position(
    text: str, sides: bool
) -> None:
    try:
        found = list(atoms(parse(text, sides=sides)))
    except QuerySyntaxError as error:
        assert 0 <= error.position <= len(text)
        assert error.message
    else:
        assert len(text) <= MAX_CHARACTERS
        assert 1 <= len(found) <= MAX_ATOMS
        assert sides or not any(atom.side for atom in found)


@given(st.lists(FRAGMENTS.filter(lambda part: part not in {"„", "’"}), max_size=12).map("".join))
def test_an_atom_is_found_at_its_position(text: str) -> None:
    try:
        found = list(atoms(parse(text, sides=True)))
    except QuerySyntaxError:
        return
    for atom in found:
        start = atom.position + isinstance(atom, Phrase)
        assert text[start:].startswith(atom.text)
