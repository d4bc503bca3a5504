"""The answers, as types: what `api.presenter` and `api.problems` build and OpenAPI documents.

Plain dictionaries in these forms are what is sent: mypy holds the builders to them, and nothing is
validated or copied at run time. A value that is not known is null, never missing; what is
`NotRequired` is there only when it was asked for.
"""

from typing import Annotated, Literal, NotRequired

from pydantic import Field, with_config
from typing_extensions import TypedDict

from api.parameters import Direction, Sentiment

Score = Annotated[float, Field(ge=-1, le=1)]
Text = Annotated[str, Field(description="HTML-escaped, what was found between <em> and </em>.")]
_exactly = with_config(extra="forbid")


@_exactly
class Party(TypedDict):
    """One end of the call."""

    fullName: str | None
    phoneNumber: str | None


@_exactly
class AnalysisResult(TypedDict):
    """What the analysis of the conversation found."""

    score: Score | None
    sentiment: Sentiment | None
    status: Annotated[int, Field(ge=0, le=5)] | None


@_exactly
class Tag(TypedDict):
    """A label of the recording."""

    id: str
    value: str | None


@_exactly
class Video(TypedDict):
    """The state of the video; `errorDetail` with the status ERROR only."""

    status: Literal["OK", "NONE", "ERROR"] | None
    errorDetail: NotRequired[str | None]


@_exactly
class Match(TypedDict):
    """One turn of the transcript or one note in which the query was found."""

    field: Literal["transcript", "notes"]
    speaker: Literal["agent", "customer", "other"] | None
    offset: Annotated[
        float | None, Field(description="Of the turn, in seconds from the beginning.")
    ]
    fragments: list[Text]


# `from` is no name that a field of a class could have.
Recording = TypedDict(
    "Recording",
    {
        "id": str,
        "ownerId": str,
        "direction": Direction | None,
        "from": Party,
        "to": Party,
        "date": Annotated[str | None, Field(json_schema_extra={"format": "date-time"})],
        "analysisResult": AnalysisResult | None,
        "channels": Annotated[int, Field(ge=1, le=2)] | None,
        "duration": Annotated[float | None, Field(description="In seconds.")],
        "tags": list[Tag],
        "video": Video | None,
        "hasNotes": bool,
        "matches": NotRequired[list[Match]],
    },
)
_exactly(Recording)


@_exactly
class Count(TypedDict):
    """How many of the recordings found have this value."""

    value: str
    count: int


@_exactly
class Facets(TypedDict):
    """Counts over all recordings found, at most 100 each: the most frequent first, days by date."""

    sentiment: NotRequired[list[Count]]
    tags: NotRequired[list[Count]]
    direction: NotRequired[list[Count]]
    users: NotRequired[list[Count]]
    day: NotRequired[list[Count]]


@_exactly
class RecordingList(TypedDict):
    """One page of the recordings found; `total` counts those of all pages, exactly."""

    total: int
    recordings: list[Recording]
    facets: NotRequired[Facets]
    nextCursor: NotRequired[str | None]


@_exactly
class Problem(TypedDict):
    """What is wrong with a request, or with the service (RFC 9457)."""

    type: str
    title: str
    status: Annotated[int, Field(ge=400, le=599)]
    detail: Annotated[str, Field(description="For people.")]
    code: Annotated[str, Field(description="For programs.", examples=["invalid_query"])]
    parameter: NotRequired[Annotated[str, Field(description="The parameter that is wrong.")]]
    position: NotRequired[
        Annotated[
            int, Field(ge=0, description="Where in the parameter's value, in characters from 0.")
        ]
    ]
    requestId: Annotated[str, Field(description="To name the request in a question about it.")]


@_exactly
class Health(TypedDict):
    """The state of the service."""

    status: Literal["ok", "ready"]
