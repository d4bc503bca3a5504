"""A history of recordings as change events, the messages that carry it, and what must come of it.

Everything follows from one seed. The model of the outcome is written from the contract alone, and
shares no code with the product: of each thing the highest version wins, a recording's deletion
absorbs everything.
"""

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

Event = dict[str, Any]
Key = tuple[str, str]

EVENTS_EACH: Final = 10
DELETED: Final = 0.05
NOTES_ALONE: Final = 0.03
REPEATED: Final = 0.3
LONGEST_LIST: Final = 120
# In every text that a deletion has to erase.
SPOKEN: Final = "spoken"
_SENTIMENTS: Final = ("POSITIVE", "NEGATIVE", "NEUTRAL", "ERROR", "UNKNOWN", None)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the index has to say of one recording; with `deleted` there is nothing else.

    `notes` are (version, note), the note None when it is deleted.
    """

    version: int | None = None
    recording: Mapping[str, Any] | None = None
    notes: Mapping[str, tuple[int, Mapping[str, Any] | None]] = field(default_factory=dict)
    deleted: int | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the queue: a list of events, or one event alone."""

    events: Sequence[Event]
    alone: bool = False


def events_of(random: Random, recordings: int) -> list[Event]:
    """Ten events for each recording, as the product would have sent them, one after the other."""
    return [event for number in range(recordings) for event in _life(random, number)]


def invalid(random: Random, count: int) -> list[Event]:
    """Distinct events that can never be applied."""
    events = [
        _envelope("recording.saved", f"wrong-{n}", 1) | {"recording": {}} for n in range(count)
    ]
    for event in events:
        if random.random() < 0.5:
            event["type"] = "recording.renamed"
    return events


def messages_of(random: Random, events: Iterable[Event]) -> list[Message]:
    """The events shuffled, some of them twice or thrice, in lists of any length and alone."""
    sent = list(events)
    sent += [e for e in sent if random.random() < REPEATED for _ in range(random.randint(1, 2))]
    random.shuffle(sent)
    messages = []
    while sent:
        alone = random.random() < 0.9
        count = 1 if alone else random.randint(1, LONGEST_LIST)
        messages.append(Message([sent.pop() for _ in range(min(count, len(sent)))], alone))
    return messages


def outcomes(events: Iterable[Event]) -> dict[Key, Outcome]:
    """The one state that these events lead to, in whatever order they come."""
    by_recording: dict[Key, list[Event]] = {}
    for event in events:
        by_recording.setdefault((event["tenantId"], event["recordingId"]), []).append(event)
    return {key: _outcome(of_one) for key, of_one in by_recording.items()}


def _outcome(events: list[Event]) -> Outcome:
    by_version = sorted(events, key=lambda event: int(event["version"]))
    deletes = [event["version"] for event in by_version if event["type"] == "recording.deleted"]
    if deletes:
        return Outcome(deleted=deletes[-1])
    saves = [event for event in by_version if event["type"] == "recording.saved"]
    notes = {e["noteId"]: (e["version"], e.get("note")) for e in by_version if "noteId" in e}
    if not saves:
        return Outcome(notes=notes)
    return Outcome(saves[-1]["version"], saves[-1]["recording"], notes)


def _life(random: Random, number: int) -> Iterator[Event]:
    recording_id = f"r-{number}"
    fate = random.random()
    deleted_at = random.randrange(EVENTS_EACH) if fate < DELETED else None
    only_notes = fate > 1 - NOTES_ALONE
    version = 0
    notes: dict[str, int] = {}
    for step in range(EVENTS_EACH):
        version += random.randint(1, 3)
        if step == deleted_at:
            yield _envelope("recording.deleted", recording_id, version)
        elif not only_notes and (step == 0 or random.random() < 0.4):
            content = _recording(random, f"{recording_id} {version}")
            yield _envelope("recording.saved", recording_id, version) | {"recording": content}
        else:
            yield _of_note(random, recording_id, notes)


def _of_note(random: Random, recording_id: str, notes: dict[str, int]) -> Event:
    """A new note, or the edit, the deletion or the return of a known one."""
    note_id = f"n-{random.randint(1, 4)}"
    known = note_id in notes
    notes[note_id] = version = notes.get(note_id, 0) + random.randint(1, 3)
    identity = {"noteId": note_id}
    if known and random.random() < 0.3:
        return _envelope("note.deleted", recording_id, version) | identity
    note = {
        "authorId": _guid(random),
        "text": f"{SPOKEN} note {recording_id} {note_id} {version}",
        "createdAt": _date(random),
    }
    return _envelope("note.saved", recording_id, version) | identity | {"note": note}


def _envelope(type_: str, recording_id: str, version: int) -> Event:
    return {
        "type": type_,
        "tenantId": "acme" if sum(recording_id.encode()) % 2 else "globex",
        "recordingId": recording_id,
        "version": version,
        "occurredAt": "2026-04-25T10:30:00Z",
    }


def _recording(random: Random, words: str) -> dict[str, Any]:
    """Content with every field, each written the way it is kept."""
    return {
        "ownerId": _guid(random),
        "direction": random.choice(("IN", "OUT", "UNKNOWN", None)),
        "from": random.choice((None, {"fullName": f"{SPOKEN} {words}", "phoneNumber": None})),
        "to": {"fullName": None, "phoneNumber": f"+39 06 {random.randint(1_000_000, 9_999_999)}"},
        "date": _date(random),
        "duration": random.randint(0, 3600),
        "channels": random.choice((1, 2, None)),
        "analysisResult": {
            "score": random.choice((-0.5, 0, 0.25, None)),
            "sentiment": random.choice(_SENTIMENTS),
            "status": random.randint(0, 5),
        },
        "tags": [
            {"id": _guid(random), "value": f"{SPOKEN} tag"} for _ in range(random.randint(0, 2))
        ],
        "video": {"status": "OK", "errorDetail": None},
        "language": random.choice(("en", "it", "de", "ja", None)),
        "transcript": [
            {
                "speaker": random.choice(("agent", "customer", "other")),
                "offset": random.choice((turn * 2.5, None)),
                "text": f"{SPOKEN} turn {turn} of {words}",
            }
            for turn in range(random.randint(0, 4))
        ],
    }


def _date(random: Random) -> str:
    return f"2026-{random.randint(10, 12)}-{random.randint(10, 28)}T10:24:{random.randint(10, 59)}Z"


def _guid(random: Random) -> str:
    return str(uuid.UUID(int=random.getrandbits(128)))
