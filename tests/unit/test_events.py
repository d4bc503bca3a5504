"""Validation of change events: what is refused, and that the reason never shows a value."""

from copy import deepcopy
from typing import Any

import pytest

from indexer.events import InvalidEventError, RecordingSaved, parse

GUID = "1EFC024D-0000-4000-8000-00000000000A"
GOOD: dict[str, Any] = {
    "type": "recording.saved",
    "tenantId": "acme",
    "recordingId": "r-1",
    "version": 7,
    "occurredAt": "2026-04-25T10:30:00Z",
    "recording": {
        "ownerId": GUID,
        "direction": "IN",
        "from": {"fullName": "Ada", "phoneNumber": "+390212345678"},
        "to": {"fullName": None, "phoneNumber": None},
        "date": "2026-04-25T12:24:40.5+02:00",
        "duration": 362,
        "channels": 2,
        "analysisResult": {"score": 0.8, "sentiment": "POSITIVE", "status": 2},
        "tags": [{"id": GUID, "value": "Complaint"}],
        "video": {"status": "OK"},
        "language": "en-GB",
        "transcript": [{"speaker": "agent", "offset": 12.5, "text": "cafe\u0301"}],
    },
}


def changed(path: str, value: Any) -> dict[str, Any]:
    event = deepcopy(GOOD)
    *parents, last = path.split(".")
    place: Any = event
    for part in parents:
        place = place[int(part)] if isinstance(place, list) else place[part]
    place[last] = value
    return event


def test_a_recording_is_read_into_one_form() -> None:
    event = parse(GOOD)
    assert isinstance(event, RecordingSaved)
    content = event.recording.model_dump(by_alias=True)
    assert content["ownerId"] == GUID
    assert content["date"] == "2026-04-25T10:24:40.500Z"
    assert content["language"] == "en"
    assert content["transcript"][0]["text"] == "caf\u00e9"
    assert content["duration"] == 362
    assert isinstance(content["duration"], int)


@pytest.mark.parametrize(
    "path",
    ["recording.analysisResult", "recording.language", "recording.from.fullName", "recording.date"],
)
def test_what_is_not_known_may_be_null(path: str) -> None:
    parse(changed(path, None))


def test_names_that_we_do_not_know_are_passed_over() -> None:
    parse(changed("recording.mood", "sunny"))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        pytest.param("type", "recording.moved", id="unknown type"),
        pytest.param("type", ["recording.saved"], id="type that is no text"),
        pytest.param("tenantId", "", id="empty tenant"),
        pytest.param("tenantId", None, id="no tenant"),
        pytest.param("recordingId", "x" * 257, id="id of 257 characters"),
        pytest.param("recordingId", "\ud800", id="half a surrogate pair in an id"),
        pytest.param("version", "7", id="version as text"),
        pytest.param("version", True, id="version as boolean"),
        pytest.param("version", -1, id="negative version"),
        pytest.param("version", 2**63, id="version above 63 bits"),
        pytest.param("occurredAt", 1619346600, id="time as a number"),
        pytest.param("occurredAt", "secret", id="time that is none"),
        pytest.param("recording", {}, id="no owner"),
        pytest.param("recording.ownerId", "secret", id="owner that is no GUID"),
        pytest.param("recording.ownerId", GUID + "\n", id="GUID and a line break"),
        pytest.param("recording.date", "0001-01-01T00:00:00+14:00", id="before the year one"),
        pytest.param("recording.duration", -1, id="negative duration"),
        pytest.param("recording.duration", float("nan"), id="duration that is no number"),
        pytest.param("recording.analysisResult.score", 1.5, id="score above one"),
        pytest.param("recording.analysisResult.status", 6, id="status above five"),
        pytest.param("recording.analysisResult.sentiment", "secret", id="unknown sentiment"),
        pytest.param("recording.channels", 3, id="three channels"),
        pytest.param("recording.transcript.0.text", "\udfff", id="half a pair in a text"),
        pytest.param("recording.transcript.0.text", 5, id="text that is none"),
        pytest.param("recording.transcript.0.speaker", "secret", id="unknown speaker"),
    ],
)
def test_what_is_wrong_is_refused_and_the_reason_shows_no_value(path: str, value: Any) -> None:
    with pytest.raises(InvalidEventError) as caught:
        parse(changed(path, value))
    assert path.rsplit(".", 1)[-1] in str(caught.value) or "ownerId" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("raw", [None, 5, "text", [], [GOOD]])
def test_what_is_no_object_is_refused(raw: object) -> None:
    with pytest.raises(InvalidEventError):
        parse(raw)
