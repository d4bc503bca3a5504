"""Queries that nobody means: fuzzed ones, and the most expensive that the limits allow.

Every fuzzed one is answered, or refused with its place; every expensive one is answered within the
timeout. Over 600 recordings in `make test`, over 30,000 in the long form (`make test-api`): real
conversations where they are beside the checkout, else invented ones. The words of the expensive
ones are the most frequent of the corpus, so that every part of a query has much to do.
"""

import json
import os
import random
import re
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import requests

from api.query.parser import MAX_ATOMS, MAX_CHARACTERS
from tests.bench.conversations import NOBODY, TENANT, load
from tests.fuzzing import as_value

FULL = os.environ.get("RECORDINGS_TEST_SIZE") == "full"
COUNT, FUZZED = (30_000, 20_000) if FULL else (600, 400)
BEGINNING = "qxz"
EVERYTHING = {
    "sort": "relevance",
    "facets": "sentiment,tags,direction,users,day",
    "highlight": "true",
    "quantity": 1000,
}


@pytest.fixture(scope="module")
def words(deployment: Any, eventually: Callable[..., Any]) -> list[str]:
    """The corpus is indexed and served; returns its most frequent words."""
    events = load(COUNT).recordings[:COUNT]
    given = "\n".join(map(json.dumps, [*events, of_many_words()])).encode()
    assert deployment.run("recordings-indexer", "publish", "-", given=given).returncode == 0
    deployment.start("recordings-indexer", "worker")
    deployment.serve()
    eventually(lambda: deployment.total(tenant=TENANT) == len(events) + 1, seconds=300)
    return [word for word, _ in counted(events).most_common(400)]


def of_many_words() -> dict[str, Any]:
    """A recording with more words of one beginning than a search may have clauses."""
    text = " ".join(f"many {BEGINNING}{number}" for number in range(20_000))
    turn = {"speaker": "agent", "offset": 0, "text": text}
    recording = {"ownerId": NOBODY, "language": "en", "transcript": [turn]}
    envelope = {"type": "recording.saved", "tenantId": TENANT, "recordingId": "of many words"}
    return envelope | {
        "version": 1,
        "occurredAt": "2026-01-01T00:00:00Z",
        "recording": recording,
    }


def counted(events: list[dict[str, Any]]) -> Counter[str]:
    turns = (turn for event in events for turn in event["recording"]["transcript"])
    return Counter(word for turn in turns for word in re.findall("[a-z]+", turn["text"].lower()))


def fitted(parts: list[str], joint: str = " ", atoms_of_each: int = 1) -> str:
    """As many of the parts as one query may have."""
    query = parts[0]
    for part in parts[1 : MAX_ATOMS // atoms_of_each]:
        if len(query + joint + part) > MAX_CHARACTERS:
            break
        query += joint + part
    return query


def phrase(words: list[str]) -> str:
    """One phrase as long as a query may be, with the most gaps."""
    inside = " ".join(words)[: MAX_CHARACTERS - len('""~20')]
    return f'"{inside.rpartition(" ")[0]}"~20'


QUERIES: dict[str, Callable[[list[str]], str]] = {
    "all of many words": fitted,
    "any of many words": lambda w: fitted(w, "|"),
    "none of many words": lambda w: fitted([f"-{word}" for word in w]),
    "any of many prefixes": lambda w: fitted(sorted({f"{x[:3]}*" for x in w if len(x) > 2}), "|"),
    "all of many prefixes": lambda w: fitted([f"{x[:3]}*" for x in w if len(x) > 2][:8] * 4),
    "any of many phrases": lambda w: fitted([f'"{a} {b}"~20' for a in w[:6] for b in w[:6]], "|"),
    "all of many phrases": lambda w: fitted([f'"{w[0]} {w[1]}"~20'] * MAX_ATOMS),
    "phrases of each side": lambda w: fitted([f'agent:"{a}"~20|customer:{a}' for a in w], "|", 2),
    "one long phrase": phrase,
    "a phrase of two words again and again": lambda w: phrase(w[:2] * 200),
    "a phrase of one word again and again": lambda w: phrase(w[:1] * 300),
    "a word of many parts": lambda w: "-".join(w[:2] * 200)[:MAX_CHARACTERS].rstrip("-"),
    "prefixes of two words": lambda w: fitted(
        [f"{a}-{b[:3]}*" for a, b in zip(w[:100], w[100:], strict=False) if len(b) > 2], "|"
    ),
    "the deepest parentheses": lambda w: fitted(
        [f"{'-(' * 7}{a} {b}|{c}{')' * 7}" for a, b, c in zip(w, w[1:], w[2:], strict=False)],
        "|",
        3,
    ),
}


@pytest.mark.parametrize("form", QUERIES)
def test_the_answer_comes_within_the_timeout(deployment: Any, words: list[str], form: str) -> None:
    query = QUERIES[form](words)
    for more in ({"quantity": 10}, EVERYTHING):
        began = time.monotonic()
        answer = deployment.get(tenant=TENANT, words=query, **more)
        print(f"{time.monotonic() - began:6.2f} s, {answer.status_code}: {form}, {more}")
        assert answer.status_code == 200, (query, answer.text)


@pytest.mark.usefixtures("words")
def test_a_fuzzed_query_is_answered_or_refused_with_its_place(
    deployment: Any, make_token: Callable[..., str]
) -> None:
    chance = random.Random(6)
    statuses = Counter[int]()
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {make_token(NOBODY, 'administrator', TENANT)}"
        for _ in range(FUZZED):
            name = chance.choice(["words", "noteswords"])
            query = f"{name}={as_value(chance)}&quantity=1&from=0"
            answer = session.get(f"{deployment.base}/v1/recordings?{query}", timeout=60)
            statuses[answer.status_code] += 1
            assert answer.status_code in (200, 400), (query, answer.text)
            if answer.status_code == 400:
                problem = answer.json()
                assert problem["parameter"] == name, query
                assert problem["position"] >= 0, query
    print(dict(statuses))
    assert min(statuses.values()) > FUZZED / 10


@pytest.mark.usefixtures("words")
@pytest.mark.parametrize(
    ("query", "total"),
    [
        pytest.param(f"{BEGINNING}*", 1, id="one word"),
        pytest.param(f"many-{BEGINNING}100*", 1, id="several words, with more letters"),
        pytest.param(f"many-{BEGINNING}9x*", 0, id="several words, not there"),
    ],
)
def test_a_prefix_stands_for_all_its_words(deployment: Any, query: str, total: int) -> None:
    assert deployment.total(tenant=TENANT, words=query) == total


@pytest.mark.usefixtures("words")
def test_a_prefix_that_stands_for_too_many_is_refused_at_its_place(deployment: Any) -> None:
    answer = deployment.get(tenant=TENANT, words=f"a many-{BEGINNING}*", highlight="true")
    problem = answer.json()
    assert (problem["status"], problem["code"], problem["position"]) == (400, "invalid_query", 2)
    assert "found the beginning of too many words" in problem["detail"]
