"""Where a reindex stands: one document, changed by compare-and-set.

It is the document that names the indices which workers write (`indexer.write_set`), so that the
state and the set of indices change together or not at all. Who works on a reindex leaves a sign of
life in it. The work can be taken over when there was none for LEASE_SECONDS, or at once when it was
a process of this machine which is no more; who lost it finds out with the next sign.
"""

import getpass
import os
import socket
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from elasticsearch import ConflictError, Elasticsearch, NotFoundError

from indexer.write_set import DOCUMENT, WRITES
from services import instants
from services.errors import BackendError
from services.es_client import failures_as_ours
from services.indices import IndexNames

LEASE_SECONDS: Final = 20.0
STATE: Final = "reindex"


class Phase(StrEnum):
    """The states, in their order."""

    CREATED = "created"
    DUAL_WRITING = "dual_writing"
    BACKFILLING = "backfilling"
    VERIFIED = "verified"
    SWAPPED = "swapped"
    RETIRED = "retired"
    ABORTED = "aborted"

    @property
    def is_over(self) -> bool:
        return self in (Phase.RETIRED, Phase.ABORTED)


class RefusedError(Exception):
    """What was asked for does not fit the state; the text says why, for the operator."""


class TakenOverError(Exception):
    """Another process works on the reindex now, or has ended it."""


@dataclass(frozen=True, slots=True)
class Worker:
    """The process that works on a reindex; `seen_at` in milliseconds since 1970."""

    user: str
    host: str
    pid: int
    token: str
    seen_at: int

    @classmethod
    def this(cls) -> "Worker":
        return cls(_user(), socket.gethostname(), os.getpid(), uuid.uuid4().hex, now())

    @property
    def is_alive(self) -> bool:
        if self.host == socket.gethostname() and not _runs(self.pid):
            return False
        return now() - self.seen_at < LEASE_SECONDS * 1000

    def __str__(self) -> str:
        return f"{self.user} on {self.host} (process {self.pid})"


@dataclass(frozen=True, slots=True)
class Reindex:
    """A reindex. `old` and `new` are indices; times are ISO 8601.

    as_of: what the live index got after it (milliseconds since 1970) may be newer than the source.
    positions: where to go on in each part of the source. done, amount: documents that were written,
    and how much of the source that is, of `total` (None: not known). filled: the source is read.
    """

    phase: Phase
    source: str
    old: str
    new: str
    started_at: str
    started_by: str
    changed_at: str
    worker: Worker | None
    as_of: int | None = None
    positions: Mapping[str, Any] = field(default_factory=dict)
    done: int = 0
    amount: int = 0
    total: int | None = None
    filled: bool = False
    rolled_back_at: str | None = None
    failure: str | None = None

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> "Reindex":
        worker = fields["worker"]
        return cls(
            **dict(fields)
            | {"phase": Phase(fields["phase"]), "worker": Worker(**worker) if worker else None}
        )

    def moved(self, phase: Phase, **changes: Any) -> "Reindex":
        return replace(self, phase=phase, changed_at=instants.render(now()), **changes)

    def written(self) -> list[str]:
        """The indices that workers write in this state; the one that is not new comes first."""
        match self.phase:
            case Phase.CREATED | Phase.ABORTED:
                return [self.old]
            case Phase.RETIRED:
                return [self.new]
        return [self.old, self.new]

    def __str__(self) -> str:
        return (
            f"a reindex of {self.old} into {self.new} is {self.phase}; it was started by"
            f" {self.started_by} at {self.started_at}"
        )


@dataclass(frozen=True, slots=True)
class Stored:
    """The document as it was read: the indices written, the reindex if there ever was one."""

    writes: list[str]
    reindex: Reindex | None
    seen: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Store:
    """Reads and changes the document. Raises BackendError."""

    client: Elasticsearch
    names: IndexNames

    def read(self) -> Stored:
        """Raises RefusedError before `init`."""
        try:
            with failures_as_ours():
                found = self._get()
        except BackendError as error:
            if isinstance(error.__cause__, NotFoundError):
                raise RefusedError("nothing is there yet; run `recordings-indexer init`") from None
            raise
        source = found["_source"]
        reindex = Reindex.of(source[STATE]) if STATE in source else None
        seen = {"if_seq_no": found["_seq_no"], "if_primary_term": found["_primary_term"]}
        return Stored(source[WRITES], reindex, seen)

    def replace(self, stored: Stored, reindex: Reindex) -> Stored | None:
        """Write this state if the document is still the one that was read; None: it is not."""
        return self._put(stored, reindex.written(), reindex)

    def settle(self, stored: Stored, index: str, reindex: Reindex | None) -> Stored | None:
        """The same, with this index as the only one that is written, also where there was no
        reindex yet.
        """
        return self._put(stored, [index], reindex)

    def _put(self, stored: Stored, writes: list[str], reindex: Reindex | None) -> Stored | None:
        document = {WRITES: writes} | ({STATE: asdict(reindex)} if reindex else {})
        with failures_as_ours():
            try:
                answer = self.client.index(
                    index=self.names.reindex,
                    id=DOCUMENT,
                    document=document,
                    require_alias=True,
                    **stored.seen,  # type: ignore[arg-type]
                )
            except ConflictError:
                return None
        seen = {"if_seq_no": answer["_seq_no"], "if_primary_term": answer["_primary_term"]}
        return Stored(writes, reindex, seen)

    def _get(self) -> Any:
        return self.client.get(index=self.names.reindex, id=DOCUMENT)


def now() -> int:
    """In milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user needs no name
        return f"user {os.getuid()}"


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
