"""The access log, by setting: a line for each request, with its route and never with its path.

Failures (5xx) have a line of their own whether it is on or not (`api.problems`).
"""

import time
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from api.metrics import route_of

# They come every few seconds, and say something only when they fail.
PROBES: Final = frozenset({"/healthz", "/readyz", "/metrics"})

log = structlog.get_logger("api")


@web.middleware
async def log_access(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Write the line when the request is answered; `seconds` is what that took."""
    began = time.perf_counter()
    response = await handler(request)
    route = route_of(request)
    if route not in PROBES or response.status >= 400:
        seconds = round(time.perf_counter() - began, 4)
        log.info("request_answered", route=route, status=response.status, seconds=seconds)
    return response
