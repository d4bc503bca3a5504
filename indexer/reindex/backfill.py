"""From a source into the new index: pages, read and written in lanes beside each other.

    part ─ page, page, page ─┬─▶ lane ─▶ merge ─▶ new index
    part ─ page, page, page ─┴─▶ lane ─▶ merge ─▶ new index

A lane takes the next page of a part of its own, or of another's when there are more lanes than
parts. The position that is kept of a part is the one before which every page is written, so that a
kill at any moment makes some pages be read again and none be left out.
"""

import threading
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from typing import Any, Final

from indexer.reindex.filling import Filler
from indexer.reindex.session import Session
from indexer.reindex.state import Reindex
from indexer.sources import Page, Source
from services.errors import BackendError

SAVE_SECONDS: Final = 2.0

Show = Callable[[Reindex], None]


@dataclass(slots=True)
class _Part:
    """One part of the source while it is read."""

    name: str | None  # None: no position is kept
    pages: Generator[Page]
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _taken: int = 0
    _written: dict[int, Any] = field(default_factory=dict)
    _whole: int = 0  # so many pages from the first one on are written
    position: Any = None
    moved: bool = False

    def take(self) -> tuple[int, Page] | None:
        with self._lock:
            page = next(self.pages, None)
            if page is None:
                return None
            self._taken += 1
            return self._taken - 1, page

    def finish(self, number: int, page: Page) -> None:
        with self._lock:
            self._written[number] = page.position
            while self._whole in self._written:
                self.position = self._written.pop(self._whole)
                self.moved = True
                self._whole += 1

    def close(self) -> None:
        """Free what the source holds for pages that nobody takes. Raises BackendError."""
        self.pages.close()


@dataclass(slots=True)
class Backfill:
    """One run from the kept positions to the end of the source."""

    session: Session
    filler: Filler
    show: Show
    lanes: int
    _parts: Sequence[_Part] = ()
    _done: int = 0
    _amount: int = 0
    _saved: float = field(default_factory=time.monotonic)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _failure: Exception | None = None

    def run(self, source: Source) -> None:
        """Read and write everything. Raises SourceError; BackendError; TakenOverError."""
        if not self.session.reindex.positions:
            beginning = source.beginning()
            self.session.change(lambda reindex: replace(reindex, positions=beginning))
        parts = source.parts(self.session.reindex.positions)
        self._read([_Part(name, pages) for name, pages in parts.items()])
        self._save()
        self._read([_Part(None, source.rest(self.session.reindex.positions))])
        self._save()

    def _read(self, parts: Sequence[_Part]) -> None:
        self._parts = parts
        with ThreadPoolExecutor(self.lanes) as pool:
            lanes = [pool.submit(self._lane, number) for number in range(self.lanes)]
            try:
                wait(lanes)
            finally:
                self.session.stopping.set()  # Ctrl-C, for example
        for part in parts:
            self._close(part)
        if self._failure:
            raise self._failure
        self.session.stopping.clear()
        self.session.check()

    def _lane(self, number: int) -> None:
        own = number % max(1, len(self._parts))
        try:
            for part in [*self._parts[own:], *self._parts[:own]]:
                while taken := part.take():
                    self._write(part, *taken)
        except Exception as error:  # noqa: BLE001 (raised again by the main thread)
            self._failure = self._failure or error
            self.session.stopping.set()

    def _close(self, part: _Part) -> None:
        try:
            part.close()
        except BackendError as error:
            self._failure = self._failure or error

    def _write(self, part: _Part, number: int, page: Page) -> None:
        if self.session.stopping.is_set():
            self.session.check()
            raise BackendError("stopped", retryable=True)
        found = page.read()
        self.filler.fill(found)
        part.finish(number, page)
        with self._lock:
            self._done += len(found)
            self._amount += page.amount
            due = time.monotonic() - self._saved > SAVE_SECONDS
            if due:
                self._saved = time.monotonic()
        if due:
            self._save()
        self.show(self._counted(self.session.reindex))

    def _save(self) -> None:
        """Keep how far it got; what comes later begins to count from there."""
        with self._lock:
            moved = {part.name: part.position for part in self._parts if part.name and part.moved}
            self.session.change(
                lambda reindex: replace(
                    self._counted(reindex), positions={**reindex.positions, **moved}
                )
            )
            self._done = self._amount = 0

    def _counted(self, reindex: Reindex) -> Reindex:
        return replace(
            reindex, done=reindex.done + self._done, amount=reindex.amount + self._amount
        )
