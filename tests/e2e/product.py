"""The product, as far as a reindex meets it: it publishes change events without pause, and says
what it holds now, as a file or over HTTP.
"""

import gzip
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from tests.faults import history
from tests.faults.history import Event, Key, Message, Outcome
from tests.faults.world import World

TOKEN: Final = "secret-of-the-source"
LONGEST_LIST: Final = 8
PAUSE_SECONDS: Final = 0.01

Page = dict[str, Any]
# What a page becomes before it is sent; its number counts from 0. None: the server fails.
Lie = Callable[[int, Page], Page | None]


@dataclass
class Product:
    """`published` are all events so far. Each is noted before it is sent, as by a transaction."""

    world: World
    random: Random
    published: list[Event] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _lives: int = 0

    def publish(self, events: list[Event]) -> None:
        with self._lock:
            self.published += events
        self.world.publish([Message(events)])

    def expected(self) -> dict[Key, Outcome]:
        return history.outcomes(self.published)

    def begin(self, recordings: int) -> list[Event]:
        """Publish the larger part of some lives; returns the rest of them."""
        events = history.events_of(self.random, recordings)
        rest = [event for event in events if self.random.random() < 0.3]
        later = {id(event) for event in rest}
        self.publish([event for event in events if id(event) not in later])
        return rest

    @contextmanager
    def writing(self, rest: list[Event]) -> Iterator[None]:
        """Publish without pause: first the rest, then new lives, one after the other."""
        over = threading.Event()

        def write() -> None:
            for events in _lists(self._endless(rest), self.random):
                self.publish(events)
                if over.wait(PAUSE_SECONDS):
                    return

        thread = threading.Thread(target=write)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _endless(self, rest: list[Event]) -> Iterator[Event]:
        yield from rest
        while True:
            self._lives += 1
            for event in history.events_of(self.random, 5):
                yield event | {"recordingId": f"later-{self._lives}-{event['recordingId']}"}

    def holds(self) -> list[Event]:
        """What it holds now, as `*.saved` events; it knows nothing of what is deleted, and of no
        note without its recording.
        """
        with self._lock:
            published = list(self.published)
        events: list[Event] = []
        for (tenant, recording), outcome in history.outcomes(published).items():
            if outcome.recording is None:
                continue
            common = {"tenantId": tenant, "recordingId": recording}
            common |= {"occurredAt": "2026-04-25T10:30:00Z"}
            saved = {"type": "recording.saved", "version": outcome.version}
            events.append(common | saved | {"recording": outcome.recording})
            for note_id, (version, note) in outcome.notes.items():
                if note is not None:
                    saved = {"type": "note.saved", "noteId": note_id, "version": version}
                    events.append(common | saved | {"note": note})
        return events

    def export(self, file: Path) -> None:
        """Write a file, whose time is that of the moment when the export began."""
        began = time.time()
        lines = "".join(json.dumps(event) + "\n" for event in self.holds()).encode()
        file.write_bytes(gzip.compress(lines) if file.suffix == ".gz" else lines)
        os.utime(file, (began, began))

    @contextmanager
    def serving(self, lie: Lie = lambda _, page: page, limit: int = 100) -> Iterator[str]:
        """Answer pages of what it holds at that moment, never more than `limit` events at once;
        yields the address.
        """
        product = self
        pages = 0

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                nonlocal pages
                if self.headers["Authorization"] != f"Bearer {TOKEN}":
                    self.send(401, {})
                    return
                query = parse_qs(urlsplit(self.path).query)
                after = query.get("after", [""])[0]
                page = lie(_number(after), product.page(after, min(limit, int(query["limit"][0]))))
                pages += 1
                self.send(500 if page is None else 200, page or {})

            def send(self, status: int, body: Page) -> None:
                data = json.dumps(body).encode()
                self.send_response_only(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Not on the console."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/events"
        finally:
            server.shutdown()
            server.server_close()

    def page(self, after: str, limit: int) -> Page:
        """In the order of the ids; the word for the next page is the last id, and the number."""
        number, _, last = after.partition("|")
        events = sorted(self.holds(), key=_order)
        left = [event for event in events if _order(event) > last]
        following = f"{int(number or 0) + 1}|{_order(left[limit - 1])}" if left[limit:] else None
        return {"events": left[:limit], "next": following}


def _number(after: str) -> int:
    return int(after.partition("|")[0] or 0)


def _order(event: Event) -> str:
    return "/".join((event["tenantId"], event["recordingId"], event.get("noteId", "")))


def _lists(events: Iterator[Event], random: Random) -> Iterator[list[Event]]:
    while True:
        yield [next(events) for _ in range(random.randint(1, LONGEST_LIST))]
