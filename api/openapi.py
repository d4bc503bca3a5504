"""The OpenAPI document: made from the models that validate and describe, never beside them.

Parameters come from `ListParameters`, answers from `api.models`; here is only what no model says:
which path answers what, and with which status.
"""

from importlib.metadata import version
from typing import Any, Final

from pydantic import TypeAdapter

from api.models import Health, Problem, Recording, RecordingList
from api.parameters import ListParameters
from api.search import MAX_ID_CHARACTERS
from services.settings import ApiSettings

Json = dict[str, Any]

_REFERENCE: Final = "#/components/schemas/{model}"
_REQUEST_ID: Final[Json] = {
    "description": "That of the request, where it is a plain token, else a new one.",
    "required": True,
    "schema": {"type": "string", "minLength": 1, "maxLength": 128},
}
_HEADERS: Final[dict[int, Json]] = {
    401: {"WWW-Authenticate": {"required": True, "schema": {"const": "Bearer", "type": "string"}}},
    503: {
        "Retry-After": {
            "description": "In seconds.",
            "required": True,
            "schema": {"type": "integer", "minimum": 1},
        }
    },
}
_PROBLEMS: Final = {
    400: "A parameter is missing, wrong, repeated or unknown, or the request has a body.",
    401: "The bearer token is missing or not good.",
    403: "The token does not allow this.",
    404: "There is no such recording in the caller's sight.",
    500: "Something went wrong here.",
    503: "Elasticsearch cannot answer in full at the moment.",
}


def document(api: ApiSettings) -> Json:
    """The document (OpenAPI 3.1) of the service with these settings."""
    base = f"{api.base_path}/v1/recordings"
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Recordings",
            "version": version("recording-search"),
            "description": "Search over call recordings and their notes.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": {
            base: {"get": _list_operation(api.max_quantity)},
            f"{base}/{{id}}": {"get": _one_operation()},
            "/healthz": {"get": _health_operation("The process answers.", "isAlive")},
            "/readyz": {"get": _health_operation("The index can be searched.", "isReady", 503)},
        },
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
            },
        },
    }


def _list_operation(max_quantity: int) -> Json:
    return {
        "operationId": "listRecordings",
        "summary": "Retrieves a paginated list of recordings for the currently authenticated user.",
        "parameters": _parameters(max_quantity),
        "responses": _responses("One page.", "RecordingList", 400, 401, 403, 500, 503),
    }


def _one_operation() -> Json:
    identity = {"type": "string", "minLength": 1, "maxLength": MAX_ID_CHARACTERS}
    return {
        "operationId": "getRecording",
        "summary": "Retrieves one recording.",
        "parameters": [{"name": "id", "in": "path", "required": True, "schema": identity}],
        "responses": _responses("The recording.", "Recording", 400, 401, 403, 404, 500, 503),
    }


def _health_operation(summary: str, name: str, *problems: int) -> Json:
    return {
        "operationId": name,
        "summary": summary,
        "security": [],
        "responses": _responses("Yes.", "Health", 400, 500, *problems),
    }


def _parameters(max_quantity: int) -> list[Json]:
    """Each field of the model as a parameter in the query string."""
    schema = ListParameters.model_json_schema()
    schema["properties"]["quantity"]["maximum"] = max_quantity
    required = schema["required"]
    return [
        _parameter(name, described, required=name in required)
        for name, described in schema["properties"].items()
    ]


def _parameter(name: str, described: Json, *, required: bool) -> Json:
    schema = {k: v for k, v in described.items() if k not in {"title", "description"}}
    if schema.get("default", ...) is None:
        del schema["default"]
    parameter = {
        "name": name,
        "in": "query",
        "required": required,
        "description": described["description"],
        "schema": schema,
    }
    if schema.get("type") == "array":
        parameter |= {"style": "form", "explode": False}  # one value with commas
    return parameter


def _responses(good: str, model: str, *problems: int) -> Json:
    return {
        "200": _response(200, good, "application/json", model),
        **{
            str(status): _response(
                status, _PROBLEMS[status], "application/problem+json", Problem.__name__
            )
            for status in sorted(problems)
        },
    }


def _response(status: int, description: str, media_type: str, model: str) -> Json:
    return {
        "description": description,
        "headers": {"X-Request-ID": _REQUEST_ID, **_HEADERS.get(status, {})},
        "content": {media_type: {"schema": {"$ref": _REFERENCE.format(model=model)}}},
    }


def _schemas() -> Json:
    """The models of the answers, by name, with all that they are made of."""
    models = [TypeAdapter(model) for model in (RecordingList, Recording, Problem, Health)]
    _, definitions = TypeAdapter.json_schemas(
        [(str(place), "serialization", model) for place, model in enumerate(models)],
        ref_template=_REFERENCE,
    )
    schemas: Json = definitions["$defs"]
    return schemas
