"""Telephone numbers: the keys by which a number is found, and what a person may ask for.

Both sides read a number here, so that what one writes the other finds. The rule (contract): a
number that is valid with its country code, or in the tenant's default region, is compared as
E.164; any other by its last digits, four or more; a shorter one only as a whole extension.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat

SHORTEST_SUFFIX = 4
# What comes along when a number is copied: marks that are not seen, a link's scheme (RFC 3966).
_NOISE = re.compile(
    r"^\s*tel:|[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]", re.IGNORECASE
)
_SIGNS = str.maketrans({"\uff0b": "+", "\u2212": "-"})
_EXTENSION = re.compile(
    r"(?:;ext=|\b(?:ext|extn|x|int)\b\.?|#|(?<![a-z])x)\s*(\d{1,7})\s*#?$", re.IGNORECASE
)
_WRITTEN = re.compile(r"[+(\[]*\d[\d\s()\[\]./\u2010-\u2015-]*")


@dataclass(frozen=True, slots=True)
class PhoneKeys:
    """What one number is found by: its E.164 form, its ends (digits), its extension."""

    e164: str | None
    ends: tuple[str, ...]
    extension: str | None


@lru_cache(maxsize=16_384)
def keys_of(number: str, region: str | None) -> PhoneKeys:
    """The keys of a stored number; `region` (ISO 3166) is where a national number belongs."""
    number = _tidied(number)
    e164 = _e164(number, region)
    main, extension = _split_extension(number)
    digits = phonenumbers.normalize_digits_only(main)
    if not e164 and extension is None and 0 < len(digits) < SHORTEST_SUFFIX:
        extension = digits
    ends = {digits, phonenumbers.normalize_digits_only(number), (e164 or "").lstrip("+")}
    return PhoneKeys(e164, tuple(sorted(end for end in ends if end)), extension)


def asked_for(text: str, region: str | None) -> dict[str, str]:
    """What a caller means by `text`: one of {"e164"}, {"end"}, {"extension"}.

    A leading blank is a plus sign that was not escaped. Raises ValueError with a message for the
    caller.
    """
    number = _tidied(text).strip()
    e164 = (_e164("+" + number, None) if text[:1].isspace() else None) or _e164(number, region)
    if e164:
        return {"e164": e164}
    main, extension = _split_extension(number)
    digits = phonenumbers.normalize_digits_only(main)
    only_extension = extension and not main.strip()
    if not only_extension and not _WRITTEN.fullmatch(main):
        raise ValueError("not a telephone number")
    if len(digits) >= SHORTEST_SUFFIX:
        return {"end": digits}
    return {"extension": digits or extension or ""}


def _tidied(number: str) -> str:
    return _NOISE.sub("", number).translate(_SIGNS)


def _split_extension(number: str) -> tuple[str, str | None]:
    found = _EXTENSION.search(number)
    return (number[: found.start()], found[1]) if found else (number, None)


def _e164(number: str, region: str | None) -> str | None:
    if not number[:1].isdigit() and number[:1] not in "+(":
        return None  # phonenumbers would skip words before the first digit
    for attempt in (number, "+" + number[2:]) if number.startswith("00") else (number,):
        try:
            parsed = phonenumbers.parse(attempt, region)
        except NumberParseException:
            continue
        if phonenumbers.is_valid_number(parsed):
            return phonenumbers.format_number(parsed, PhoneNumberFormat.E164)
    return None
