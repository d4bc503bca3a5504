"""Which web pages may call the endpoint from a browser (CORS): none, unless a setting names them.

A token goes with a request as a header and never as a cookie, so nothing is allowed "with
credentials". Headers are added when a response is sent, so that errors have them too.
"""

from dataclasses import dataclass
from typing import Final

from aiohttp import web

ALLOWED_HEADERS: Final = "Authorization, X-Request-ID, traceparent"
EXPOSED_HEADERS: Final = "X-Request-ID, Retry-After, WWW-Authenticate"
# How long (seconds) a browser need not ask again.
PREFLIGHT_LIFETIME: Final = 600


@dataclass(frozen=True, slots=True)
class Cors:
    """Answers the pages of these origins, each compared exactly. `endpoint` is its path."""

    origins: frozenset[str]
    endpoint: str

    def install(self, app: web.Application) -> None:
        """Add what browsers ask for before a request with a token, and the headers of responses."""
        app.on_response_prepare.append(self.add_headers)
        for path in (self.endpoint, f"{self.endpoint}/{{id:[^/]+}}"):
            app.router.add_options(path, self.preflight)

    async def preflight(self, request: web.Request) -> web.Response:
        """The answer to `OPTIONS` of an allowed page; of any other it is an unknown method."""
        if request.headers.get("Origin") not in self.origins:
            raise web.HTTPMethodNotAllowed(request.method, ["GET", "HEAD"])
        headers = {
            "Access-Control-Allow-Methods": "GET",
            "Access-Control-Allow-Headers": ALLOWED_HEADERS,
            "Access-Control-Max-Age": str(PREFLIGHT_LIFETIME),
        }
        return web.Response(status=204, headers=headers)

    async def add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        """`Vary` always: a cache must not give one page what was answered to another."""
        if request.path != self.endpoint and not request.path.startswith(f"{self.endpoint}/"):
            return
        response.headers["Vary"] = "Origin"
        if (origin := request.headers.get("Origin")) in self.origins:
            response.headers["Access-Control-Allow-Origin"] = str(origin)
            response.headers["Access-Control-Expose-Headers"] = EXPOSED_HEADERS
