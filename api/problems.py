"""Errors as answers: `application/problem+json` (RFC 9457), and nothing of what is inside.

The one middleware that every request passes: it gives the request its id and turns whatever goes
wrong into a problem. What is not the caller's fault is logged by its kind, and told as
"unavailable" or "internal" only.
"""

import re
import secrets
from collections.abc import Mapping
from typing import Final

import orjson
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler
from aiohttp.web_protocol import RequestHandler
from structlog.contextvars import bind_contextvars

from api.models import Problem
from services.errors import BackendError, CallerError
from services.observability import place_of

REQUEST_ID: Final = web.RequestKey("request_id", str)
RETRY_AFTER_SECONDS: Final = 2
_PLAIN_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
# The statuses that are not 400, and how each kind of problem is called.
_STATUS: Final = {"unauthorized": 401, "forbidden": 403, "not_found": 404}
_TITLES: Final = {
    400: "Bad request",
    401: "Authentication is required",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    500: "Internal error",
    503: "Search is not available",
}

_DETAILS: Final = {404: "there is nothing at this path", 405: "this path is only read, with GET"}

log = structlog.get_logger("api")


def problem(
    request: web.BaseRequest,
    status: int,
    code: str,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    parameter: str | None = None,
    position: int | None = None,
) -> web.Response:
    """A problem's response; what is None is left out."""
    body: Problem = {
        "type": f"urn:recordings:problem:{code}",
        "title": _TITLES.get(status, "Error"),
        "status": status,
        "detail": detail,
        "code": code,
        "requestId": request[REQUEST_ID],
    }
    if parameter is not None:
        body["parameter"] = parameter
    if position is not None:
        body["position"] = position
    return web.Response(
        body=orjson.dumps(body),
        status=status,
        content_type="application/problem+json",
        headers=headers,
    )


@web.middleware
async def answer_every_request(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request its id and answer its errors as problems."""
    given = request.headers.get("X-Request-ID", "")
    request[REQUEST_ID] = given if _PLAIN_TOKEN.fullmatch(given) else secrets.token_hex(16)
    # Each request is a task of its own, so nothing has to be unbound.
    bind_contextvars(request_id=request[REQUEST_ID])
    try:
        response = await handler(request)
    except CallerError as error:
        response = _callers_fault(request, error)
    except web.HTTPException as error:
        response = _of_the_framework(request, error)
    except BackendError as error:
        response = _backends_fault(request, error)
    except Exception as error:  # noqa: BLE001 (the last line: the caller sees "internal")
        _log_failure(error)
        response = problem(request, 500, "internal", "the request could not be answered")
    response.headers["X-Request-ID"] = request[REQUEST_ID]
    return response


def answer_what_is_no_request(
    _: RequestHandler,
    request: web.BaseRequest,
    status: int = 500,
    exc: BaseException | None = None,
    message: str | None = None,  # noqa: ARG001 (it repeats what was sent)
) -> web.StreamResponse:
    """What the framework cannot read as HTTP never reaches a middleware; it ends here.

    Takes the place of `RequestHandler.handle_error`, and closes the connection as that does.
    """
    if request.writer.output_size > 0:
        raise ConnectionError("an answer has been begun")
    request[REQUEST_ID] = secrets.token_hex(16)
    bind_contextvars(request_id=request[REQUEST_ID])
    if status < 500:
        detail = "the request is not HTTP, or its first line or a header is too long"
        response = problem(request, status, "bad_request", detail)
    else:
        _log_failure(exc)
        response = problem(request, 500, "internal", "the request could not be answered")
    response.headers["X-Request-ID"] = request[REQUEST_ID]
    response.force_close()
    return response


def _log_failure(error: BaseException | None) -> None:
    place = place_of(error) if error else "unknown"
    kind = type(error).__name__
    log.error("request_failed", kind=kind, place=place)


def _callers_fault(request: web.Request, error: CallerError) -> web.Response:
    return problem(
        request,
        _STATUS.get(error.code, 400),
        error.code,
        error.detail,
        headers={"WWW-Authenticate": "Bearer"} if error.code == "unauthorized" else None,
        parameter=error.parameter,
        position=error.position,
    )


def _of_the_framework(request: web.Request, error: web.HTTPException) -> web.Response:
    """Unknown paths and methods, bodies that are too large."""
    code = re.sub(r"\W+", "_", error.reason.lower())
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
    detail = _DETAILS.get(error.status, error.reason)
    return problem(request, error.status, code, detail, headers=headers)


def _backends_fault(request: web.Request, error: BackendError) -> web.Response:
    log.error("backend_failed", reason=str(error))
    if not error.retryable:
        return problem(request, 500, "internal", "the request could not be answered")
    return problem(
        request,
        503,
        "unavailable",
        "the search cannot answer at the moment; try again",
        headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
    )
