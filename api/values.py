"""One value of a parameter: from the text in the query string to a typed value.

Each function takes the text and raises PydanticCustomError with a message that goes on after the
parameter's name. What an item of a list may be is said by the caller; here is how it is read.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from math import inf
from typing import Any, Final, TypeVar, cast

from pydantic import ValidationInfo
from pydantic_core import PydanticCustomError

from api.query.nodes import Node, QuerySyntaxError
from api.query.parser import parse as parse_query
from services import instants, phones
from services.instants import Instant

MAX_USERS: Final = 1000
MAX_ITEMS: Final = 100
MAX_SECONDS: Final = 1e15
GUID: Final = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_GUID: Final = re.compile(GUID)
_NUMBER: Final = re.compile(r"[0-9]{1,16}(\.[0-9]{1,24})?([eE][+-]?[0-9]{1,3})?")
# A + that was not escaped arrives as a blank; in a time it can only stand before the zone.
_UNESCAPED_ZONE: Final = re.compile(r"(T[^ ]*) (?=\d)")
_BOOLEANS: Final = {"true": True, "false": False}
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Limits:
    """What depends on the deployment and the caller: the largest page, the tenant's region."""

    max_quantity: int
    region: str | None


@dataclass(frozen=True, slots=True)
class Users:
    """Owners to include or to exclude, as lower-case GUIDs."""

    include: bool
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tags:
    """Tags of which a recording has one, or all; lower-case GUIDs."""

    all: bool
    ids: tuple[str, ...]


def wrong(message: str, *, code: str = "invalid_parameter", **context: Any) -> PydanticCustomError:
    """The error to raise for a value; `parameter` in the context names another one to blame."""
    # Braces in the message would be read as fields of the context.
    return PydanticCustomError(code, "{message}", {"message": message, **context})


def whole_number(value: str) -> int:
    if not re.fullmatch("[0-9]{1,18}", value):
        raise wrong("must be a whole number that is not negative")
    return int(value)


def quantity(value: str, info: ValidationInfo) -> int:
    number, highest = whole_number(value), _limits(info).max_quantity
    if not 1 <= number <= highest:
        raise wrong(f"must be between 1 and {highest}")
    return number


def seconds(value: str) -> float:
    number = float(value) if _NUMBER.fullmatch(value) else inf
    if number > MAX_SECONDS:
        raise wrong("must be a number of seconds that is not negative, at most 1e15")
    return number


def boolean(value: str) -> bool:
    try:
        return _BOOLEANS[value.lower()]
    except KeyError:
        raise wrong("must be true or false") from None


def names(value: str, allowed: tuple[str, ...], *, any_case: bool) -> tuple[str, ...]:
    """A comma list of the names that are allowed, which are upper case where any case is."""
    found = [item.upper() if any_case else item for item in _items(value, MAX_ITEMS)]
    if any(name not in allowed for name in found):
        raise wrong(f"must be a comma list of {', '.join(allowed)}")
    return _unique(found)


def languages(value: str) -> tuple[str, ...]:
    codes = [item.lower() for item in _items(value, MAX_ITEMS)]
    for place, code in enumerate(codes, start=1):
        if not re.fullmatch("[a-z]{2}", code):
            raise wrong(f"must be a comma list of ISO 639-1 codes, and item {place} is not one")
    return _unique(codes)


def users(value: str) -> Users:
    mode, colon, rest = value.partition(":")
    if colon and mode not in ("include", "exclude"):
        raise wrong("must be include:, exclude: or nothing before a comma list of GUIDs")
    return Users(mode != "exclude", _guids(rest if colon else value, MAX_USERS))


def tags(value: str) -> Tags:
    every = value.startswith("all:")
    return Tags(every, _guids(value.removeprefix("all:"), MAX_ITEMS))


def telephones(value: str, info: ValidationInfo) -> tuple[dict[str, str], ...]:
    numbers = []
    for place, item in enumerate(_items(value, MAX_ITEMS), start=1):
        try:
            numbers.append(phones.asked_for(item, _limits(info).region))
        except ValueError as error:
            raise wrong(
                f"must be a comma list of telephone numbers; item {place} is {error}"
            ) from None
    return tuple(numbers)


def instant(value: str) -> Instant:
    try:
        return instants.parse(_UNESCAPED_ZONE.sub(r"\1+", value))
    except ValueError as error:
        raise wrong(f"is {error}; for example 2021-04-25 or 2021-04-25T10:24:40Z") from None


def words(value: str) -> Node:
    return _query(value, sides=True)


def notes_words(value: str) -> Node:
    return _query(value, sides=False)


def _query(value: str, *, sides: bool) -> Node:
    try:
        return parse_query(value, sides=sides)
    except QuerySyntaxError as error:
        raise wrong(error.message, code="invalid_query", position=error.position) from None


def _items(value: str, at_most: int) -> list[str]:
    items = value.split(",")
    if any(not item.strip() for item in items):
        raise wrong("has an empty item in its list")
    if len(items) > at_most:
        raise wrong(f"has {len(items)} items, at most {at_most} are allowed")
    return items


def _guids(value: str, at_most: int) -> tuple[str, ...]:
    guids = _items(value, at_most)
    for place, guid in enumerate(guids, start=1):
        if not _GUID.fullmatch(guid):
            raise wrong(f"must be a comma list of GUIDs, and item {place} is not one")
    return _unique(guid.lower() for guid in guids)


def _unique(items: Iterable[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(items))


def _limits(info: ValidationInfo) -> Limits:
    return cast(dict[str, Limits], info.context)["limits"]
