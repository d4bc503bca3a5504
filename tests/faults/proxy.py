"""An HTTP proxy in front of Elasticsearch that misbehaves on a seeded plan.

It listens on 127.0.0.1 in threads of its own. What it can do to a request is a `Fault`; between
faults it passes everything on.
"""

import json
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum, auto
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from types import TracebackType
from typing import Any, Final, Self, cast

import urllib3

JSON: Final = {"Content-Type": "application/json", "X-Elastic-Product": "Elasticsearch"}
REFUSED: Final = {
    429: "es_rejected_execution_exception",
    503: "unavailable_shards_exception",
}
# At most so many requests pass between two faults. Enough for the longest chain of requests that a
# message needs at once, else it would never be done with.
LONGEST_PEACE: Final = 12
# Those of the server's answer that are of one connection only.
HOP_BY_HOP: Final = frozenset({"connection", "content-length", "transfer-encoding", "keep-alive"})


class Fault(StrEnum):
    """What happens to a request. After RESET_AFTER and TRUNCATE its work is done all the same."""

    TOO_MANY_REQUESTS = auto()
    BAD_GATEWAY = auto()
    UNAVAILABLE = auto()
    RESET_BEFORE = auto()
    RESET_AFTER = auto()
    STALL = auto()
    TRUNCATE = auto()
    ITEMS = auto()


STATUS: Final = {
    Fault.TOO_MANY_REQUESTS: 429,
    Fault.BAD_GATEWAY: 502,
    Fault.UNAVAILABLE: 503,
}


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def is_bulk(self) -> bool:
        return self.path.partition("?")[0].endswith("_bulk")


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes = b""


class Proxy:
    """Runs while it is entered.

    `kinds` and `rate` (0 to 1: how many of the requests) can be changed at any time. `watch` sees
    every request before anything is done with it; when it raises, the request goes no further and
    the connection ends. A stall lasts `stall_seconds`.
    """

    def __init__(self, target: str, seed: int, stall_seconds: float = 3.0) -> None:
        self.kinds: Sequence[Fault] = ()
        self.rate = 0.3
        self.watch: Callable[[Request], None] = lambda _: None
        self.done: Counter[Fault] = Counter()
        self._target = target
        self._random = Random(seed)
        self._lock = threading.Lock()
        self._passed = LONGEST_PEACE  # the first fault comes at once: a short run has one
        self._stall_seconds = stall_seconds
        self._ending = threading.Event()
        self._pool = urllib3.PoolManager(maxsize=16, retries=False)
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.proxy = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ending.set()
        self._server.shutdown()
        self._server.server_close()

    def serve(self, request: Request, handler: "_Handler") -> None:
        """Answer one request, well or badly."""
        self.watch(request)
        fault = self._draw(request)
        match fault:
            case None:
                handler.answer(self._forward(request))
            case Fault.RESET_BEFORE:
                handler.reset()
            case Fault.RESET_AFTER:
                self._forward(request)
                handler.reset()
            case Fault.STALL:
                self._stall(request, handler)
            case Fault.TRUNCATE:
                handler.truncate(self._forward(request), honest=self._chance(0.5))
            case Fault.ITEMS:
                handler.answer(self._some_items(request))
            case _:
                handler.answer(self._refusal(STATUS[fault]))

    def _draw(self, request: Request) -> Fault | None:
        """The fault of this request: those that were seldom so far come first."""
        with self._lock:
            kinds = [kind for kind in self.kinds if kind != Fault.ITEMS or request.is_bulk]
            if not kinds:
                return None
            self._passed += 1
            if self._random.random() >= self.rate and self._passed <= LONGEST_PEACE:
                return None
            self._passed = 0
            least = min(self.done[kind] for kind in kinds)
            kind = self._random.choice([kind for kind in kinds if self.done[kind] == least])
            self.done[kind] += 1
            return kind

    def _chance(self, probability: float) -> bool:
        with self._lock:
            return self._random.random() < probability

    def _forward(self, request: Request) -> Answer:
        try:
            answer = self._pool.request(
                request.method,
                self._target + request.path,
                body=request.body or None,
                headers=request.headers,
                decode_content=False,
            )
        except urllib3.exceptions.HTTPError:
            return self._refusal(502)
        headers = {n: v for n, v in answer.headers.items() if n.lower() not in HOP_BY_HOP}
        return Answer(answer.status, headers, answer.data)

    def _refusal(self, status: int) -> Answer:
        """As Elasticsearch says it, as a load balancer does, or without a word."""
        with self._lock:
            form = self._random.randrange(3)
        if form == 0:
            error = {"type": REFUSED.get(status, "proxy"), "reason": "busy"}
            return Answer(status, JSON, json.dumps({"error": error, "status": status}).encode())
        if form == 1:
            return Answer(status, {"Content-Type": "text/html"}, b"<html><h1>Sorry</h1></html>")
        return Answer(status, {})

    def _stall(self, request: Request, handler: "_Handler") -> None:
        """Let the caller wait for longer than it likes to, whether the work was done or not."""
        answer = self._forward(request) if self._chance(0.5) else self._refusal(503)
        self._ending.wait(self._stall_seconds)
        handler.answer(answer)

    def _some_items(self, request: Request) -> Answer:
        """Refuse single items of a bulk request, pass the others on, put one answer together."""
        items = _bulk_items(request.body)
        refused = {
            n: 429 if self._chance(0.5) else 503 for n in range(len(items)) if self._chance(0.4)
        }
        passed = b"".join(item for n, item in enumerate(items) if n not in refused)
        answer = Answer(200, JSON, b'{"took":0,"errors":false,"items":[]}')
        if passed:
            headers = {n: v for n, v in request.headers.items() if n.lower() != "content-length"}
            answer = self._forward(Request(request.method, request.path, headers, passed))
        if answer.status != 200:
            return answer
        body = json.loads(answer.body)
        results = iter(body["items"])
        body["items"] = [
            _refused_item(item, refused[n]) if n in refused else next(results)
            for n, item in enumerate(items)
        ]
        body["errors"] = body["errors"] or bool(refused)
        return Answer(200, answer.headers, json.dumps(body).encode())


def _bulk_items(body: bytes) -> list[bytes]:
    """The operations of a bulk request, each with its document."""
    lines = iter(body.splitlines(keepends=True))
    return [line if b'"delete"' in line[:12] else line + next(lines) for line in lines]


def _refused_item(item: bytes, status: int) -> dict[str, Any]:
    ((action, target),) = json.loads(item.splitlines()[0]).items()
    error = {"type": REFUSED[status], "reason": "refused on the way"}
    return {action: {"_index": "", "_id": target.get("_id"), "status": status, "error": error}}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    proxy: Proxy

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that was killed or tired of waiting is what happens here all the time."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer in one piece

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = Request(self.command, self.path, dict(self.headers), body)
        cast(_Server, self.server).proxy.serve(request, self)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _any  # noqa: N815 (the library's names)

    def answer(self, answer: Answer) -> None:
        self._head(answer, len(answer.body))
        self.wfile.write(answer.body)

    def truncate(self, answer: Answer, *, honest: bool) -> None:
        """Half of the answer; `honest` about its length, or closed in the middle."""
        half = answer.body[: len(answer.body) // 2]
        self._head(answer, len(half) if honest else len(answer.body))
        self.wfile.write(half)
        self.close_connection = True

    def reset(self) -> None:
        """Close with RST: what was on the way is gone."""
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        # The stream holds the socket open.
        self.rfile.close()
        self.connection.close()
        self.close_connection = True

    def _head(self, answer: Answer, length: int) -> None:
        self.send_response_only(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class's name)
        """Not on the console."""
