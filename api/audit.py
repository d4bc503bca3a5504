"""The audit log, by setting: who searched, who looked at which recording, and how much was shown.

One line for each request of the endpoint, also for one that is refused, fails, or whose caller goes
away before its answer. It has the names of the parameters and never a value. Tenant and user are
the pseudonyms that every line has, the recording has one of its own: who has the key of the logs
(RECORDINGS_LOG_HASH_KEY) can find the lines of a known one.
"""

import asyncio
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

import structlog
from aiohttp import web
from aiohttp.hdrs import METH_OPTIONS
from aiohttp.typedefs import Handler

from api.metrics import route_of
from api.parameters import ListParameters
from services.acl import Role

ROLE: Final = web.RequestKey("role", Role)
# The status of a request whose caller did not wait, as proxies write it.
CALLER_WENT_AWAY: Final = 499
_PARAMETERS: Final = frozenset(
    field.alias or name for name, field in ListParameters.model_fields.items()
)
_WORDS: Final = frozenset({"words", "noteswords"})

log = structlog.get_logger("api")


@dataclass(frozen=True, slots=True)
class Shown:
    """How many recordings were found, and how many of them the answer has."""

    found: int
    returned: int


SHOWN: Final = web.RequestKey("shown", Shown)
RECORDING: Final = web.RequestKey("recording", str)


@web.middleware
async def audit(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Write the line when it is known how the request ends."""
    try:
        response = await handler(request)
    except asyncio.CancelledError:
        _write(request, CALLER_WENT_AWAY)
        raise
    _write(request, response.status)
    return response


def _write(request: web.Request, status: int) -> None:
    route = route_of(request)
    # A preflight (api.cors) has nobody behind it and shows nothing.
    if "/v1/recordings" not in route or request.method == METH_OPTIONS:
        return
    names = parameters_of(request.raw_path.partition("?")[2])
    shown = request.get(SHOWN)
    log.info(
        "search_audited",
        route=route,
        status=status,
        role=request.get(ROLE),
        recording=request.get(RECORDING),
        parameters=names,
        words=not _WORDS.isdisjoint(names),
        found=shown.found if shown else None,
        returned=shown.returned if shown else None,
    )


def parameters_of(query_string: str) -> list[str]:
    """The names of the parameters, each once; what is none of ours may be anything: "unknown"."""
    given = {name for name, _ in parse_qsl(query_string, keep_blank_values=True)}
    return sorted(given & _PARAMETERS) + (["unknown"] if given - _PARAMETERS else [])
