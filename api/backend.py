"""Elasticsearch for the API: questions and answers in JSON over connections that are kept.

The API asks three things (`_search`, `_mget`, and whether it can search), all of which only read,
so a connection that was closed while it was idle is no error: the question is asked again on
another one. Nothing else is asked twice; the caller is waiting, and knows whether to try again.
"""

import asyncio
import ssl
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Self
from urllib.parse import SplitResult, unquote, urlsplit

import orjson

from api.http_connection import Answer, HttpConnection, StaleConnectionError
from services.errors import BackendError
from services.es_client import failure, untrusted
from services.es_credentials import Credentials
from services.es_metrics import measured, outcome_of
from services.settings import ElasticsearchSettings


@dataclass(slots=True)
class Backend:
    """One address of Elasticsearch. As many connections are kept as were in use at once.

    A key that is refused and an authority that is not the right one may have been changed
    meanwhile: they are read again, and tried once more (`services.es_credentials`).
    """

    host: str
    port: int
    path: str
    head: str
    credentials: Credentials
    tls: ssl.SSLContext | None
    _idle: list[HttpConnection] = field(default_factory=list)

    @classmethod
    def of(cls, settings: ElasticsearchSettings) -> Self:
        """The server of the settings; nothing is connected yet. Raises SettingsError."""
        address, credentials = urlsplit(str(settings.url)), Credentials(settings)
        head = f"Host: {address.netloc.rpartition('@')[2]}\r\nContent-Type: application/json\r\n"
        if address.username is not None and credentials.key is None:
            head += f"Authorization: {_basic(address)}\r\n"
        secure = address.scheme == "https"
        tls = credentials.ssl_context or (ssl.create_default_context() if secure else None)
        port = address.port or (443 if secure else 80)
        path = address.path.rstrip("/")
        return cls(address.hostname or "", port, path, head, credentials, tls)

    async def ask(self, path: str, question: Mapping[str, Any], at_most: float) -> Any:
        """POST this question and return the answer, both JSON, in `at_most` seconds.

        Raises BackendError. Who cancels it closes the connection, and by that Elasticsearch
        cancels the search.
        """
        body, key = orjson.dumps(question), self.credentials.key
        answer = await self._send(path, body, at_most)
        if answer.status == HTTPStatus.UNAUTHORIZED and self.credentials.renew(key):
            answer = await self._send(path, body, at_most)
        return _read(answer)

    def close(self) -> None:
        """Close what is kept."""
        while self._idle:
            self._idle.pop().close()

    async def _send(self, path: str, body: bytes, at_most: float) -> Answer:
        try:
            with measured(path) as call:
                async with asyncio.timeout(at_most):
                    answer = await self._exchange(self._request(path, body))
                call.outcome = outcome_of(answer.status)
        except ssl.SSLError as error:
            raise untrusted() from error
        except OSError as error:  # also of the timeout
            raise BackendError(f"Elasticsearch: {type(error).__name__}", retryable=True) from error
        return answer

    def _request(self, path: str, body: bytes) -> bytes:
        headers = "".join(
            f"{name}: {value}\r\n" for name, value in self.credentials.headers().items()
        )
        line = f"POST {self.path}{path} HTTP/1.1\r\n"
        return f"{line}{self.head}{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body

    async def _exchange(self, request: bytes) -> Answer:
        while self._idle:
            try:
                return await self._use(self._idle.pop(), request)
            except StaleConnectionError:
                continue
        return await self._use(await self._connect(), request)

    async def _use(self, connection: HttpConnection, request: bytes) -> Answer:
        answer = await connection.ask(request)
        if not connection.closed:
            self._idle.append(connection)
        return answer

    async def _connect(self) -> HttpConnection:
        try:
            return await self._connected()
        except ssl.SSLError:
            if not self.credentials.trust_anew():
                raise
        return await self._connected()

    async def _connected(self) -> HttpConnection:
        _, connection = await asyncio.get_running_loop().create_connection(
            HttpConnection, self.host, self.port, ssl=self.tls
        )
        return connection


def _basic(address: SplitResult) -> str:
    pair = f"{unquote(address.username or '')}:{unquote(address.password or '')}"
    return f"Basic {b64encode(pair.encode()).decode()}"


def _read(answer: Answer) -> Any:
    try:
        content = orjson.loads(answer.body)
    except ValueError as error:
        message = f"Elasticsearch answered {answer.status} without JSON"
        raise BackendError(message, retryable=True) from error
    if answer.status >= 400:
        kind = content.get("error") if isinstance(content, dict) else None
        name = kind.get("type") if isinstance(kind, dict) else None
        raise failure(answer.status, str(name), answer.body.decode(errors="replace"))
    return content
