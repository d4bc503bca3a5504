"""The parameters of `GET /v1/recordings`: what each is, and how they go together.

The model is the one description of the parameters: it validates them, and the OpenAPI document is
made from it. How they are read from a request, and how errors are told: `api.query_string`.
"""

from functools import partial
from typing import Annotated, Any, Final, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, WithJsonSchema, model_validator

from api import values
from api.query.nodes import Node
from api.query.parser import MAX_CHARACTERS
from api.values import GUID, MAX_ITEMS, MAX_SECONDS, MAX_USERS, Tags, Users, wrong
from services import instants
from services.instants import Instant
from services.schema import MAX_WINDOW

DAY_MICROSECONDS: Final = instants.DAY * 1000
MAX_CURSOR: Final = 4096

Sentiment = Literal["POSITIVE", "NEGATIVE", "NEUTRAL", "ERROR", "UNKNOWN"]
Direction = Literal["IN", "OUT", "UNKNOWN"]
Facet = Literal["sentiment", "tags", "direction", "users", "day"]
Sort = Literal["date", "-date", "duration", "-duration", "score", "-score", "relevance"]
NEWEST_FIRST: Final[Sort] = "-date"


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
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": MAX_SECONDS}),
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
