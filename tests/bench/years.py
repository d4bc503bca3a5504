"""A customer's recordings over the years, for the section *growth*: real conversations, again and
again, each with id, tenant, owner and date of its own.

Grows with the size: the years (100,000 recordings are one year of work), and by that how many
recordings a word, a phrase, a telephone number or a tag finds. Three of four recordings are the
searched customer's at every size; the rest belongs to nine others.
Does not grow: the recordings of one month, and those of one owner once a year is full, because
each year has a staff of its own; the vocabulary, because conversations repeat.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson

from indexer import reducer
from indexer.documents import to_source
from indexer.events import parse
from services.documents import document_id
from tests.bench.conversations import TENANT, Event
from tests.bench.population import owner
from tests.bench.workload import Lines

A_YEAR: Final = 100_000
STAFF: Final = 200
MONTH_DAYS: Final = 30
OTHERS: Final = 9
FIRST: Final = datetime(2016, 1, 1, tzinfo=UTC)
PAUSE: Final = timedelta(days=365) / A_YEAR  # between two recordings
LOT: Final = 500  # documents of one bulk request


@dataclass(frozen=True, slots=True)
class Years:
    """Recordings by number, the oldest first."""

    recordings: Sequence[Event]
    sources: Sequence[dict[str, Any]]

    @classmethod
    def of(cls, recordings: Sequence[Event]) -> "Years":
        """`sources` are their documents, as a worker would write them."""
        return cls(recordings, [_document(event) for event in recordings])

    def event(self, number: int) -> Event:
        """The change event of one recording."""
        event = self.recordings[number % len(self.recordings)]
        envelope, content = _own(number)
        return event | envelope | {"recording": event["recording"] | content}

    def requests(self, start: int, stop: int) -> Iterator[Lines]:
        """The bulk requests that write these recordings' documents."""
        for first in range(start, stop, LOT):
            lines = []
            for number in range(first, min(first + LOT, stop)):
                lines += self._lines(number)
            yield lines

    def _lines(self, number: int) -> Lines:
        envelope, content = _own(number)
        identity = document_id(envelope["tenantId"], envelope["recordingId"])
        source = self.sources[number % len(self.sources)] | envelope | content
        return [orjson.dumps({"index": {"_id": identity}}), orjson.dumps(source)]

    def words(self, count: int) -> float:
        """Words (between blanks) of so many recordings, those of one on average."""
        turns = (
            turn for event in self.recordings[:count] for turn in event["recording"]["transcript"]
        )
        return sum(len(turn["text"].split()) for turn in turns) / min(count, len(self.recordings))


def last_month(count: int) -> dict[str, str]:
    """The parameters for the newest thirty days of so many recordings."""
    start = FIRST + count * PAUSE - timedelta(days=MONTH_DAYS)
    return {"startdate": f"{start:%Y-%m-%d}"}


def _document(event: Event) -> dict[str, Any]:
    parsed = parse(event)
    return to_source(reducer.apply(reducer.nothing_of(parsed), [parsed]), None)


def _own(number: int) -> tuple[dict[str, str], dict[str, str]]:
    """What no other recording has: of the envelope, and of the content."""
    mixed = number * 2_654_435_761 >> 7  # so that no owner always has the same conversations
    tenant = TENANT if number % 4 else f"other-{number // 4 % OTHERS}"
    envelope = {"tenantId": tenant, "recordingId": f"recording-{number}"}
    date = FIRST + number * PAUSE
    staff = number // A_YEAR * STAFF
    owns = {"ownerId": owner(staff + mixed % STAFF), "date": f"{date:%Y-%m-%dT%H:%M:%SZ}"}
    return envelope, owns
