"""Telephone numbers: what is stored, what people ask for, and that the two meet."""

import pytest

from services.phones import asked_for, keys_of


@pytest.mark.parametrize(
    ("stored", "region", "asked"),
    [
        pytest.param("+39 02 1234 5678", None, "+390212345678", id="spaces"),
        pytest.param("+390212345678", None, " 390212345678", id="plus lost in the query string"),
        pytest.param("+390212345678", None, "0039 02 1234 5678", id="00 for the plus"),
        pytest.param("02 1234 5678", "IT", "+390212345678", id="national number in its region"),
        pytest.param("+390212345678", "IT", "02-1234-5678", id="asked nationally"),
        pytest.param("+442079460958", None, "+44 (0)20 7946 0958", id="zero in parentheses"),
        pytest.param("+12025550143", None, "0143", id="last four digits"),
        pytest.param("+12025550143", None, "(202) 555-0143", id="last ten digits, punctuation"),
        pytest.param("(555) 010-99", None, "5550 1099", id="invalid number by its digits"),
        pytest.param("204", None, "204", id="internal extension"),
        pytest.param("+390212345678", None, "tel:+39-02-1234-5678", id="the scheme of a link"),
        pytest.param("tel:+390212345678", None, "+390212345678", id="stored with the scheme"),
        pytest.param("+390212345678", None, "\uff0b39 02 1234 5678", id="full-width plus"),
        pytest.param("+390212345678", None, "\u202a+390212345678\u202c", id="marks of direction"),
        pytest.param("\u200e+390212345678", None, "+390212345678", id="stored with a mark"),
        pytest.param("+390212345678", None, "02\u22121234\u22125678", id="minus for hyphens"),
        pytest.param("+390212345678", "IT", "02/12345678", id="a slash"),
        pytest.param("+390212345678", "IT", "02.1234.5678", id="points"),
        pytest.param("+390212345678", "IT", "02\u00a01234\u20115678", id="unbreakable"),
        pytest.param(
            "+390212345678",
            "IT",
            "\u0660\u0662\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668",
            id="other digits",
        ),
        pytest.param("204", None, "ext. 204", id="called an extension"),
        pytest.param("+1 202 555 0143 ext. 12", None, "x12", id="an extension in short"),
        pytest.param("+1 202 555 0143 ext. 12", None, "12", id="extension of a number"),
        pytest.param("+1 202 555 0143 ext. 12", None, "+12025550143", id="number of an extension"),
    ],
)
def test_found(stored: str, region: str | None, asked: str) -> None:
    assert _matches(stored, region, asked)


@pytest.mark.parametrize(
    ("stored", "region", "asked"),
    [
        pytest.param("+12025550143", None, "143", id="three digits are no end"),
        pytest.param("+12025550143", None, "2025", id="digits in the middle"),
        pytest.param("2041", None, "041", id="end of an extension"),
        pytest.param("+12025550143", None, "+442025550143", id="another country"),
    ],
)
def test_not_found(stored: str, region: str | None, asked: str) -> None:
    assert not _matches(stored, region, asked)


@pytest.mark.parametrize(
    "text", ["abc", "", " ", "+", "abc1234", "12;34", "1*2", "1800FLOWER", "-5"]
)
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a telephone number"):
        asked_for(text, None)


def _matches(stored: str, region: str | None, asked: str) -> bool:
    keys = keys_of(stored, region)
    match asked_for(asked, region):
        case {"e164": number}:
            return keys.e164 == number
        case {"end": digits}:
            return any(end.endswith(digits) for end in keys.ends)
        case {"extension": digits}:
            return keys.extension == digits
    raise AssertionError
