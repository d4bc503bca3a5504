"""Highlights: what is asked to be marked, and marked texts as matches of turns and notes."""

from typing import Any
from urllib.parse import urlencode

import pytest

from api import highlights
from api.highlights import highlight_request, matches, text_fields
from api.query_string import read
from api.values import Limits


def request(**parameters: object) -> dict[str, Any]:
    query = urlencode({"quantity": 10, "from": 0} | parameters)
    return highlight_request(read(query, Limits(max_quantity=1000, region=None)))


def asked_for(**parameters: object) -> list[str]:
    found: list[str] = []

    def collect(clause: Any) -> None:
        if isinstance(clause, dict):
            found.extend(
                value
                for name, value in clause.items()
                if name == "query" and isinstance(value, str)
            )
            for value in clause.values():
                collect(value)
        elif isinstance(clause, list):
            for value in clause:
                collect(value)

    collect(request(**parameters).get("highlight_query", {}))
    return sorted(set(found))


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        pytest.param("a b", ["a", "b"], id="AND"),
        pytest.param("a OR b", ["a", "b"], id="OR"),
        pytest.param("a NOT b", ["a"], id="NOT"),
        pytest.param("a NOT (b OR NOT c)", ["a", "c"], id="a NOT in a NOT"),
        pytest.param('a -"b c" d', ["a", "d"], id="NOT of a phrase"),
        pytest.param("NOT a", [], id="NOT alone"),
    ],
)
def test_what_is_negated_is_not_marked(words: str, wanted: list[str]) -> None:
    assert asked_for(words=words) == wanted
    assert asked_for(noteswords=words) == wanted


@pytest.mark.parametrize(
    ("parameters", "fields"),
    [
        pytest.param({"words": "a"}, ("transcript",), id="words"),
        pytest.param({"noteswords": "a"}, ("notes.text",), id="noteswords"),
        pytest.param({"words": "a", "noteswords": "b"}, ("transcript", "notes.text"), id="both"),
        pytest.param({"words": "NOT a"}, (), id="nothing to mark"),
        pytest.param({"sentiment": "ERROR"}, (), id="no words"),
    ],
)
def test_texts_are_fetched_only_where_marks_can_be(
    parameters: dict[str, object], fields: tuple[str, ...]
) -> None:
    assert text_fields(request(**parameters)) == fields


def mark(text: str) -> str:
    return text.replace("[", highlights._OPEN).replace("]", highlights._CLOSE)


def fragments(text: str, *marked: str) -> list[str]:
    source = {"transcript": [{"offset": 1.5, "agent": {"en": text}}]}
    ways = ("transcript.agent.en", "folded.agent", "exact.agent")
    found = matches(source, {way: [mark(m)] for way, m in zip(ways, marked, strict=False)})
    assert [(m["field"], m["speaker"], m["offset"]) for m in found] == [
        ("transcript", "agent", 1.5)
    ]
    return found[0]["fragments"]


def test_the_text_is_escaped() -> None:
    text = 'a <b> & "c" </em>'
    assert fragments(text, 'a <[b]> & "c" </em>') == [
        "a &lt;<em>b</em>&gt; &amp; &quot;c&quot; &lt;/em&gt;"
    ]


def test_the_marks_of_all_ways_are_united() -> None:
    assert fragments("a b c d", "[a] b c d", "a [b] c [d]", "[a b] c d") == [
        "<em>a b</em> c <em>d</em>"
    ]


def test_blanks_around_the_text_do_not_matter() -> None:
    assert fragments(" \n a b\t", "[a] b") == ["<em>a</em> b"]


def test_a_long_text_is_cut_to_what_is_around_the_marks() -> None:
    text = f"{'so ' * 200}refund {'and ' * 300}money{' you' * 200}"
    marked = text.replace("refund", "[refund]").replace("money", "[money]")
    first, second = fragments(text, marked)
    assert "so <em>refund</em> and" in first
    assert "and <em>money</em> you" in second
    assert all(len(fragment) < 250 for fragment in (first, second))
    assert set(f"{first} {second}".split()) == {
        "so",
        "and",
        "you",
        "<em>refund</em>",
        "<em>money</em>",
    }


def test_marks_near_each_other_share_a_fragment() -> None:
    text = f"{'so ' * 100}refund the money{' you' * 100}"
    marked = text.replace("refund", "[refund]").replace("money", "[money]")
    (one,) = fragments(text, marked)
    assert "<em>refund</em> the <em>money</em>" in one


def test_a_text_without_blanks_is_cut_as_well() -> None:
    text = "\u5929" * 500 + "\u6c17" + "\u5929" * 500
    (one,) = fragments(text, text.replace("\u6c17", "[\u6c17]"))
    assert one == "\u5929" * 100 + "<em>\u6c17</em>" + "\u5929" * 100


def test_turns_of_the_same_words_by_side_and_in_order() -> None:
    source = {
        "transcript": [
            {"offset": 1, "agent": {"en": "ok"}},
            {"offset": 2, "customer": {"en": "ok"}},
            {"offset": None, "agent": {"en": "ok"}},
        ],
        "notes": [{}, {"text": {"en": "ok"}}],
    }
    marked = {"folded.agent": [mark("[ok]")] * 2, "exact.notes": [mark("[ok]")]}
    found = [(m["field"], m["speaker"], m["offset"]) for m in matches(source, marked)]
    assert found == [
        ("transcript", "agent", 1),
        ("transcript", "agent", None),
        ("notes", None, None),
    ]


def test_nothing_marked_is_no_match() -> None:
    assert matches({}, {}) == []
