"""What the benchmarks index: conversations in, change events in their full form out.

Real conversations come from ../shared/data beside the checkout where that is there, else the
invented ones of the demo. The corpora have no telephone numbers, tags or scores: those are drawn
from a fixed seed, so that every field of an event is filled.
"""

import gzip
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from deploy.local.demo_data import demo_events

Event = dict[str, Any]

DATA: Final = Path(__file__).parents[3] / "shared" / "data"
SEED: Final = 7
TENANT: Final = "bench"
NOBODY: Final = "00000000-0000-4000-8000-000000000000"
OCCURRED: Final = "2026-01-01T00:00:00Z"
# The exchanges of Great Britain's numbers for drama (Ofcom): valid, and nobody's.
EXCHANGES: Final = (113, 114, 115, 116, 117, 118, 121, 131, 141, 151, 161, 191)
TAGS: Final = ("Complaint", "Refund", "Order", "Support", "Appointment", "Sales")
SENTIMENTS: Final = ("POSITIVE", "NEGATIVE", "NEUTRAL")


@dataclass(frozen=True, slots=True)
class Dataset:
    """`recording.saved` events of version 1, one for each recording, and where they are from."""

    origin: str
    recordings: list[Event]


def load(count: int) -> Dataset:
    """About so many recordings, in a mixed but fixed order."""
    if DATA.is_dir():
        origin, recordings = "real conversations (../shared/data)", _real(count)
    else:
        origin, recordings = "invented conversations (demo data)", _invented(count)
    random.Random(SEED).shuffle(recordings)
    return Dataset(f"{len(recordings):,} {origin}", recordings)


def update_of(event: Event, version: int) -> Event:
    """The same recording at a later version: it was analysed again."""
    analysis = event["recording"]["analysisResult"] or {"sentiment": "NEUTRAL", "status": 2}
    score = round((version % 200) / 100 - 1, 2)
    recording = event["recording"] | {"analysisResult": analysis | {"score": score}}
    return event | {"version": version, "recording": recording}


def note_of(event: Event) -> Event:
    """A note to this recording: its longest turn as somebody would copy it."""
    texts = [turn["text"] for turn in event["recording"]["transcript"]]
    note = {
        "authorId": event["recording"]["ownerId"],
        "text": max(texts, key=len, default="Nothing was said.")[:500],
        "createdAt": OCCURRED,
    }
    identity = {name: event[name] for name in ("tenantId", "recordingId", "occurredAt")}
    return {"type": "note.saved", **identity, "noteId": "note-1", "version": 1, "note": note}


def _real(count: int) -> list[Event]:
    """Every n-th conversation of every file."""
    lines = list(_lines())
    rng = random.Random(SEED)
    taken = min(count, len(lines))
    return [_full(orjson.loads(lines[place * len(lines) // taken]), rng) for place in range(taken)]


def _lines() -> Iterator[bytes]:
    for file in sorted(DATA.glob("*.ndjson.gz")):
        with gzip.open(file) as source:
            yield from source


def _full(raw: dict[str, Any], rng: random.Random) -> Event:
    recording = {
        "ownerId": raw["agent"]["id"] if raw["agent"] else NOBODY,
        "direction": rng.choice(("IN", "OUT")),
        "from": {"fullName": f"Customer {rng.randrange(9000)}", "phoneNumber": _number(rng)},
        "to": {
            "fullName": f"Agent {rng.randrange(200)}",
            "phoneNumber": str(200 + rng.randrange(99)),
        },
        "date": raw["start"] or OCCURRED,
        "duration": raw["duration_s"] or rng.randrange(20, 900),
        "channels": 2,
        "analysisResult": {
            "score": round(rng.uniform(-1, 1), 2),
            "sentiment": rng.choice(SENTIMENTS),
            "status": 2,
        },
        "tags": [_tag(name) for name in rng.sample(TAGS, rng.randrange(3))],
        "video": {"status": "NONE"},
        "language": raw["language"],
        "transcript": [
            {"speaker": turn["speaker"], "offset": turn["offset_s"], "text": turn["text"]}
            for turn in raw["turns"]
        ],
    }
    return {
        "type": "recording.saved",
        "tenantId": TENANT,
        "recordingId": raw["id"],
        "version": 1,
        "occurredAt": OCCURRED,
        "recording": recording,
    }


def _number(rng: random.Random) -> str:
    return f"+44{rng.choice(EXCHANGES)}4960{rng.randrange(1000):03}"


def _tag(name: str) -> dict[str, str]:
    return {"id": f"00000000-0000-4000-8000-{TAGS.index(name):012}", "value": name}


def _invented(count: int) -> list[Event]:
    newest: dict[str, Event] = {}
    for event in demo_events(SEED, count):
        if event["type"] == "recording.saved":
            newest[event["recordingId"]] = dict(event) | {"version": 1}
    return list(newest.values())
