"""Forms of words by the language of the recording: each case of tests/cases/word_forms.toml."""

import tomllib
from pathlib import Path

import pytest
from elasticsearch import Elasticsearch

from api.query.compiler import compile_query
from api.query.parser import parse
from indexer.sink import Sink
from services.indices import IndexNames
from services.schema import LANGUAGES, NOTES, SIDES

CASES: dict[str, dict[str, tuple[str, str, bool]]] = tomllib.loads(
    (Path(__file__).parents[1] / "cases/word_forms.toml").read_text(encoding="utf-8")
)
ALL = [
    (f"{language}: {title}", *case) for language in CASES for title, case in CASES[language].items()
]
PER_CASE = [pytest.param(case, id=case[0]) for case in ALL]


@pytest.fixture(scope="module", autouse=True)
def _indexed(sink: Sink, elasticsearch: Elasticsearch, names: IndexNames) -> None:
    """One recording for each case, which has its text as a turn and as a note."""
    events = [event for name, _, text, _ in ALL for event in events_of(name, text)]
    assert sink.apply(events)
    elasticsearch.indices.refresh(index=names.recordings)


def events_of(name: str, text: str) -> list[dict[str, object]]:
    envelope = {"tenantId": "acme", "recordingId": name, "version": 1}
    envelope["occurredAt"] = "2026-01-01T00:00:00Z"
    language = name.partition(":")[0]
    recording = {
        "ownerId": "1efc024d-0000-4000-8000-00000000000a",
        "language": None if language == "none" else language,
        "transcript": [{"speaker": "customer", "offset": 0, "text": text}],
    }
    note = {"noteId": "n", "note": {"text": text}}
    return [
        envelope | {"type": "recording.saved", "recording": recording},
        envelope | {"type": "note.saved"} | note,
    ]


@pytest.mark.parametrize("places", [SIDES, (NOTES,)], ids=["words", "noteswords"])
@pytest.mark.parametrize("case", PER_CASE)
def test_a_query_finds_the_forms_of_its_words(
    elasticsearch: Elasticsearch,
    names: IndexNames,
    case: tuple[str, str, str, bool],
    places: tuple[str, ...],
) -> None:
    name, query, text, expected = case
    clause = compile_query(parse(query, sides=False), places)
    both = {"bool": {"filter": [clause, {"term": {"recordingId": name}}]}}
    assert elasticsearch.count(index=names.recordings, query=both)["count"] == expected, text


def test_there_are_cases_for_each_language_that_is_analysed() -> None:
    assert set(LANGUAGES) < set(CASES)
