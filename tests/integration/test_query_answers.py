"""Queries over a small corpus: each case of tests/cases/query_answers.toml."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import Elasticsearch

from api.query.compiler import Places, compile_query
from api.query.parser import parse
from indexer.sink import Sink
from services.indices import IndexNames
from services.schema import NOTES, SIDES

CASES = tomllib.loads((Path(__file__).parents[1] / "cases/query_answers.toml").read_text())
OWNER = "1efc024d-0000-4000-8000-00000000000a"


def cases(kind: str) -> list[Any]:
    return [pytest.param(*case, id=name) for name, case in CASES[kind].items()]


@pytest.fixture(scope="module", autouse=True)
def corpus(sink: Sink, elasticsearch: Elasticsearch, names: IndexNames) -> None:
    for name, recording in CASES["corpus"].items():
        turns = [
            {"speaker": side, "offset": 0, "text": text} for side, text in recording["transcript"]
        ]
        content = {
            "ownerId": OWNER,
            "language": recording.get("language"),
            "transcript": turns,
        }
        envelope = {
            "tenantId": "acme",
            "recordingId": name,
            "version": 1,
            "occurredAt": "2026-01-01T00:00:00Z",
        }
        notes = [
            envelope | {"type": "note.saved", "noteId": str(n), "note": {"text": text}}
            for n, text in enumerate(recording["notes"])
        ]
        assert sink.apply([*notes, envelope | {"type": "recording.saved", "recording": content}])
    elasticsearch.indices.refresh(index=names.recordings)


@pytest.mark.parametrize(("query", "expected"), cases("words"))
def test_words(elasticsearch: Elasticsearch, names: IndexNames, query: str, expected: Any) -> None:
    assert found(elasticsearch, names, query, SIDES) == expected


@pytest.mark.parametrize(("query", "expected"), cases("noteswords"))
def test_noteswords(
    elasticsearch: Elasticsearch, names: IndexNames, query: str, expected: Any
) -> None:
    assert found(elasticsearch, names, query, (NOTES,)) == expected


def found(client: Elasticsearch, names: IndexNames, query: str, places: Places) -> list[str]:
    clause = compile_query(parse(query, sides=places == SIDES), places)
    answer = client.search(index=names.recordings, query=clause, size=100)
    return sorted(hit["_source"]["recordingId"] for hit in answer["hits"]["hits"])
