"""The demo's events: as the contract says, the same every time, and free of contradictions."""

import json
import re
from collections import Counter, defaultdict
from datetime import UTC, datetime
from itertools import islice
from typing import Any
from uuid import UUID

import phonenumbers
import pytest

from deploy.local.demo_data import STANDARD_USER, TAGS, TENANT, USERS, demo_events
from deploy.local.demo_data.people import national, new_customer, seeded
from deploy.local.demo_data.phrases import LANGUAGES, phrases, variants
from deploy.local.demo_data.talks import SCENARIOS, Occasion, make_talk
from indexer.events import parse

Event = dict[str, Any]
RECORDINGS = 1500
REGIONS = {code: phrases(code)["region"] for code in LANGUAGES}
LANGUAGE_OF = {user.id: user.language for user in USERS}
UTC_SECONDS = re.compile(r"2026-\d\d-\d\dT\d\d:\d\d:\d\dZ")
ENVELOPE = {"type", "tenantId", "version", "occurredAt"}
FIELDS = {
    "recording.saved": {"recordingId", "recording"},
    "recording.deleted": {"recordingId"},
    "note.saved": {"recordingId", "noteId", "note"},
    "note.deleted": {"recordingId", "noteId"},
}
RECORDING = {"ownerId", "direction", "from", "to", "date", "duration", "channels"}
RECORDING |= {"analysisResult", "tags", "video", "language", "transcript"}


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return list(demo_events(seed=7, recordings=RECORDINGS))


@pytest.fixture(scope="module")
def recordings(events: list[Event]) -> list[Event]:
    """Version 1 of every recording, once."""
    first = [e for e in events if e["type"] == "recording.saved" and e["version"] == 1]
    return list({e["recordingId"]: e["recording"] for e in first}.values())


def is_guid(text: str) -> bool:
    return str(UUID(text)) == text and UUID(text).version == 4


def language(recording: Event) -> str:
    return LANGUAGE_OF[recording["ownerId"]]


def customer_party(recording: Event) -> Event:
    party: Event = recording["to" if recording["direction"] == "OUT" else "from"]
    return party


def test_the_same_seed_gives_the_same_events() -> None:
    assert list(demo_events(3, 200)) == list(demo_events(3, 200))
    assert list(demo_events(3, 200)) != list(demo_events(4, 200))


def test_events_come_before_all_calls_are_drawn() -> None:
    assert len(list(islice(demo_events(recordings=10**9), 50))) == 50


@pytest.mark.parametrize("count", [0, 1, 5])
def test_a_small_number_of_recordings_works(count: int) -> None:
    saved = [e for e in demo_events(1, count) if e["type"] == "recording.saved"]
    assert len({e["recordingId"] for e in saved}) == count


def test_the_events_have_the_fields_of_the_contract(events: list[Event]) -> None:
    for event in events:
        assert set(event) == ENVELOPE | FIELDS[event["type"]]
        assert event["tenantId"] == TENANT
        assert event["version"] >= 1
        assert UTC_SECONDS.fullmatch(event["occurredAt"])
    assert json.loads(json.dumps(events)) == events


def test_the_indexer_takes_the_events(events: list[Event]) -> None:
    for event in events:
        assert parse(event).version == event["version"]


def test_the_recordings_have_the_fields_of_the_contract(recordings: list[Event]) -> None:
    tags = {(tag.id, tag.value) for tag in TAGS.values()}
    for recording in recordings:
        assert set(recording) == RECORDING
        assert recording["ownerId"] in LANGUAGE_OF
        assert recording["direction"] in {"IN", "OUT", "UNKNOWN"}
        assert recording["channels"] in {1, 2}
        assert recording["language"] in {None, language(recording)}
        assert len(recording["tags"]) <= 3
        assert {(tag["id"], tag["value"]) for tag in recording["tags"]} <= tags
        video = recording["video"]
        assert video["status"] in {"OK", "NONE", "ERROR"}
        assert ("errorDetail" in video) == (video["status"] == "ERROR")


def test_the_analysis_fits_its_sentiment(events: list[Event]) -> None:
    seen: Counter[str | None] = Counter()
    for event in events:
        result = event.get("recording", {}).get("analysisResult")
        seen[result and result["sentiment"]] += 1
        match result:
            case None | {"score": None, "sentiment": "ERROR", "status": 5}:
                pass
            case {"score": None, "sentiment": "UNKNOWN", "status": 2}:
                pass
            case {"score": float(score), "sentiment": sentiment, "status": 2}:
                assert -1 <= score <= 1
                assert (sentiment == "POSITIVE") == (score >= 0.25)
                assert (sentiment == "NEGATIVE") == (score <= -0.25)
            case _:
                pytest.fail(str(result))
    assert set(seen) == {None, "POSITIVE", "NEGATIVE", "NEUTRAL", "ERROR", "UNKNOWN"}


def test_the_counts_are_as_promised(events: list[Event], recordings: list[Event]) -> None:
    saved = [e for e in events if e["type"] == "recording.saved"]
    ids = {e["recordingId"] for e in saved}
    assert ids == {f"r-2026-{n + 1:06d}" for n in range(RECORDINGS)}
    assert len(recordings) == RECORDINGS
    second = {e["recordingId"] for e in saved if e["version"] == 2}
    assert 0.07 < len(second) / RECORDINGS < 0.13
    with_notes = {e["recordingId"] for e in events if e["type"] == "note.saved"}
    assert 0.30 < len(with_notes) / RECORDINGS < 0.40
    deleted = {e["recordingId"] for e in events if e["type"] == "recording.deleted"}
    assert 0.003 < len(deleted) / RECORDINGS < 0.02
    assert any(e["type"] == "note.deleted" for e in events)
    assert any(e["type"] == "note.saved" and e["version"] == 2 for e in events)


def test_the_languages_are_spread_as_promised(recordings: list[Event]) -> None:
    found = Counter(language(recording) for recording in recordings)
    for code, share in zip(LANGUAGES, (0.40, 0.20, 0.15, 0.15, 0.10), strict=True):
        assert found[code] / RECORDINGS == pytest.approx(share, abs=0.04)


def test_versions_count_from_one_and_the_last_one_deletes(events: list[Event]) -> None:
    versions: dict[tuple[str, ...], dict[int, str]] = defaultdict(dict)
    for event in events:
        thing = (event["recordingId"], event.get("noteId", ""))
        versions[thing][event["version"]] = event["type"]
    for found in versions.values():
        assert sorted(found) == list(range(1, len(found) + 1))
        assert all(kind.endswith(".saved") for v, kind in found.items() if v < len(found))


def test_events_come_late_twice_and_out_of_order(events: list[Event]) -> None:
    lines = [json.dumps(event, sort_keys=True) for event in events]
    assert 0 < len(lines) - len(set(lines)) < 0.03 * len(lines)
    seen: set[str] = set()
    early_notes = late_versions = 0
    for event in events:
        kind, recording = event["type"], event.get("recordingId", "")
        early_notes += kind == "note.saved" and recording not in seen
        if kind == "recording.saved":
            late_versions += event["version"] == 2 and recording not in seen
            seen.add(recording)
    assert early_notes
    assert late_versions


def test_events_occur_after_their_call(events: list[Event]) -> None:
    ends: dict[str, float] = {}
    for event in events:
        if recording := event.get("recording"):
            start = datetime.fromisoformat(recording["date"])
            ends[event["recordingId"]] = start.timestamp() + recording["duration"]
    for event in events:
        if "recordingId" in event:
            occurred = datetime.fromisoformat(event["occurredAt"]).timestamp()
            assert occurred > ends[event["recordingId"]]


def test_calls_are_in_business_hours(recordings: list[Event]) -> None:
    for recording in recordings:
        assert UTC_SECONDS.fullmatch(recording["date"])
        at = datetime.fromisoformat(recording["date"])
        assert datetime(2026, 1, 5, tzinfo=UTC) <= at < datetime(2026, 10, 31, tzinfo=UTC)
        assert at.weekday() < 5
        assert 8 <= at.hour < 17


def test_offsets_rise_and_the_duration_covers_them(recordings: list[Event]) -> None:
    for recording in recordings:
        offsets = [turn["offset"] for turn in recording["transcript"]]
        assert offsets == sorted(set(offsets))
        assert offsets[0] >= 0
        assert recording["duration"] >= offsets[-1]


def test_conversations_have_a_believable_length(recordings: list[Event]) -> None:
    lengths = [len(recording["transcript"]) for recording in recordings]
    assert min(lengths) >= 6
    assert sum(length <= 25 for length in lengths) > 0.94 * RECORDINGS
    assert max(lengths) > 40


def test_nothing_is_left_unfilled(events: list[Event]) -> None:
    texts = [turn["text"] for e in events for turn in e.get("recording", {}).get("transcript", [])]
    texts += [event["note"]["text"] for event in events if event["type"] == "note.saved"]
    for text in texts:
        assert not re.search(r"[{}\[\]<>|^~]|\s{2}|None", text), text
        assert text.strip() == text != ""


def test_speakers_are_those_of_the_contract(recordings: list[Event]) -> None:
    found = Counter(turn["speaker"] for r in recordings for turn in r["transcript"])
    assert set(found) == {"agent", "customer", "other"}
    assert found["other"] < 0.05 * found.total()


def test_telephone_numbers_are_valid(recordings: list[Event]) -> None:
    extensions = {user.extension for user in USERS}
    forms: Counter[str] = Counter()
    for recording in recordings:
        for number in (recording["from"]["phoneNumber"], recording["to"]["phoneNumber"]):
            if number is None or number in extensions:
                forms["null" if number is None else "extension"] += 1
                continue
            parsed = phonenumbers.parse(number, REGIONS[language(recording)])
            assert phonenumbers.is_valid_number(parsed), number
            e164 = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
            forms["E.164" if e164 == number else "written"] += 1
    assert set(forms) == {"null", "extension", "E.164", "written"}
    assert forms["E.164"] > 0.7 * forms.total()


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_number_of_a_range_is_valid(code: str) -> None:
    numbers = [new_customer(seeded(1), code, serial).phone for serial in range(450)]
    assert len(set(numbers)) == len(numbers)
    assert all(phonenumbers.is_valid_number(phonenumbers.parse(number)) for number in numbers)


def test_a_third_of_the_customers_call_again(recordings: list[Event]) -> None:
    calls: Counter[tuple[str, str]] = Counter()
    for recording in recordings:
        party = customer_party(recording)
        if party["phoneNumber"]:
            parsed = phonenumbers.parse(party["phoneNumber"], REGIONS[language(recording)])
            calls[party["fullName"], str(parsed.national_number)] += 1
    assert sum(n > 1 for n in calls.values()) / len(calls) == pytest.approx(0.33, abs=0.06)


def test_the_names_in_a_talk_are_those_of_the_parties(recordings: list[Event]) -> None:
    names = {user.id: user.name for user in USERS}
    for recording in recordings:
        spoken = " ".join(turn["text"] for turn in recording["transcript"])
        assert names[recording["ownerId"]] in spoken
        name = customer_party(recording)["fullName"]
        assert name is None or name.split()[-1] in spoken


@pytest.mark.parametrize("code", LANGUAGES)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_what_is_said_agrees_with_the_facts(code: str, scenario: str) -> None:
    """Every amount, number and address that is spoken or noted is one of the facts of the call."""
    agent = next(user for user in USERS if user.language == code)
    at = datetime(2026, 5, 6, 9, 30, tzinfo=UTC)
    for seed in range(12):
        rng = seeded(seed)
        customer = new_customer(rng, code, seed)
        direction = SCENARIOS[scenario].directions[seed % len(SCENARIOS[scenario].directions)]
        talk = make_talk(rng, Occasion(scenario, direction, agent, customer, at))
        said = " ".join([*(turn["text"] for turn in talk.turns), talk.note])
        facts = set(re.findall(r"\d{3,}", " ".join(talk.slots.values()))) | {"300", "100"}
        assert set(re.findall(r"\d{3,}", said)) <= facts
        amounts = {talk.slots[slot] for slot in ("amount", "less", "diff", "price")}
        assert set(re.findall(r"£[\d.]*\d|\d[\d,]* [Ee]uros?", said)) <= amounts
        assert set(re.findall(r"\S+@\S+\.(?:com|org)", said)) <= {customer.email}
        assert talk.slots["phone"] == national(customer)


@pytest.mark.parametrize("code", LANGUAGES)
def test_each_result_has_a_note_of_its_own(code: str) -> None:
    known = phrases(code)
    assert set(known) >= set(SCENARIOS)
    assert len(variants(known["common"]["pending"])) == len(known["common"]["note_pending"])
    for scenario in SCENARIOS:
        for outcome in ("good", "bad"):
            notes = known[scenario][f"note_{outcome}"]
            assert len(variants(known[scenario][outcome])) == len(notes), (scenario, outcome)


def test_notes_are_written_by_users_of_the_language(events: list[Event]) -> None:
    owners = {e["recordingId"]: e["recording"]["ownerId"] for e in events if "recording" in e}
    others = 0
    for event in events:
        if event["type"] == "note.saved":
            owner, author = owners[event["recordingId"]], event["note"]["authorId"]
            assert LANGUAGE_OF[author] == LANGUAGE_OF[owner]
            assert is_guid(event["noteId"])
            assert UTC_SECONDS.fullmatch(event["note"]["createdAt"])
            others += owner != author
    assert others


def test_the_cast_has_guids() -> None:
    ids = [user.id for user in USERS] + [tag.id for tag in TAGS.values()]
    assert len(USERS) == 24
    assert len(TAGS) == 12
    assert len(set(ids)) == len(ids)
    assert all(is_guid(found) for found in ids)
    assert STANDARD_USER in USERS
