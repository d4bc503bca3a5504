"""Change events as the product sends them: validation, and nothing else.

What passes here can be indexed. Names that we do not know are ignored, so that the product may
add some; values that we cannot keep are refused with the name of the field, never with its value.
"""

import unicodedata
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, NotRequired

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    TypeAdapter,
)
from pydantic import ValidationError as PydanticError
from pydantic.alias_generators import to_camel
from typing_extensions import TypedDict

from services import instants


class InvalidEventError(Exception):
    """The event can never be applied; the text says which field is wrong, without its value."""


def _milliseconds(value: object) -> int:
    if not isinstance(value, str):
        raise ValueError("must be ISO 8601 text")  # noqa: TRY004 (pydantic wants it)
    return instants.parse(value).floor_ms


def _composed(value: str) -> str:
    """One form for each letter (NFC): a query is composed as well."""
    if value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("half of a surrogate pair is not text") from None
    return unicodedata.normalize("NFC", value)


def _plain(number: float) -> float | int:
    return int(number) if number.is_integer() else number


def _primary_language(tag: str) -> str:
    """`en` of `en-US` (BCP 47)."""
    return tag.replace("_", "-").partition("-")[0].lower()


Id = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Guid = Annotated[
    str, StringConstraints(pattern=r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")
]
Version = Annotated[int, Field(ge=0, lt=2**63)]
Time = Annotated[
    int,
    BeforeValidator(_milliseconds),
    Field(ge=instants.EARLIEST_MS, le=instants.LATEST_MS),
    PlainSerializer(instants.render),
]
Text = Annotated[str, AfterValidator(_composed)]
Seconds = Annotated[float, Field(ge=0), AfterValidator(_plain)]
Score = Annotated[float, Field(ge=-1, le=1), AfterValidator(_plain)]
Language = Annotated[Text, AfterValidator(_primary_language)]


_STRICT: Final = ConfigDict(
    strict=True, frozen=True, alias_generator=to_camel, allow_inf_nan=False, extra="ignore"
)


class _Part(BaseModel):
    model_config = _STRICT


class Party(_Part):
    full_name: Text | None = None
    phone_number: Text | None = None


class AnalysisResult(_Part):
    score: Score | None = None
    sentiment: Literal["POSITIVE", "NEGATIVE", "NEUTRAL", "ERROR", "UNKNOWN"] | None = None
    status: Annotated[int, Field(ge=0, le=5)] | None = None


class Tag(_Part):
    id: Guid
    value: Text | None = None


class Video(_Part):
    status: Literal["OK", "NONE", "ERROR"] | None = None
    error_detail: Text | None = None


class Turn(TypedDict):
    """A dictionary, because a recording has many turns and a model of each costs most of all."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]  # pydantic's way to say it
    speaker: Literal["agent", "customer", "other"]
    offset: NotRequired[Seconds | None]
    text: Text


def _with_offsets(turns: list[Turn]) -> list[Turn]:
    for turn in turns:
        turn.setdefault("offset", None)
    return turns


class Recording(_Part):
    """A recording's content: the fields of the answer, its language and its transcript."""

    owner_id: Guid
    direction: Literal["IN", "OUT", "UNKNOWN"] | None = None
    from_: Annotated[Party | None, Field(alias="from")] = None
    to: Party | None = None
    date: Time | None = None
    duration: Seconds | None = None
    channels: Annotated[int, Field(ge=1, le=2)] | None = None
    analysis_result: AnalysisResult | None = None
    tags: list[Tag] = []
    video: Video | None = None
    language: Language | None = None
    transcript: Annotated[list[Turn], AfterValidator(_with_offsets)] = []


class Note(_Part):
    author_id: Guid | None = None
    text: Text
    created_at: Time | None = None


class Group(_Part):
    """A group that supervisors may have: the users whose recordings they see."""

    members: list[Guid]


class _Envelope(_Part):
    tenant_id: Id
    version: Version
    occurred_at: Time


class _OfRecording(_Envelope):
    recording_id: Id


class _OfGroup(_Envelope):
    group_id: Id


class RecordingSaved(_OfRecording):
    type: Literal["recording.saved"]
    recording: Recording


class RecordingDeleted(_OfRecording):
    type: Literal["recording.deleted"]


class NoteSaved(_OfRecording):
    type: Literal["note.saved"]
    note_id: Id
    note: Note


class NoteDeleted(_OfRecording):
    type: Literal["note.deleted"]
    note_id: Id


class GroupSaved(_OfGroup):
    type: Literal["group.saved"]
    group: Group


class GroupDeleted(_OfGroup):
    type: Literal["group.deleted"]


RecordingEvent = RecordingSaved | RecordingDeleted | NoteSaved | NoteDeleted
GroupEvent = GroupSaved | GroupDeleted
Event = RecordingEvent | GroupEvent

_EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="type")])


def parse(raw: object) -> Event:
    """The event in this JSON value. Raises InvalidEventError."""
    if not isinstance(raw, Mapping):
        raise InvalidEventError("an event must be a JSON object")
    try:
        return _EVENT.validate_python(raw)
    except PydanticError as error:
        raise InvalidEventError(_reason(error)) from None


def _reason(error: PydanticError) -> str:
    """The first problem as `path: what was expected`."""
    first: Any = error.errors(include_input=False, include_url=False, include_context=False)[0]
    path = ".".join(str(part) for part in first["loc"][1:])
    return f"{path}: {first['msg']}" if path else "type: not a known event type"
