"""Random requests of every kind against the oracle: same totals, same recordings, same order.

RECORDINGS_TEST_SEED repeats a run; RECORDINGS_TEST_SIZE=full asks 2,500 questions of 6,000
recordings instead of fewer.
"""

import asyncio
import os
import random
import re
from html import unescape
from itertools import chain
from typing import Any

from elasticsearch import Elasticsearch

from indexer.sink import Sink
from services.indices import IndexNames
from tests.differential.corpus import Recording, group_events, make_recordings
from tests.differential.oracle import Oracle, facet
from tests.differential.questions import Question, Questions
from tests.endpoint import Endpoint, serve

FULL = os.environ.get("RECORDINGS_TEST_SIZE") == "full"
RECORDINGS, ASKED = (6000, 2500) if FULL else (1500, 400)
AT_ONCE = 8
WALKED = 200


async def test_random_requests_against_plain_python(
    elasticsearch: Elasticsearch, elasticsearch_url: str, names: IndexNames, sink: Sink, seed: int
) -> None:
    chance = random.Random(seed)
    recordings = make_recordings(chance, RECORDINGS)
    fill(sink, recordings)
    elasticsearch.indices.refresh(index=names.recordings)
    questions = Questions(chance, Oracle(recordings))
    asked = [questions.one() for _ in range(ASKED)]
    paging = [random.Random(chance.random()) for _ in asked]
    found = 0
    async with serve(elasticsearch_url, names) as endpoint:
        pairs = list(zip(asked, paging, strict=True))
        for start in range(0, ASKED, AT_ONCE):
            answers = (
                check(endpoint, questions, question, its_paging)
                for question, its_paging in pairs[start : start + AT_ONCE]
            )
            found += sum(await asyncio.gather(*answers))
    assert found > ASKED / 2, "hardly any question finds anything"


def fill(sink: Sink, recordings: list[Recording]) -> None:
    events = list(chain(group_events(), *(recording.events() for recording in recordings)))
    for start in range(0, len(events), 500):
        assert sink.apply(events[start : start + 500])


async def check(
    endpoint: Endpoint, questions: Questions, question: Question, paging: random.Random
) -> bool:
    """Ask in one of the ways of paging and compare; whether anything was found."""
    if question.forbidden:
        answer = await endpoint.get(question.principal, **question.parameters)
        assert (answer.status, answer.body["code"]) == (403, "forbidden"), str(question)
        return False
    expected = questions.expected(question)
    if len(expected) <= WALKED and paging.random() < 0.3:
        quantity = paging.randint(max(1, len(expected) // 7), 50)
        pages = await walk(endpoint, question, expected, quantity)
    else:
        start = paging.choice((0, 0, paging.randrange(len(expected) + 2)))
        quantity = paging.randint(1, 200)
        asked = question.parameters | {"from": str(start), "quantity": str(quantity)}
        pages = [await endpoint.found(question.principal, **asked)]
        expected = expected[start : start + quantity] if question.sort != "relevance" else expected
    compare(questions, question, pages, expected)
    return bool(expected)


async def walk(
    endpoint: Endpoint, question: Question, expected: list[Recording], quantity: int
) -> list[dict[str, Any]]:
    walked = endpoint.pages(question.principal, **question.parameters, quantity=quantity)
    pages = [page async for page in walked]
    sizes = [len(page["recordings"]) for page in pages]
    assert sizes[:-1] == [quantity] * (len(sizes) - 1), str(question)
    assert sizes[-1] > 0 or not expected, str(question)
    return pages


def compare(
    questions: Questions,
    question: Question,
    pages: list[dict[str, Any]],
    expected: list[Recording],
) -> None:
    everything = questions.expected(question)
    assert {page["total"] for page in pages} == {len(everything)}, str(question)
    found = [recording for page in pages for recording in page["recordings"]]
    ids = [recording["id"] for recording in found]
    if question.sort == "relevance":
        assert len(set(ids)) == len(ids), str(question)
        assert set(ids) <= {recording.id for recording in everything}, str(question)
    else:
        assert ids == [recording.id for recording in expected], str(question)
    for name in filter(None, question.parameters.get("facets", "").split(",")):
        counts = facet(everything, name)
        assert all(page["facets"][name] == counts for page in pages), f"{name}: {question}"
    if "highlight" in question.parameters:
        places = {recording.id: n for n, recording in enumerate(questions.oracle.recordings)}
        for recording in found:
            compare_matches(questions, question, places[recording["id"]], recording["matches"])


def compare_matches(
    questions: Questions, question: Question, place: int, matches: list[dict[str, Any]]
) -> None:
    expected = questions.oracle.matches(place, question.words, question.notes)
    told = [(match["field"], match["speaker"], match["offset"]) for match in matches]
    assert told == [each[:3] for each in expected], f"{matches} of {question}"
    for match, (*_, text) in zip(matches, expected, strict=True):
        for fragment in match["fragments"]:
            assert "<em>" in fragment
            assert unescape(re.sub("</?em>", "", fragment)) in text, str(question)
