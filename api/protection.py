"""What keeps one caller from harming the others: bounds on requests and on searches at once."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler

from services.errors import BackendError, CallerError

# How the server reads requests. A thousand users in the query string, percent-encoded, fit into
# the first line, and a token with two hundred groups into a header. Handlers are cancelled when
# their client goes away, and with them their search.
SERVER_OPTIONS: Final[dict[str, Any]] = {
    "handler_cancellation": True,
    "max_line_size": 65_536,
    "max_field_size": 16_384,
    "max_headers": 100,
}
# Beyond this window a search makes Elasticsearch hold and sort up to 100,000 entries, some 25 MB
# each: few at once are bounded memory, see `api.search`.
DEEP_WINDOW: Final = 10_000
DEEP_AT_ONCE: Final = 2
PATIENCE_SECONDS: Final = 2.0


@dataclass(slots=True)
class Gate:
    """Lets in so many at once; others wait for a moment, then are turned away."""

    at_once: int
    patience: float = PATIENCE_SECONDS
    _places: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self._places = asyncio.Semaphore(self.at_once)

    async def __aenter__(self) -> None:
        """Take a place. Raises BackendError when none gets free in time."""
        if not self._places.locked():
            await self._places.acquire()  # at once
            return
        try:
            async with asyncio.timeout(self.patience):
                await self._places.acquire()
        except TimeoutError:
            raise BackendError("too many searches at once", retryable=True) from None

    async def __aexit__(self, *_: object) -> None:
        self._places.release()


@web.middleware
async def refuse_bodies(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Nothing here reads a body: one that is sent is refused unread."""
    if request.can_read_body:
        raise CallerError("unexpected_body", "the request must not have a body")
    return await handler(request)
