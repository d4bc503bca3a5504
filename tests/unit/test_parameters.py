"""The parameters: what is accepted, and how a wrong one is told."""

from typing import Any
from urllib.parse import urlencode

import pytest

from api.parameters import ListParameters
from api.query_string import read
from api.values import Limits, Tags, Users
from services.errors import CallerError

LIMITS = Limits(max_quantity=1000, region=None)
A = "aaaaaaaa-0000-4000-8000-000000000000"
B = "bbbbbbbb-0000-4000-8000-000000000000"


def asked(**parameters: object) -> Any:
    return read(urlencode({"quantity": 10, "from": 0} | parameters), LIMITS)


@pytest.mark.parametrize(
    ("parameters", "code", "parameter"),
    [
        pytest.param({"quantity": ""}, "invalid_parameter", "quantity", id="empty quantity"),
        pytest.param({"quantity": 0}, "invalid_parameter", "quantity", id="quantity zero"),
        pytest.param({"quantity": 1001}, "invalid_parameter", "quantity", id="quantity too large"),
        pytest.param({"quantity": "1e2"}, "invalid_parameter", "quantity", id="exponent"),
        pytest.param({"from": -1}, "invalid_parameter", "from", id="negative from"),
        pytest.param({"from": "\u0661"}, "invalid_parameter", "from", id="Arabic digit"),
        pytest.param({"from": 99_991}, "window_exceeded", "from", id="beyond the window"),
        pytest.param({"from": 10**17}, "window_exceeded", "from", id="far beyond the window"),
        pytest.param({"quantity": 10**17}, "invalid_parameter", "quantity", id="a huge quantity"),
        pytest.param({"from": 1, "cursor": ""}, "invalid_parameter", "from", id="cursor and from"),
        pytest.param({"cursor": " "}, "invalid_parameter", "cursor", id="blank cursor"),
        pytest.param({"cursor": "x" * 5000}, "invalid_parameter", "cursor", id="long cursor"),
        pytest.param({"direction": "INOUT"}, "invalid_parameter", "direction", id="direction"),
        pytest.param({"direction": "IN,,OUT"}, "invalid_parameter", "direction", id="a gap"),
        pytest.param({"language": "english"}, "invalid_parameter", "language", id="language"),
        pytest.param({"language": "en-US"}, "invalid_parameter", "language", id="a locale"),
        pytest.param({"minduration": -1}, "invalid_parameter", "minduration", id="negative"),
        pytest.param({"minduration": "nan"}, "invalid_parameter", "minduration", id="no number"),
        pytest.param({"maxduration": "1e999"}, "invalid_parameter", "maxduration", id="infinite"),
        pytest.param({"minduration": "1e16"}, "invalid_parameter", "minduration", id=">1e15"),
        pytest.param(
            {"minduration": 2, "maxduration": 1}, "invalid_parameter", "minduration", id="min > max"
        ),
        pytest.param({"hasnotes": "yes"}, "invalid_parameter", "hasnotes", id="yes"),
        pytest.param({"highlight": 1}, "invalid_parameter", "highlight", id="one"),
        pytest.param({"sort": "+date"}, "invalid_parameter", "sort", id="plus"),
        pytest.param({"sort": "-relevance"}, "invalid_parameter", "sort", id="least relevant"),
        pytest.param({"facets": "day,tag"}, "invalid_parameter", "facets", id="unknown facet"),
        pytest.param({"facets": "Day"}, "invalid_parameter", "facets", id="facet in other case"),
        pytest.param({"page": 1}, "unknown_parameter", "page", id="unknown"),
        pytest.param({"Words": "a"}, "unknown_parameter", "Words", id="other case"),
        pytest.param({"words": " "}, "invalid_parameter", "words", id="blank words"),
        pytest.param({"words": "a AND"}, "invalid_query", "words", id="half a query"),
        pytest.param({"noteswords": "agent:a"}, "invalid_query", "noteswords", id="side of a note"),
        pytest.param({"sentiment": "GOOD"}, "invalid_parameter", "sentiment", id="sentiment"),
        pytest.param({"sentiment": "ERROR,"}, "invalid_parameter", "sentiment", id="empty item"),
        pytest.param({"tel": "12;34"}, "invalid_parameter", "tel", id="no number"),
        pytest.param({"tel": "+390212345678,"}, "invalid_parameter", "tel", id="empty number"),
        pytest.param({"enddate": "2026-01-01"}, "invalid_parameter", "startdate", id="no start"),
        pytest.param({"startdate": "yesterday"}, "invalid_parameter", "startdate", id="no date"),
        pytest.param({"startdate": "2026-02-30"}, "invalid_parameter", "startdate", id="no day"),
        pytest.param({"users": "x"}, "invalid_parameter", "users", id="no GUID"),
        pytest.param({"users": f"only:{A}"}, "invalid_parameter", "users", id="unknown mode"),
        pytest.param({"users": "include:"}, "invalid_parameter", "users", id="nobody"),
        pytest.param(
            {"users": f"include:{A},exclude:{B}"}, "invalid_parameter", "users", id="both"
        ),
        pytest.param({"users": ",".join([A] * 1001)}, "invalid_parameter", "users", id="too many"),
        pytest.param({"tagids": f"any:{A}"}, "invalid_parameter", "tagids", id="unknown tag mode"),
        pytest.param({"tagids": f"{{{A}}}"}, "invalid_parameter", "tagids", id="GUID in braces"),
    ],
)
def test_wrong(parameters: dict[str, object], code: str, parameter: str) -> None:
    with pytest.raises(CallerError) as caught:
        asked(**parameters)
    assert (caught.value.code, caught.value.parameter) == (code, parameter)
    assert caught.value.detail.startswith(parameter)


@pytest.mark.parametrize("missing", ["quantity", "from"])
def test_required(missing: str) -> None:
    with pytest.raises(CallerError) as caught:
        read(urlencode({n: 1 for n in ("quantity", "from") if n != missing}), LIMITS)
    assert (caught.value.code, caught.value.parameter) == ("missing_parameter", missing)


def test_repeated() -> None:
    with pytest.raises(CallerError) as caught:
        read("quantity=1&from=0&from=0", LIMITS)
    assert (caught.value.code, caught.value.parameter) == ("repeated_parameter", "from")


def test_bytes_that_are_not_utf_8() -> None:
    with pytest.raises(CallerError) as caught:
        read("quantity=1&from=0&words=%ff", LIMITS)
    assert caught.value.code == "invalid_parameter"


def test_the_position_is_that_of_the_value_before_it_was_encoded() -> None:
    with pytest.raises(CallerError) as caught:
        asked(words="caffè (latte")
    assert caught.value.position == 6


@pytest.mark.parametrize(
    ("start", "end", "milliseconds"),
    [
        pytest.param("2026-04-25", "2026-04-25", 86_400_000, id="the same day"),
        pytest.param("2026-04-25", "2026-04-26", 2 * 86_400_000, id="two days"),
        pytest.param("2026-04-25T23:00", "2026-04-25", 3_600_000, id="the rest of the day"),
        pytest.param("2026-04-25T00:00+02:00", "2026-04-25T00:00Z", 7_200_000, id="zones"),
        pytest.param("9999-12-31", "9999-12-31", 86_400_000, id="the last day of all"),
        pytest.param("0001-01-01T00:00+10:00", "0001-01-01T00:00Z", 36_000_000, id="before year 1"),
    ],
)
def test_dates(start: str, end: str, milliseconds: int) -> None:
    parameters = asked(startdate=start, enddate=end)
    assert parameters.end.ceil_ms - parameters.startdate.ceil_ms == milliseconds


@pytest.mark.parametrize(
    ("start", "end"),
    [
        pytest.param("2026-04-25", "2026-04-24", id="the day before"),
        pytest.param("2026-04-25T10:00Z", "2026-04-25T10:00Z", id="the same moment"),
        pytest.param("2026-04-25T10:00Z", "2026-04-25T11:00+02:00", id="earlier in its zone"),
    ],
)
def test_the_end_must_be_after_the_start(start: str, end: str) -> None:
    with pytest.raises(CallerError) as caught:
        asked(startdate=start, enddate=end)
    assert caught.value.parameter == "enddate"


def test_lists() -> None:
    assert asked(sentiment="positive,Error").sentiment == ("POSITIVE", "ERROR")
    assert asked(users=f"{A.upper()},{A}").users == Users(include=True, ids=(A,))
    assert asked(users=f"exclude:{A},{B}").users == Users(include=False, ids=(A, B))
    assert asked(tagids=f"all:{A},{B}").tagids == Tags(all=True, ids=(A, B))
    assert asked(direction="in,Unknown,IN").direction == ("IN", "UNKNOWN")
    assert asked(language="EN,it").language == ("en", "it")
    assert asked(facets="day,users,day").facets == ("day", "users")
    assert asked(tagids=A).tagids == Tags(all=False, ids=(A,))


def test_what_is_not_asked_for() -> None:
    plain = asked()
    assert (plain.sort, plain.highlight, plain.cursor) == ("-date", False, None)
    given = set(type(plain).model_fields) - {"quantity", "from_", "sort", "highlight"}
    assert {getattr(plain, name) for name in given} == {None}


@pytest.mark.parametrize(("text", "meant"), [("true", True), ("False", False), ("TRUE", True)])
def test_true_and_false(text: str, meant: bool) -> None:
    assert (asked(hasnotes=text).hasnotes, asked(highlight=text).highlight) == (meant, meant)


@pytest.mark.parametrize(
    ("text", "meant"),
    [("0", 0), ("12.5", 12.5), ("1e2", 100), ("0.13881778269266043", 0.13881778269266043)],
)
def test_seconds(text: str, meant: float) -> None:
    both = asked(minduration=text, maxduration=text)
    assert (both.minduration, both.maxduration) == (meant, meant)


def test_an_empty_cursor_starts_a_walk() -> None:
    assert asked(cursor="").cursor == ""


def test_a_plus_before_the_zone_that_was_not_escaped() -> None:
    escaped, plain = "2021-04-25T10:00:00+02:00", "2021-04-25T10:00:00 02:00"
    assert asked(startdate=plain).startdate == asked(startdate=escaped).startdate


def test_every_parameter_is_described_for_the_document() -> None:
    schema = ListParameters.model_json_schema()
    assert set(schema["required"]) == {"quantity", "from"}
    assert schema["additionalProperties"] is False
    assert all("description" in parameter for parameter in schema["properties"].values())


@pytest.mark.parametrize(
    ("query_string", "parameter", "position"),
    [
        pytest.param("words=a%ffb", "words", 1, id="a byte that is not UTF-8"),
        pytest.param("words=%ed%a0%80", "words", 0, id="half of a surrogate pair"),
        pytest.param("words=\udcff", "words", 0, id="a byte that was not percent-encoded"),
        pytest.param("tel=12345%e2%82", "tel", 5, id="the begin of a character"),
        pytest.param("%ff=1", None, None, id="a name"),
    ],
)
def test_what_is_not_utf_8_is_refused_at_its_place(
    query_string: str, parameter: str | None, position: int | None
) -> None:
    with pytest.raises(CallerError) as caught:
        read(f"quantity=1&from=0&{query_string}", LIMITS)
    assert (caught.value.parameter, caught.value.position) == (parameter, position)
