"""One process at work on a reindex: its hold on the state, and its signs of life.

Every change goes through `change`: compare-and-set, on the state that this process wrote last. A
conflict means that another process has taken over (another token), or that an earlier answer was
lost on the way; the latter is read again and made again.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Final

from indexer.patience import Patience
from indexer.reindex.state import (
    LEASE_SECONDS,
    Reindex,
    Store,
    Stored,
    TakenOverError,
    Worker,
    now,
)
from services.errors import BackendError

BEAT_SECONDS: Final = LEASE_SECONDS / 5
PATIENCE_SECONDS: Final = 120.0

Alter = Callable[[Reindex], Reindex]


@dataclass(slots=True)
class Session:
    """`stopping` is set when the work is lost or to end."""

    store: Store
    stored: Stored
    worker: Worker
    stopping: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _lost: str | None = None

    @property
    def reindex(self) -> Reindex:
        if self.stored.reindex is None:
            raise TakenOverError("there is no reindex any more")
        return self.stored.reindex

    def change(self, alter: Alter) -> Reindex:
        """Change the state; returns it. Raises TakenOverError; BackendError."""
        with self._lock:
            patience = Patience(time.monotonic() + PATIENCE_SECONDS, threading.Event())
            while not patience.insist(lambda: self._try(alter)):
                pass
            return self.reindex

    def check(self) -> None:
        """Raises TakenOverError when another process works on it now."""
        if self._lost:
            raise TakenOverError(self._lost)

    def _try(self, alter: Alter) -> bool:
        self.check()
        worker = replace(self.worker, seen_at=now())
        changed = self.store.replace(self.stored, replace(alter(self.reindex), worker=worker))
        if changed:
            self.stored = changed
            return True
        self.stored = self.store.read()
        found = self.reindex
        if found.worker is None or found.worker.token != self.worker.token:
            by = f"; {found.worker} works on it now" if not found.phase.is_over else ""
            self._lost = f"given up: {found}{by}"
            self.stopping.set()
            raise TakenOverError(self._lost)
        return False

    @contextmanager
    def alive(self) -> Iterator[None]:
        """Give signs of life meanwhile."""
        over = threading.Event()

        def beat() -> None:
            while not over.wait(BEAT_SECONDS):
                try:
                    self.change(lambda reindex: reindex)
                except TakenOverError:
                    return
                except BackendError:
                    continue  # whoever works finds out by itself

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def take(store: Store, stored: Stored, alter: Alter) -> Session | None:
    """Take this reindex over; None: somebody else has changed it first. Raises BackendError."""
    worker = Worker.this()
    if stored.reindex is None:
        return None
    taken = store.replace(stored, replace(alter(stored.reindex), worker=worker))
    return Session(store, taken, worker) if taken else None
