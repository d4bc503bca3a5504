"""What decides that an atom is empty is what the analysis of the real server does."""

import unicodedata
from collections.abc import Iterable, Iterator

import pytest
from elasticsearch import Elasticsearch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.query.characters import TABLE, is_one_word, is_searchable
from services.indices import IndexNames
from services.schema import LANGUAGES

# Line breaks divide the characters of one request; halves of surrogate pairs are no text.
CHARACTERS = [
    character
    for character in map(chr, range(0x20, 0x110000))
    if unicodedata.category(character) not in {"Cs", "Cc", "Zl", "Zp"}
]
AT_ONCE = 8_000
EXAMPLES = 60
# Signs that mean something together, besides any character at all.
SIGNS = st.sampled_from(
    ["#", "*", "5", "a", "_", ".", "'", "\u00bd", "\u0301", "\u200b", "\u200d", "\ufe0e", "\ufe0f"]
    + ["\u20e3", "🇩", "🇪", "👨", "🏽", "©", "退", "ー", "ก", "\u05f3", '"', "\U000e0067", "\u00ad"]
)
TEXTS = st.text(SIGNS | st.sampled_from(CHARACTERS), min_size=1, max_size=4)


def words_of(client: Elasticsearch, names: IndexNames, texts: list[str]) -> list[list[str]]:
    """The words that the analyzer of phrases finds in each of the texts."""
    text = "\n".join(unicodedata.normalize("NFC", one) for one in texts)
    found = client.indices.analyze(index=names.recordings, analyzer="exact", text=text)
    words: list[list[str]] = [[] for _ in texts]
    lines = list(lines_of(text))
    for token in found["tokens"]:
        words[lines[token["start_offset"]]].append(token["token"])
    return words


def lines_of(text: str) -> Iterator[int]:
    """The line of each UTF-16 unit, which is what offsets count."""
    line = 0
    for character in text:
        yield from [line] * (1 + (ord(character) > 0xFFFF))
        line += character == "\n"


def ranges(characters: Iterable[str]) -> str:
    found: list[list[int]] = []
    for code in sorted(map(ord, characters)):
        if found and found[-1][1] == code - 1:
            found[-1][1] = code
        else:
            found.append([code, code])
    return " ".join(f"{a:x}" if a == b else f"{a:x}-{b:x}" for a, b in found)


def test_the_table_is_that_of_the_server(elasticsearch: Elasticsearch, names: IndexNames) -> None:
    found: list[str] = []
    for start in range(0, len(CHARACTERS), AT_ONCE):
        part = CHARACTERS[start : start + AT_ONCE]
        # Not normalized: each is asked for as it is.
        found += [c for c, n in zip(part, counts(elasticsearch, names, part), strict=True) if n]
    assert " ".join(TABLE.split()) == ranges(found)


def counts(client: Elasticsearch, names: IndexNames, characters: list[str]) -> list[int]:
    answer = client.indices.analyze(
        index=names.recordings, analyzer="exact", text="\n".join(characters)
    )
    starts = {token["start_offset"] for token in answer["tokens"]}
    found, offset = [], 0
    for character in characters:
        found.append(int(offset in starts))
        offset += 2 + (ord(character) > 0xFFFF)
    return found


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(TEXTS, min_size=50, max_size=100))
def test_a_text_is_searchable_if_analysis_leaves_something(
    elasticsearch: Elasticsearch, names: IndexNames, texts: list[str]
) -> None:
    words = words_of(elasticsearch, names, texts)
    assert [is_searchable(text) for text in texts] == [bool(found) for found in words]
    for text, found in zip(texts, words, strict=True):
        assert not is_one_word(text) or len(found) == 1, text


@pytest.mark.parametrize("analyzer", ["folded", *LANGUAGES])
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(TEXTS.filter(is_searchable), min_size=20, max_size=100))
def test_no_analyzer_empties_what_is_searchable(
    elasticsearch: Elasticsearch, names: IndexNames, analyzer: str, texts: list[str]
) -> None:
    for text in texts:
        answer = elasticsearch.indices.analyze(
            index=names.recordings, analyzer=analyzer, text=unicodedata.normalize("NFC", text)
        )
        assert answer["tokens"], text
        assert all(token["token"] for token in answer["tokens"]), text
