"""Merging states into an index, through the same compare-and-set as events: what a worker wrote
since always wins over an older page.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from indexer import reducer
from indexer.compare_and_set import Change, Writer
from indexer.documents import identity_of
from indexer.patience import Patience, Stopping
from indexer.reducer import GroupState, State
from indexer.sources import Found, SourceError
from services.indices import IndexNames

PATIENCE_SECONDS: Final = 600.0
MAX_DOCUMENT_BYTES: Final = 90_000_000


@dataclass(slots=True)
class _Incoming(Change):
    """A state on its way into one document."""

    found: Found

    def merged(self) -> State:
        return reducer.merge(self.state, self.found.state) if self.state else self.found.state

    def written_at(self, merged: State) -> str | None:
        """The age of a tombstone, for one, does not begin anew."""
        return self.found.written_at if merged == self.found.state else None


@dataclass(slots=True)
class Throttle:
    """At most so many documents a second, of all threads together; 0 is no limit."""

    rate: int
    _due: float = field(default_factory=time.monotonic)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def pause(self, documents: int, stopping: Stopping) -> None:
        """Wait for as long as these documents have to wait."""
        if not self.rate:
            return
        with self._lock:
            start = max(self._due, time.monotonic())
            self._due = start + documents / self.rate
        stopping.wait(start - time.monotonic())


@dataclass(frozen=True, slots=True)
class Filler:
    """Fills the index behind `target` (an alias); what is of groups goes to the groups."""

    writer: Writer
    names: IndexNames
    target: str
    throttle: Throttle
    stopping: Stopping

    def fill(self, found: Sequence[Found]) -> None:
        """Merge these. Push-back of Elasticsearch is waited out, for some minutes.

        Raises BackendError; SourceError for what the new index does not take.
        """
        self.throttle.pause(len(found), self.stopping)
        changes = [self._change(one) for one in found]
        patience = Patience(time.monotonic() + PATIENCE_SECONDS, self.stopping)
        while changes:
            attempt = self.writer.attempt(changes)
            for change, reason in attempt.refused:
                raise SourceError(f"{name_of(change.found.state)} cannot be written: {reason}")
            changes = attempt.again
            if changes and attempt.troubled:
                patience.wait()

    def _change(self, found: Found) -> _Incoming:
        """Most likely there is no such document yet: `create` finds out without a read."""
        is_group = isinstance(found.state, GroupState)
        target = self.names.groups if is_group else self.target
        return _Incoming(target, identity_of(found.state), found, read=not is_group)


def name_of(state: State) -> str:
    """The recording or group, for an operator to find."""
    if isinstance(state, GroupState):
        return f"group {state.tenant_id}/{state.group_id}"
    return f"recording {state.tenant_id}/{state.recording_id}"
