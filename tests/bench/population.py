"""The recordings that are searched: conversations, as often as the size needs them.

The corpora have few owners and dates, so every recording gets both here, and each copy of a
conversation a new id; all drawn from a fixed seed.
"""

import random
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Final

from elasticsearch import Elasticsearch

from services.indices import IndexNames
from tests.bench import workload
from tests.bench.conversations import SEED, Dataset, Event, load

OWNERS: Final = 200
FIRST_DAY: Final = datetime(2025, 1, 1, tzinfo=UTC)
YEAR_SECONDS: Final = 365 * 86_400
LOT: Final = 1_000  # recordings that are rendered at once


def populated(count: int) -> Dataset:
    """So many recordings, in a fixed order."""
    base = load(count)
    recordings = list(islice(multiplied(base.recordings), count))
    return Dataset(f"{count:,} recordings of {base.origin}", recordings)


def multiplied(recordings: list[Event]) -> Iterator[Event]:
    """These recordings again and again without end, each with id, owner and date of its own."""
    rng = random.Random(SEED)
    turn = 0
    while True:
        for event in recordings:
            yield _another(event, turn, rng)
        turn += 1


def owner(number: int) -> str:
    """The GUID of one of the owners."""
    return f"00000000-0000-4000-9000-{number:012}"


def fill(client: Elasticsearch, names: IndexNames, events: Iterable[Event]) -> Iterator[int]:
    """Index the documents of these events as a worker would; yields how many each lot was."""
    rest = iter(events)
    while lot := list(islice(rest, LOT)):
        for lines in workload.fresh(lot).result:
            operations: list[Any] = list(lines)
            client.bulk(index=names.recordings, operations=operations)
        yield len(lot)


def _another(event: Event, turn: int, rng: random.Random) -> Event:
    date = FIRST_DAY + timedelta(seconds=rng.randrange(YEAR_SECONDS))
    changes = {"ownerId": owner(rng.randrange(OWNERS)), "date": f"{date:%Y-%m-%dT%H:%M:%SZ}"}
    identity = f"{event['recordingId']}#{turn}" if turn else event["recordingId"]
    return event | {"recordingId": identity, "recording": event["recording"] | changes}
