"""One kept connection of HTTP/1.1, asked one thing after the other.

It can do what a search needs and no more: no redirects, no cookies, no compression. A general
client spends more on a search than all else that the API does for it.
"""

import asyncio
from typing import Final, NamedTuple, cast

import httptools

_CLOSED: Final = "the connection was closed"


class Answer(NamedTuple):
    """A status and the whole body."""

    status: int
    body: bytes


class StaleConnectionError(ConnectionError):
    """The connection was closed while it was idle: what was asked has not begun to be answered."""


class HttpConnection(asyncio.Protocol):
    """A protocol of asyncio; `ask` is its way in."""

    def __init__(self) -> None:
        self.closed = False
        self._parser = httptools.HttpResponseParser(self)
        self._waiting: asyncio.Future[Answer] | None = None
        self._transport: asyncio.Transport | None = None
        self._parts: list[bytes] = []
        self._answered = 0
        self._begun = False

    async def ask(self, request: bytes) -> Answer:
        """Send this request and read its answer; one at a time.

        To cancel it closes the connection, so that the other side can stop too. Raises
        StaleConnectionError when to ask again on another connection is right, else
        ConnectionError.
        """
        if self.closed or self._transport is None:
            raise StaleConnectionError(_CLOSED)
        self._waiting = asyncio.get_running_loop().create_future()
        self._begun = False
        self._transport.write(request)
        try:
            return await self._waiting
        except BaseException:
            self.close()
            raise
        finally:
            self._waiting = None

    def close(self) -> None:
        """Close at once; whoever waits for an answer gets an error."""
        self.closed = True
        if self._transport:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Of the protocol: it can be asked now."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        """Of the protocol: a part of an answer."""
        self._begun = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._fail(ConnectionError("the answer is not HTTP"))
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Of the protocol: the other side closed, or we did."""
        self.closed = True
        kept = self._answered and not self._begun
        self._fail(StaleConnectionError(_CLOSED) if kept else ConnectionError(_CLOSED))

    def on_message_begin(self) -> None:
        """Of the parser: an answer begins. One that nobody asked for must never be the next's."""
        if self._waiting is None or self._waiting.done():
            self.close()

    def on_body(self, body: bytes) -> None:
        """Of the parser: a part of the body."""
        self._parts.append(body)

    def on_message_complete(self) -> None:
        """Of the parser: the answer is whole."""
        answer = Answer(self._parser.get_status_code(), b"".join(self._parts))
        self._parts.clear()
        self._answered += 1
        self.closed = self.closed or not self._parser.should_keep_alive()
        if self._waiting and not self._waiting.done():
            self._waiting.set_result(answer)

    def _fail(self, error: ConnectionError) -> None:
        if self._waiting and not self._waiting.done():
            self._waiting.set_exception(error)
