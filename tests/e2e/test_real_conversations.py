"""38,697 real conversations through `publish`, worker and HTTP, against a plain scan in Python.

They are in ../shared/data beside the checkout and not part of the repository; without them the
test is skipped. The scan knows the contract alone: UAX #29 words, lower-cased, inside one turn.
"""

import gzip
import json
import random
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from tests.uax29 import Words, words_of

DATA = Path(__file__).parents[3] / "shared" / "data"
COUNT = 38_697
SEED = 20
QUERIES = 150
NOBODY = str(uuid.UUID(int=0))

pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason="the real conversations (../shared/data) are not on this machine"
)


@dataclass(frozen=True)
class Conversation:
    """One conversation as the scan sees it."""

    id: str
    owner: str
    date: str | None
    turns: list[tuple[str, Words]]


@dataclass(frozen=True)
class Phrase:
    """A phrase, the gaps that are allowed in it, and the side that must have said it."""

    words: Words
    gaps: int = 0
    side: str | None = None

    def __str__(self) -> str:
        gaps = f"~{self.gaps}" if self.gaps else ""
        return f'{f"{self.side}:" if self.side else ""}"{" ".join(self.words)}"{gaps}'

    def is_in(self, conversation: Conversation) -> bool:
        return any(
            self.side in (None, speaker) and self._in_turn(words)
            for speaker, words in conversation.turns
        )

    def _in_turn(self, words: Words) -> bool:
        return any(
            self._from(words, place + 1, self.words[1:], self.gaps)
            for place, word in enumerate(words)
            if word == self.words[0]
        )

    def _from(self, words: Words, place: int, rest: Words, gaps: int) -> bool:
        if not rest:
            return True
        ahead = words[place : place + gaps + 1]
        return any(
            self._from(words, place + skipped + 1, rest[1:], gaps - skipped)
            for skipped, word in enumerate(ahead)
            if word == rest[0]
        )


@dataclass
class Corpus:
    """All conversations, and which of them have a word: to scan only where it can matter."""

    conversations: list[Conversation] = field(default_factory=list)

    @cached_property
    def having(self) -> dict[str, set[int]]:
        found: dict[str, set[int]] = defaultdict(set)
        for place, conversation in enumerate(self.conversations):
            for _, words in conversation.turns:
                for word in words:
                    found[word].add(place)
        return found

    def scan(self, phrase: Phrase) -> set[int]:
        candidates = set.intersection(*(self.having[word] for word in phrase.words))
        return {place for place in candidates if phrase.is_in(self.conversations[place])}


def lines() -> Iterator[dict[str, Any]]:
    for file in sorted(DATA.glob("*.ndjson.gz")):
        with gzip.open(file, "rt") as source:
            yield from map(json.loads, source)


def owner_of(raw: dict[str, Any]) -> str:
    return str(raw["agent"]["id"]) if raw.get("agent") else NOBODY


def event_of(raw: dict[str, Any]) -> dict[str, Any]:
    turns = raw["turns"]
    return {
        "type": "recording.saved",
        "tenantId": "acme",
        "recordingId": raw["id"],
        "version": 1,
        "occurredAt": "2026-01-01T00:00:00Z",
        "recording": {
            "ownerId": owner_of(raw),
            "date": raw["start"],
            "duration": raw["duration_s"],
            "language": raw["language"],
            "transcript": [
                {"speaker": turn["speaker"], "offset": turn.get("offset_s"), "text": turn["text"]}
                for turn in turns
            ],
        },
    }


@pytest.fixture(scope="module")
def corpus(
    deployment: Any, tmp_path_factory: pytest.TempPathFactory, eventually: Callable[..., Any]
) -> Corpus:
    """Published and indexed; returns what the scan needs."""
    corpus = Corpus()
    file = tmp_path_factory.mktemp("real") / "events.ndjson.gz"
    with gzip.open(file, "wt", compresslevel=1) as events:
        for raw in lines():
            turns = [(turn["speaker"], words_of(turn["text"])) for turn in raw["turns"]]
            corpus.conversations.append(Conversation(raw["id"], owner_of(raw), raw["start"], turns))
            events.write(json.dumps(event_of(raw)) + "\n")
    for _ in range(2):
        deployment.start("recordings-indexer", "worker")
    published = deployment.run("recordings-indexer", "publish", str(file))
    assert f"published {COUNT} events" in published.stdout
    file.unlink()
    deployment.serve()
    eventually(lambda: deployment.total() == COUNT, seconds=240)
    return corpus


def random_phrase(chance: random.Random, corpus: Corpus) -> Phrase:
    """One to four words that stand together in some turn; at times with gaps, or of one side."""
    while True:
        conversation = chance.choice(corpus.conversations)
        speaker, words = chance.choice(conversation.turns)
        if words:
            break
    start = chance.randrange(len(words))
    taken = words[start : start + chance.randint(1, 4)]
    side = speaker if chance.random() < 0.3 and speaker != "other" else None
    if len(taken) < 3 or chance.random() < 0.6:
        return Phrase(taken, side=side)
    return Phrase((taken[0], *taken[2:]), gaps=chance.randint(1, 5), side=side)


def test_totals_of_exact_phrases_equal_a_plain_scan(deployment: Any, corpus: Corpus) -> None:
    chance = random.Random(SEED)
    phrases = {random_phrase(chance, corpus) for _ in range(QUERIES)}
    compare(deployment, {str(phrase): len(corpus.scan(phrase)) for phrase in phrases})


def test_totals_of_combined_phrases_equal_a_plain_scan(deployment: Any, corpus: Corpus) -> None:
    chance = random.Random(SEED + 1)
    everywhere = set(range(COUNT))
    expected = {}
    for _ in range(QUERIES // 3):
        a, b, c = (random_phrase(chance, corpus) for _ in range(3))
        in_a, in_b, in_c = map(corpus.scan, (a, b, c))
        expected[f"{a} AND NOT {b}"] = len(in_a - in_b)
        expected[f"{a} {b} OR {c}"] = len(in_a & in_b | in_c)
        expected[f"-({a} | {b}) & NOT {c}"] = len(everywhere - in_a - in_b - in_c)
    compare(deployment, expected)


def test_a_standard_user_finds_the_own_conversations(deployment: Any, corpus: Corpus) -> None:
    chance = random.Random(SEED + 2)
    owners = sorted({conversation.owner for conversation in corpus.conversations} - {NOBODY})
    for owner in chance.sample(owners, 10):
        own = {c.id for c in corpus.conversations if c.owner == owner}
        assert set(deployment.ids(user=owner, role="user", quantity=1000)) == own


def test_pages_in_the_order_of_the_dates(deployment: Any, corpus: Corpus) -> None:
    dated = [c for c in corpus.conversations if c.date and "2020-05-04" <= c.date < "2020-05-06"]
    expected = sorted(((c.date or "").rstrip("Z"), c.id) for c in dated)[::-1]
    between = {"startdate": "2020-05-04", "enddate": "2020-05-05"}
    found = [
        recording_id
        for start in range(0, len(expected) + 100, 100)
        for recording_id in deployment.ids(**between, **{"from": start})
    ]
    assert found == [recording_id for _, recording_id in expected]


def compare(deployment: Any, expected: dict[str, int]) -> None:
    with ThreadPoolExecutor(4) as pool:
        totals = pool.map(lambda query: deployment.total(words=query, quantity=1), expected)
        found = dict(zip(expected, totals, strict=True))
    wrong = {q: (found[q], total) for q, total in expected.items() if found[q] != total}
    assert not wrong, "query: (found, scanned)"
