"""The parameters of `GET /v1/recordings`: what each is, and how they go together.

The model is the one description of the parameters: it validates them, and the OpenAPI document is
made from it. Each parameter may stand once and must not be empty (an empty `cursor` starts a walk);
an unknown one is an error. The first problem found is raised as CallerError with the parameter's
name, and for a syntax error its position.
"""

import re
from functools import partial
from typing import Annotated, Any, Final, Literal, Self, get_args
from urllib.parse import parse_qsl

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, WithJsonSchema, model_validator
from pydantic import ValidationError as PydanticError
from pydantic_core import ErrorDetails

from api import values
from api.query.nodes import Node
from api.query.parser import MAX_CHARACTERS
from api.values import GUID, MAX_ITEMS, MAX_USERS, Limits, Tags, Users, wrong
from services import instants
from services.errors import CallerError
from services.instants import Instant
from services.schema import MAX_WINDOW

DAY_MICROSECONDS: Final = instants.DAY * 1000
MAX_CURSOR: Final = 4096

Sentiment = Literal["POSITIVE", "NEGATIVE", "NEUTRAL", "ERROR", "UNKNOWN"]
Direction = Literal["IN", "OUT", "UNKNOWN"]
Facet = Literal["sentiment", "tags", "direction", "users", "day"]
Sort = Literal["date", "-date", "duration", "-duration", "score", "-score", "relevance"]
NEWEST_FIRST: Final[Sort] = "-date"
_NOT_UTF_8: Final = re.compile("[\ud800-\udfff]")


def _comma_list(items: dict[str, Any], at_most: int = MAX_ITEMS) -> WithJsonSchema:
    """A list in one value: in OpenAPI an array of style `form` that is not exploded."""
    return WithJsonSchema({"type": "array", "items": items, "minItems": 1, "maxItems": at_most})


def _names(kind: Any, *, any_case: bool) -> tuple[PlainValidator, WithJsonSchema]:
    allowed = get_args(kind)
    read = partial(values.names, allowed=allowed, any_case=any_case)
    return PlainValidator(read), _comma_list({"type": "string", "enum": list(allowed)})


def _guids(prefixes: str, at_most: int) -> WithJsonSchema:
    pattern = f"^({prefixes})?{GUID}(,{GUID}){{0,{at_most - 1}}}$"
    return WithJsonSchema({"type": "string", "pattern": pattern})


_QUERY_TEXT: Final = WithJsonSchema({"type": "string", "minLength": 1, "maxLength": MAX_CHARACTERS})
_WHOLE: Final = {"type": "integer", "minimum": 0}
_BOOLEAN: Final = (PlainValidator(values.boolean), WithJsonSchema({"type": "boolean"}))
_SECONDS: Final = (
    PlainValidator(values.seconds),
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": 1e15}),
)
_INSTANT: Final = (
    PlainValidator(values.instant),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "format": kind} for kind in ("date", "date-time")]}
    ),
)


class ListParameters(BaseModel):
    """One request for a page of recordings."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    quantity: Annotated[
        int,
        PlainValidator(values.quantity),
        WithJsonSchema(_WHOLE | {"minimum": 1}),
        Field(description="Number of recordings to retrieve.", examples=[10]),
    ]
    from_: Annotated[
        int,
        PlainValidator(values.whole_number),
        WithJsonSchema(_WHOLE | {"maximum": MAX_WINDOW - 1}),
        Field(
            alias="from",
            description="Zero-based index of the first recording. With `quantity` it may reach "
            f"{MAX_WINDOW}; to go on, or to walk over everything, use `cursor`.",
            examples=[0],
        ),
    ]
    words: Annotated[
        Node | None,
        PlainValidator(values.words),
        _QUERY_TEXT,
        Field(
            description="Full-text query over the transcript: words (any inflection of the "
            'recording\'s language), `prefix*`, `"exact phrase"`, `"phrase with gaps"~3`, `AND` '
            "(or a blank), `OR`, `NOT`, parentheses, `agent:` and `customer:` before a word or a "
            "phrase.",
            examples=['refund* AND NOT agent:"credit card"'],
        ),
    ] = None
    noteswords: Annotated[
        Node | None,
        PlainValidator(values.notes_words),
        _QUERY_TEXT,
        Field(
            description="The same query language over the notes, without sides.",
            examples=["callback OR complaint"],
        ),
    ] = None
    sentiment: Annotated[
        tuple[str, ...] | None,
        *_names(Sentiment, any_case=True),
        Field(
            description="Any of these sentiments; upper or lower case.",
            examples=[["POSITIVE", "NEUTRAL"]],
        ),
    ] = None
    tel: Annotated[
        tuple[dict[str, str], ...] | None,
        PlainValidator(values.telephones),
        _comma_list({"type": "string", "pattern": r"^[+(\[]*[0-9][0-9 ()\[\]./-]*$"}),
        Field(
            description="Any of these telephone numbers, of either party, written in any usual "
            "way. A number valid with its country code is compared as a whole, any other of four "
            "or more digits by the end, a shorter one as an extension.",
            examples=[["+390212345678"]],
        ),
    ] = None
    startdate: Annotated[
        Instant | None,
        *_INSTANT,
        Field(
            description="The earliest date, inclusive; ISO 8601, UTC where no zone is given. "
            "Required with `enddate`.",
            examples=["2021-04-25", "2021-04-25T10:24:40Z"],
        ),
    ] = None
    enddate: Annotated[
        Instant | None,
        *_INSTANT,
        Field(
            description="The end of the dates, exclusive; a date without a time covers its whole "
            "day. Must be after `startdate`.",
            examples=["2021-04-25", "2021-04-26T00:00:00Z"],
        ),
    ] = None
    users: Annotated[
        Users | None,
        PlainValidator(values.users),
        _guids("include:|exclude:", MAX_USERS),
        Field(
            description="Owners of the recordings, `include:` (or nothing) or `exclude:` before a "
            f"comma list of at most {MAX_USERS} GUIDs.",
            examples=["include:d42acd23-bd1f-4cc4-9ebc-f521143693ae"],
        ),
    ] = None
    tagids: Annotated[
        Tags | None,
        PlainValidator(values.tags),
        _guids("all:", MAX_ITEMS),
        Field(
            description="Comma list of tag GUIDs; recordings with any of them, or with every one "
            "of them after `all:`.",
            examples=["487bd96c-5045-4882-9cbc-40be26493db3"],
        ),
    ] = None
    direction: Annotated[
        tuple[str, ...] | None,
        *_names(Direction, any_case=True),
        Field(description="Any of these directions; upper or lower case.", examples=[["IN"]]),
    ] = None
    language: Annotated[
        tuple[str, ...] | None,
        PlainValidator(values.languages),
        _comma_list({"type": "string", "pattern": "^[A-Za-z]{2}$"}),
        Field(description="Any of these languages (ISO 639-1).", examples=[["en", "it"]]),
    ] = None
    minduration: Annotated[
        float | None,
        *_SECONDS,
        Field(description="The shortest duration in seconds, inclusive.", examples=[30]),
    ] = None
    maxduration: Annotated[
        float | None,
        *_SECONDS,
        Field(description="The longest duration in seconds, inclusive.", examples=[600]),
    ] = None
    hasnotes: Annotated[
        bool | None,
        *_BOOLEAN,
        Field(description="Only recordings with notes, or only those without.", examples=[True]),
    ] = None
    sort: Annotated[
        Sort,
        Field(
            description="The order; `-` is descending. Ties are broken by the recording's id in "
            "the same direction, what has no value comes last. `relevance` is the best match first "
            "(without a query: newest first).",
            examples=["-date"],
        ),
    ] = NEWEST_FIRST
    highlight: Annotated[
        bool,
        *_BOOLEAN,
        Field(description="Add `matches` to each recording: where the words were found."),
    ] = False
    facets: Annotated[
        tuple[Facet, ...] | None,
        *_names(Facet, any_case=False),
        Field(
            description="Add counts by these properties over all recordings that are found.",
            examples=[["sentiment", "day"]],
        ),
    ] = None
    cursor: Annotated[
        str | None,
        Field(
            max_length=MAX_CURSOR,
            description="Empty to start a walk over everything, then the `nextCursor` of the "
            "answer before; the other parameters stay the same and `from` is 0.",
        ),
    ] = None

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
            raise wrong("is required when enddate is given", parameter="startdate")
        if self.end.microseconds <= self.startdate.microseconds:
            raise wrong("must be after startdate", parameter="enddate")
        return self

    @model_validator(mode="after")
    def _durations_in_order(self) -> Self:
        lowest, highest = self.minduration, self.maxduration
        if lowest is not None and highest is not None and lowest > highest:
            raise wrong("must not be above maxduration", parameter="minduration")
        return self

    @model_validator(mode="after")
    def _inside_the_window(self) -> Self:
        if self.cursor is not None and self.from_ > 0:
            raise wrong("must be 0 when cursor is given", parameter="from")
        if self.from_ + self.quantity > MAX_WINDOW:
            raise wrong(
                f"and quantity together may reach {MAX_WINDOW}; to go on, walk with cursor",
                code="window_exceeded",
                parameter="from",
            )
        return self


def read(query_string: str, limits: Limits) -> ListParameters:
    """The parameters in this raw query string. Raises CallerError."""
    given = _single_values(query_string)
    try:
        return ListParameters.model_validate(given, context={"limits": limits})
    except PydanticError as error:
        raise _as_caller_error(error.errors(include_url=False, include_input=False)[0]) from None


def refuse_all(query_string: str) -> None:
    """Where no parameter is known. Raises CallerError for the first."""
    for name in _single_values(query_string):
        raise CallerError("unknown_parameter", f"{name} is not a parameter here", parameter=name)


def _single_values(query_string: str) -> dict[str, str]:
    given: dict[str, str] = {}
    # Bytes that are not UTF-8 become halves of surrogate pairs, which no UTF-8 has.
    for name, value in parse_qsl(query_string, keep_blank_values=True, errors="surrogateescape"):
        if _NOT_UTF_8.search(name):
            raise CallerError("invalid_parameter", "the query string is not UTF-8")
        if name in given:
            raise CallerError("repeated_parameter", f"{name} may be given once", parameter=name)
        _refuse_what_is_no_value(name, value)
        given[name] = value
    return given


def _refuse_what_is_no_value(name: str, value: str) -> None:
    if broken := _NOT_UTF_8.search(value):
        raise CallerError(
            "invalid_parameter",
            f"{name} is not UTF-8 (at character {broken.start()})",
            parameter=name,
            position=broken.start(),
        )
    if not value.strip() and not (name == "cursor" and value == ""):
        # Of a query an empty one is a matter of syntax, which has a place.
        position = 0 if name in ("words", "noteswords") else None
        detail = f"{name} must not be empty"
        raise CallerError("invalid_parameter", detail, parameter=name, position=position)


def _as_caller_error(first: ErrorDetails) -> CallerError:
    context = first.get("ctx", {})
    name = str(context.get("parameter") or first["loc"][0])
    match first["type"]:
        case "missing":
            return CallerError("missing_parameter", f"{name} is required", parameter=name)
        case "extra_forbidden":
            return CallerError("unknown_parameter", f"{name} is not a parameter", parameter=name)
        case "literal_error":
            detail = f"{name} must be one of {', '.join(get_args(Sort))}"
            return CallerError("invalid_parameter", detail, parameter=name)
        case "string_too_long":
            return CallerError("invalid_parameter", f"{name} is too long", parameter=name)
        case "invalid_query":
            detail = f"{name}: {first['msg']} (at character {context['position']})"
            return CallerError(
                "invalid_query", detail, parameter=name, position=context["position"]
            )
        case code:
            return CallerError(code, f"{name} {first['msg']}", parameter=name)
