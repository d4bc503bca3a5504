"""What the product tells about one call: a call in, its change events with their delays out."""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from deploy.local.demo_data.people import TAGS, TENANT, USERS, Customer, User, as_recorded, guid
from deploy.local.demo_data.phrases import fill, phrases
from deploy.local.demo_data.talks import SCENARIOS, Talk

Event = dict[str, Any]
# An event and when it is sent: so many recordings after its call.
Delayed = tuple[float, Event]


@dataclass(frozen=True)
class Call:
    """A call that took place at `at` (UTC, whole seconds)."""

    id: str
    at: datetime
    agent: User
    customer: Customer
    direction: str
    talk: Talk

    @property
    def end(self) -> datetime:
        return self.at + timedelta(seconds=self.talk.duration)


def history(rng: random.Random, call: Call) -> list[Delayed]:
    """All events of a call: each save, note, edit and deletion once."""
    notes = _notes(rng, call)
    saves = _saves(rng, call, late=bool(notes) and rng.random() < 0.06)
    events = saves + notes
    if rng.random() < 0.01:
        last = max(event["occurredAt"] for _, event in events)
        gone = datetime.fromisoformat(last) + timedelta(days=rng.randint(1, 9))
        end = max(delay for delay, _ in events) + rng.uniform(1, 60)
        events.append((end, _event("recording.deleted", call, len(saves) + 1, gone)))
    return events


def _event(kind: str, call: Call, version: int, at: datetime, **content: Any) -> Event:
    head = {"type": kind, "tenantId": TENANT, "recordingId": call.id, "version": version}
    return head | {"occurredAt": _z(at)} | content


def _z(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _saves(rng: random.Random, call: Call, late: bool) -> list[Delayed]:
    """Version 1, and for a tenth of the calls the analysis later, in version 2."""
    recording = _recording(rng, call)
    analysis = _analysis(rng, call.talk)
    at = call.end + timedelta(seconds=rng.randint(20, 600))
    delay = rng.uniform(4, 20) if late else rng.uniform(0, 1)
    if rng.random() >= 0.1:
        final = recording | {"analysisResult": analysis}
        return [(delay, _event("recording.saved", call, 1, at, recording=final))]
    later = at + timedelta(seconds=rng.randint(1200, 12_000))
    return [
        (delay, _event("recording.saved", call, 1, at, recording=recording)),
        (
            rng.uniform(0, 10),
            _event(
                "recording.saved",
                call,
                2,
                later,
                recording=recording | {"analysisResult": analysis},
            ),
        ),
    ]


def _recording(rng: random.Random, call: Call) -> dict[str, Any]:
    """The recording without an analysis."""
    outgoing = call.direction == "OUT"
    agent, customer = _agent_party(rng, call.agent), _customer_party(rng, call.customer, outgoing)
    return {
        "ownerId": call.agent.id,
        "direction": call.direction,
        "from": agent if outgoing else customer,
        "to": customer if outgoing else agent,
        "date": _z(call.at),
        "duration": call.talk.duration,
        "channels": 1 if rng.random() < 0.06 else 2,
        "analysisResult": None,
        "tags": _tags(rng, call.talk),
        "video": _video(rng),
        "language": None if rng.random() < 0.02 else call.agent.language,
        "transcript": call.talk.turns,
    }


def _agent_party(rng: random.Random, agent: User) -> dict[str, str | None]:
    number = agent.extension if rng.random() < 0.06 else as_recorded(rng, agent)
    return {"fullName": agent.name, "phoneNumber": number}


def _customer_party(rng: random.Random, customer: Customer, called: bool) -> dict[str, str | None]:
    """A few callers withhold their number; then some are not recognised either."""
    if not called and rng.random() < 0.05:
        return {"fullName": rng.choice((None, customer.name)), "phoneNumber": None}
    return {"fullName": customer.name, "phoneNumber": as_recorded(rng, customer)}


def _tags(rng: random.Random, talk: Talk) -> list[dict[str, str]]:
    values = [SCENARIOS[talk.scenario].tag] if rng.random() < 0.85 else []
    if talk.outcome == "bad" and rng.random() < 0.5:
        values.append("Customer Complaint")
    if talk.outcome == "pending" and rng.random() < 0.6:
        values.append("Follow-up")
    return [{"id": TAGS[value].id, "value": value} for value in dict.fromkeys(values)]


def _video(rng: random.Random) -> dict[str, str]:
    status = rng.choices(("NONE", "OK", "ERROR"), (90, 8, 2))[0]
    details = ("camera stream ended early", "no key frame in the first minute")
    error = {"errorDetail": rng.choice(details)} if status == "ERROR" else {}
    return {"status": status} | error


def _analysis(rng: random.Random, talk: Talk) -> dict[str, Any] | None:
    """Fits the end of the talk; a few have none, an error, or no clear result."""
    match rng.choices(("done", "none", "error", "unclear"), (92, 3, 2, 3))[0]:
        case "none":
            return None
        case "error":
            return {"score": None, "sentiment": "ERROR", "status": 5}
        case "unclear":
            return {"score": None, "sentiment": "UNKNOWN", "status": 2}
    ranges = {"good": (0.12, 0.97), "pending": (-0.35, 0.3), "bad": (-0.97, -0.2)}
    score = round(rng.uniform(*ranges[talk.outcome]), 2)
    sentiment = "POSITIVE" if score >= 0.25 else "NEGATIVE" if score <= -0.25 else "NEUTRAL"
    return {"score": score, "sentiment": sentiment, "status": 2}


def _notes(rng: random.Random, call: Call) -> list[Delayed]:
    """One to three notes for about a third of the calls, some of them edited or deleted."""
    if rng.random() >= 0.35:
        return []
    more = phrases(call.agent.language)["common"]["note_more"]
    extra = rng.sample(more, rng.choice((0, 0, 0, 1, 1, 2)))
    texts = [call.talk.note, *(_written(rng, call, text) for text in extra)]
    at = call.end
    events: list[Delayed] = []
    for number, text in enumerate(texts):
        author = call.agent if number == 0 or rng.random() < 0.5 else _colleague(rng, call)
        wait = timedelta(minutes=rng.randint(1, 15)) if author == call.agent else timedelta(days=1)
        at += wait + timedelta(seconds=rng.randrange(600))
        events.extend(_note(rng, call, author, text, at))
    return events


def _note(rng: random.Random, call: Call, author: User, text: str, at: datetime) -> list[Delayed]:
    note_id, version, delay = guid(rng), 1, rng.uniform(0, 3)
    note = {"authorId": author.id, "text": text, "createdAt": _z(at)}
    events = [(delay, _event("note.saved", call, 1, at, noteId=note_id, note=note))]
    if rng.random() < 0.12:
        version, at = 2, at + timedelta(minutes=rng.randint(5, 300))
        addition = rng.choice(phrases(call.agent.language)["common"]["note_edit"])
        edited = note | {"text": f"{text} {_written(rng, call, addition)}"}
        event = _event("note.saved", call, version, at, noteId=note_id, note=edited)
        events.append((rng.uniform(0, 25), event))
    if rng.random() < 0.05:
        at += timedelta(minutes=rng.randint(5, 3000))
        gone = _event("note.deleted", call, version + 1, at, noteId=note_id)
        events.append((rng.uniform(1, 40), gone))
    return events


def _written(rng: random.Random, call: Call, text: str) -> str:
    return fill(rng, text, call.talk.slots, call.customer.gender, call.agent.gender)


def _colleague(rng: random.Random, call: Call) -> User:
    language = call.agent.language
    return rng.choice([user for user in USERS if user.language == language and user != call.agent])
