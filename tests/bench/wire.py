"""HTTP as bytes: one request and its answer, and a relay that keeps what a client sends."""

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import Final
from urllib.parse import urlsplit

from tests.bench.errors import BenchError

Address = tuple[str, int]

HEAD_END: Final = b"\r\n\r\n"
ANSWER_SECONDS: Final = 30.0
PIECE: Final = 65_536


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    body: bytes


def address_of(url: str) -> Address:
    """Host and port. Raises BenchError for what is not plain HTTP."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise BenchError("searches are measured over plain HTTP only")
    return parts.hostname, parts.port or 80


def exchange(address: Address, request: bytes) -> Answer:
    """Send these bytes on a connection of their own."""
    with socket.create_connection(address, ANSWER_SECONDS) as connection:
        connection.sendall(request)
        response = HTTPResponse(connection)
        response.begin()
        return Answer(response.status, response.read())


class Tap(socketserver.ThreadingTCPServer):
    """A relay to the target on 127.0.0.1; `sent` is what clients sent since it was cleared."""

    daemon_threads = True

    def __init__(self, target: Address) -> None:
        super().__init__(("127.0.0.1", 0), _Relay)
        self.target = target
        self.sent = bytearray()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Relay(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, Tap)
        with socket.create_connection(self.server.target) as upstream:
            back = threading.Thread(target=_pump, args=(upstream, self.request), daemon=True)
            back.start()
            while piece := self.request.recv(PIECE):
                self.server.sent += piece
                upstream.sendall(piece)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(PIECE):
            sink.sendall(piece)


@contextmanager
def tapped(target: Address) -> Iterator[Tap]:
    """A tap, open until the end."""
    with Tap(target) as tap:
        threading.Thread(target=tap.serve_forever, daemon=True).start()
        try:
            yield tap
        finally:
            tap.shutdown()
