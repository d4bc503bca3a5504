"""A span for each request of the endpoint, where traces are on (`services.traces`)."""

from typing import Final

from aiohttp import web
from aiohttp.hdrs import METH_ALL
from aiohttp.typedefs import Handler
from structlog.contextvars import bind_contextvars

from api.access_log import PROBES
from api.metrics import route_of
from services import traces

# What OpenTelemetry calls a method that is none of HTTP's: it may be any text.
_OTHER: Final = "_OTHER"


@web.middleware
async def trace_requests(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Handle the request within its span; lines of the log name the trace."""
    route = route_of(request)
    if route in PROBES:
        return await handler(request)
    method = request.method if request.method in METH_ALL else _OTHER
    with traces.request(method, route, request.headers.get("traceparent")) as span:
        bind_contextvars(trace_id=f"{span.get_span_context().trace_id:032x}")
        response = await handler(request)
        traces.answered(span, response.status)
    return response
