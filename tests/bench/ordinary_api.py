"""The ordinary way to write this API, to compare with: FastAPI with pydantic response models.

`uvicorn tests.bench.ordinary_api:app`. Parameters, filters and the access rule are those of the
published endpoint; the query language and the rule itself are the service's, so that both ask
Elasticsearch for the same and only what lies round it differs. What it has not: cursors, facets,
highlights, the other parameters, problems as answers, request ids, measures, bounds.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, timedelta
from typing import Annotated, Any, Literal, cast

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from elasticsearch import AsyncElasticsearch
from fastapi import Depends, FastAPI, HTTPException, Query, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from api.query.compiler import compile_query
from api.query.parser import parse
from services import phones
from services.acl import Principal, Role, may_ask_for, visible_to
from services.documents import DISPLAY_FIELDS
from services.indices import IndexNames
from services.schema import NOTES, SIDES
from services.settings import AuthSettings, ElasticsearchSettings, IndexSettings, load

AUTH = load(AuthSettings)
KEY = cast(EllipticCurvePublicKey, load_pem_public_key((AUTH.public_key or "").encode()))
NAMES = IndexNames(load(IndexSettings).prefix)
Clause = dict[str, Any]


class Model(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True)


class Party(Model):
    full_name: str | None
    phone_number: str | None


class AnalysisResult(Model):
    score: float | None
    sentiment: Literal["POSITIVE", "NEGATIVE", "NEUTRAL", "ERROR", "UNKNOWN"] | None
    status: int | None


class Tag(Model):
    id: str
    value: str | None


class Video(Model):
    status: Literal["OK", "NONE"] | None


class FailedVideo(Model):
    status: Literal["ERROR"]
    error_detail: str | None


class Recording(Model):
    id: str
    owner_id: str
    direction: Literal["IN", "OUT", "UNKNOWN"] | None
    from_: Party = Field(alias="from")
    to: Party
    date: str | None
    analysis_result: AnalysisResult | None
    channels: int | None
    duration: float | None
    tags: list[Tag]
    video: Video | FailedVideo | None
    has_notes: bool


class RecordingList(Model):
    total: int
    recordings: list[Recording]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with AsyncElasticsearch(str(load(ElasticsearchSettings).url).rstrip("/")) as client:
        app.state.client = client
        yield


app = FastAPI(lifespan=lifespan)


async def caller(
    credentials: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())],
) -> Principal:
    try:
        claims = jwt.decode(
            credentials.credentials,
            KEY,
            algorithms=["ES256"],
            issuer=AUTH.issuer,
            audience=AUTH.audience,
        )
    except jwt.PyJWTError:
        raise HTTPException(401, "the token is not valid") from None
    groups = tuple(claims.get("groups", ()))
    return Principal(claims["tenant"], claims["sub"], Role(claims["role"]), groups)


async def database(request: Request) -> AsyncElasticsearch:
    client: AsyncElasticsearch = request.app.state.client
    return client


class Filters(BaseModel):
    """The parameters of the published endpoint."""

    quantity: Annotated[int, Field(ge=1, le=1000)]
    from_: Annotated[int, Field(ge=0, alias="from")]
    words: str | None = None
    noteswords: str | None = None
    sentiment: str | None = None
    tel: str | None = None
    startdate: date | None = None
    enddate: date | None = None
    users: str | None = None
    tagids: str | None = None


@app.get("/v1/recordings")
async def list_recordings(
    asked: Annotated[Filters, Query()],
    principal: Annotated[Principal, Depends(caller)],
    client: Annotated[AsyncElasticsearch, Depends(database)],
) -> RecordingList:
    answer = await client.search(
        index=NAMES.recordings,
        query={"bool": {"filter": visible_to(principal, NAMES.groups) + filters(asked, principal)}},
        sort=[{"date": {"order": "desc", "missing": "_last"}}, {"recordingId": "desc"}],
        from_=asked.from_,
        size=asked.quantity,
        track_total_hits=True,
        source_includes=list(DISPLAY_FIELDS),
    )
    hits = answer["hits"]
    return RecordingList(
        total=hits["total"]["value"],
        recordings=[
            Recording(id=hit["_source"]["recordingId"], **hit["_source"]) for hit in hits["hits"]
        ],
    )


def filters(asked: Filters, principal: Principal) -> list[Clause]:
    clauses: list[Clause] = []
    if asked.words:
        clauses.append(compile_query(parse(asked.words, sides=True), SIDES))
    if asked.noteswords:
        clauses.append(compile_query(parse(asked.noteswords, sides=False), (NOTES,)))
    if asked.sentiment:
        clauses.append({"terms": {"analysisResult.sentiment": asked.sentiment.upper().split(",")}})
    if asked.tel:
        clauses.append({"bool": {"should": [number(one) for one in asked.tel.split(",")]}})
    if asked.startdate:
        clauses.append(dates(asked.startdate, asked.enddate))
    if asked.users:
        clauses.append(owners(asked.users, principal))
    if asked.tagids:
        clauses.append({"terms": {"tags.id": asked.tagids.split(",")}})
    return clauses


def number(text: str) -> Clause:
    match phones.asked_for(text, None):
        case {"e164": e164}:
            return {"term": {"phones.e164": e164}}
        case {"end": digits}:
            return {"prefix": {"phones.reversed": digits[::-1]}}
        case other:
            return {"term": {"phones.extension": other["extension"]}}


def dates(start: date, end: date | None) -> Clause:
    bounds = {"gte": start.isoformat()}
    if end:
        bounds["lt"] = (end + timedelta(days=1)).isoformat()
    return {"range": {"date": bounds}}


def owners(text: str, principal: Principal) -> Clause:
    mode, _, ids = text.rpartition(":")
    listed = {"terms": {"ownerId": ids.split(",")}}
    if mode == "exclude":
        return {"bool": {"must_not": [listed]}}
    if not all(may_ask_for(principal, one) for one in ids.split(",")):
        raise HTTPException(403, "users names somebody whom you may not see")
    return listed
