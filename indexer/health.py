"""What a worker shows of itself over HTTP: `/metrics`, and `/healthz` by progress.

The worker's main thread beats once a second between batches. A batch takes no longer than twice
its deadline and one request (indexer.settling); a heart that is still for longer means a worker
that hangs.
"""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, make_server

import redis
from celery import signals
from prometheus_client import make_wsgi_app

from indexer import metrics
from indexer.broker import lists_of

BEAT_SECONDS: Final = 1.0
MARGIN_SECONDS: Final = 60.0
StartResponse = Callable[[str, list[tuple[str, str]]], object]


@dataclass
class Heart:
    """Beats while the worker gets on; `patience` in seconds."""

    patience: float
    last: float = field(default_factory=time.monotonic)

    def beat(self) -> None:
        self.last = time.monotonic()

    @property
    def alive(self) -> bool:
        return time.monotonic() - self.last < self.patience


class _Silent(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Probes and scrapes are no news."""


def serve(port: int, *, host: str, deadline: float, redis_url: str, queue: str) -> None:
    """Serve from a thread of its own, and let the heart beat. `deadline` of a message, seconds."""
    heart = Heart(2 * deadline + MARGIN_SECONDS)
    broker = redis.Redis.from_url(redis_url, socket_timeout=2)
    metrics.QUEUE.set_function(lambda: _length(broker, queue))
    pages = make_wsgi_app()

    def answer(environ: dict[str, Any], start: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/metrics":
            shown: Iterable[bytes] = pages(environ, start)
            return shown
        if environ["PATH_INFO"] != "/healthz":
            start("404 Not Found", [("Content-Type", "text/plain")])
            return [b"not found\n"]
        start(
            "200 OK" if heart.alive else "503 Service Unavailable", [("Content-Type", "text/plain")]
        )
        return [b"ok\n" if heart.alive else b"no progress\n"]

    def begin_to_beat(sender: Any, **_: Any) -> None:
        sender.timer.call_repeatedly(BEAT_SECONDS, heart.beat)

    signals.worker_ready.connect(begin_to_beat, weak=False)
    server = make_server(host, port, answer, handler_class=_Silent)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def _length(broker: redis.Redis, queue: str) -> float:
    try:
        with broker.pipeline() as pipe:
            for name in lists_of(queue):
                pipe.llen(name)
            return float(sum(pipe.execute()))
    except redis.RedisError:
        return float("nan")
