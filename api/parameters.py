"""The parameters of `GET /v1/recordings`: from the query string to typed values.

Each parameter may stand once and must not be empty; an unknown one is an error. The first problem
found is raised as CallerError with the parameter's name, and for a syntax error its position.
"""

import re
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, Self, cast
from urllib.parse import parse_qsl

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationInfo, model_validator
from pydantic import ValidationError as PydanticError
from pydantic_core import ErrorDetails, PydanticCustomError

from api.query.nodes import Node, QuerySyntaxError
from api.query.parser import parse as parse_query
from services import instants, phones
from services.errors import CallerError
from services.instants import Instant
from services.schema import MAX_WINDOW

MAX_USERS: Final = 1000
MAX_ITEMS: Final = 100
DAY_MICROSECONDS: Final = instants.DAY * 1000
_GUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

Sentiment = Literal["POSITIVE", "NEGATIVE", "NEUTRAL", "ERROR", "UNKNOWN"]
SENTIMENTS: Final = ("POSITIVE", "NEGATIVE", "NEUTRAL", "ERROR", "UNKNOWN")


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


def _limits(info: ValidationInfo) -> Limits:
    return cast(dict[str, Limits], info.context)["limits"]


def _wrong(message: str, *, code: str = "invalid_parameter", **context: Any) -> PydanticCustomError:
    # Braces in the message would be read as fields of the context.
    return PydanticCustomError(code, "{message}", {"message": message, **context})


def _whole_number(value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", value):
        raise _wrong("must be a whole number that is not negative")
    return int(value)


def _quantity(value: str, info: ValidationInfo) -> int:
    number, highest = _whole_number(value), _limits(info).max_quantity
    if not 1 <= number <= highest:
        raise _wrong(f"must be between 1 and {highest}")
    return number


def _items(value: str, at_most: int) -> list[str]:
    items = value.split(",")
    if any(not item.strip() for item in items):
        raise _wrong("has an empty item in its list")
    if len(items) > at_most:
        raise _wrong(f"has {len(items)} items, at most {at_most} are allowed")
    return items


def _guids(value: str, at_most: int) -> tuple[str, ...]:
    guids = [item.lower() for item in _items(value, at_most)]
    for place, guid in enumerate(guids, start=1):
        if not _GUID.fullmatch(guid):
            raise _wrong(f"item {place} of its list is not a GUID")
    return tuple(dict.fromkeys(guids))


def _sentiments(value: str) -> tuple[str, ...]:
    names = [item.upper() for item in _items(value, MAX_ITEMS)]
    if any(name not in SENTIMENTS for name in names):
        raise _wrong(f"must be a comma list of {', '.join(SENTIMENTS)}")
    return tuple(dict.fromkeys(names))


def _users(value: str) -> Users:
    mode, colon, rest = value.partition(":")
    if colon and mode not in ("include", "exclude"):
        raise _wrong("must be include:, exclude: or nothing before a comma list of GUIDs")
    return Users(mode != "exclude", _guids(rest if colon else value, MAX_USERS))


def _tags(value: str) -> Tags:
    every = value.startswith("all:")
    return Tags(every, _guids(value.removeprefix("all:"), MAX_ITEMS))


def _numbers(value: str, info: ValidationInfo) -> tuple[dict[str, str], ...]:
    numbers = []
    for place, item in enumerate(_items(value, MAX_ITEMS), start=1):
        try:
            numbers.append(phones.asked_for(item, _limits(info).region))
        except ValueError as error:
            raise _wrong(f"item {place} of its list is {error}") from None
    return tuple(numbers)


def _instant(value: str) -> Instant:
    try:
        return instants.parse(value)
    except ValueError as error:
        raise _wrong(f"is {error}; for example 2021-04-25 or 2021-04-25T10:24:40Z") from None


def _query(value: str, *, sides: bool) -> Node:
    try:
        return parse_query(value, sides=sides)
    except QuerySyntaxError as error:
        raise _wrong(error.message, code="invalid_query", position=error.position) from None


def _words(value: str) -> Node:
    return _query(value, sides=True)


def _notes_words(value: str) -> Node:
    return _query(value, sides=False)


class ListParameters(BaseModel):
    """One request for a page of recordings."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    quantity: Annotated[int, PlainValidator(_quantity)]
    from_: Annotated[int, PlainValidator(_whole_number), Field(alias="from")]
    words: Annotated[Node | None, PlainValidator(_words)] = None
    noteswords: Annotated[Node | None, PlainValidator(_notes_words)] = None
    sentiment: Annotated[tuple[str, ...] | None, PlainValidator(_sentiments)] = None
    tel: Annotated[tuple[dict[str, str], ...] | None, PlainValidator(_numbers)] = None
    startdate: Annotated[Instant | None, PlainValidator(_instant)] = None
    enddate: Annotated[Instant | None, PlainValidator(_instant)] = None
    users: Annotated[Users | None, PlainValidator(_users)] = None
    tagids: Annotated[Tags | None, PlainValidator(_tags)] = None

    @property
    def end(self) -> Instant | None:
        """The exclusive end: a date without a time covers its whole day."""
        if self.enddate is None or not self.enddate.whole_day:
            return self.enddate
        return Instant(self.enddate.microseconds + DAY_MICROSECONDS, whole_day=False)

    @model_validator(mode="after")
    def _dates_in_order(self) -> Self:
        if self.end is None:
            return self
        if self.startdate is None:
            raise _wrong("is required when enddate is given", parameter="startdate")
        if self.end.microseconds <= self.startdate.microseconds:
            raise _wrong("must be after startdate", parameter="enddate")
        return self

    @model_validator(mode="after")
    def _inside_the_window(self) -> Self:
        if self.from_ + self.quantity > MAX_WINDOW:
            raise _wrong(
                f"and quantity together may reach {MAX_WINDOW}; to go on, walk with cursor",
                code="window_exceeded",
                parameter="from",
            )
        return self


def read(query_string: str, limits: Limits) -> ListParameters:
    """The parameters in this raw query string. Raises CallerError."""
    values = _single_values(query_string)
    try:
        return ListParameters.model_validate(values, context={"limits": limits})
    except PydanticError as error:
        raise _as_caller_error(error.errors(include_url=False, include_input=False)[0]) from None


def _single_values(query_string: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query_string, keep_blank_values=True, errors="strict")
    except ValueError:
        raise CallerError("invalid_parameter", "the query string is not UTF-8") from None
    values: dict[str, str] = {}
    for name, value in pairs:
        if name in values:
            raise CallerError("repeated_parameter", f"{name} may be given once", parameter=name)
        if not value.strip():
            raise CallerError("invalid_parameter", f"{name} must not be empty", parameter=name)
        values[name] = value
    return values


def _as_caller_error(first: ErrorDetails) -> CallerError:
    context = first.get("ctx", {})
    name = str(context.get("parameter") or first["loc"][0])
    match first["type"]:
        case "missing":
            return CallerError("missing_parameter", f"{name} is required", parameter=name)
        case "extra_forbidden":
            return CallerError("unknown_parameter", f"{name} is not a parameter", parameter=name)
        case "invalid_query":
            detail = f"{name}: {first['msg']} (at character {context['position']})"
            return CallerError(
                "invalid_query", detail, parameter=name, position=context["position"]
            )
        case code:
            return CallerError(code, f"{name} {first['msg']}", parameter=name)
