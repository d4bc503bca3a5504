"""Merging into documents while others write: read, merge, write if it is still what was read.

    changes -> read -> merge -> _bulk -> done | superseded | refused | again
                ^                                                    |
                +----------- conflict, 429, trouble -----------------+

One attempt at a time: who calls decides how long to go on with what must be tried again. A document
is created without a read where it most likely does not exist; a conflict finds out.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import orjson
from elasticsearch import Elasticsearch

from indexer import metrics
from indexer.bulk import ANSWER, NO_RIGHT, Operation, Verdict, chunks, verdict
from indexer.documents import from_source, to_source
from indexer.reducer import State
from services import instants
from services.errors import BackendError
from services.es_client import TooLargeError, failures_as_ours


@dataclass(slots=True)
class Change:
    """Something to be merged into one document; `target` is the alias of its index."""

    target: str
    identity: str
    read: bool = field(default=False, kw_only=True)
    state: State | None = field(default=None, kw_only=True)
    # if_seq_no and if_primary_term; None: no document yet
    seen: Mapping[str, int] | None = field(default=None, kw_only=True)

    def merged(self) -> State:
        """What is to be written, of `state` and of what this change brings."""
        raise NotImplementedError

    def written_at(self, merged: State) -> str | None:  # noqa: ARG002 (for who overrides it)
        """When this was first written, where that is known; None: now."""
        return None

    def forget(self) -> None:
        """Read it again before the next attempt."""
        self.read, self.state, self.seen = False, None, None


C = TypeVar("C", bound=Change)


@dataclass(slots=True)
class Attempt(Generic[C]):
    """What became of the changes. `troubled`: wait before the next attempt."""

    done: list[C] = field(default_factory=list)
    superseded: list[C] = field(default_factory=list)
    refused: list[tuple[C, str]] = field(default_factory=list)
    again: list[C] = field(default_factory=list)
    troubled: bool = False

    def later(self, changes: Iterable[C], reason: str) -> None:
        """Read these again before the next attempt: who knows what was written."""
        for change in changes:
            change.forget()
            self.again.append(change)
            metrics.RETRIES.labels(reason).inc()

    def in_trouble(self, changes: Iterable[C], error: BackendError) -> None:
        """Raises the error when trying again is no use."""
        if not error.retryable:
            raise error
        self.later(changes, "trouble")
        self.troubled = True


@dataclass(frozen=True, slots=True)
class Writer:
    """Merges changes into documents. Sizes in bytes as the client sends them."""

    client: Elasticsearch
    region_of: Callable[[str], str | None]
    bulk_count: int
    bulk_bytes: int
    max_document_bytes: int

    def attempt(self, changes: list[C]) -> Attempt[C]:
        """Read, merge and write once. Raises BackendError when trying again is no use."""
        attempt = Attempt[C]()
        try:
            self._read([change for change in changes if not change.read])
        except BackendError as error:
            attempt.in_trouble(changes, error)
            return attempt
        for chunk in chunks(self._operations(changes, attempt), self.bulk_count, self.bulk_bytes):
            self._write(chunk, attempt)
        return attempt

    def _read(self, changes: list[C]) -> None:
        if not changes:
            return
        wanted = [{"_index": change.target, "_id": change.identity} for change in changes]
        with failures_as_ours():
            found = self.client.mget(docs=wanted)
        for change, document in zip(changes, found["docs"], strict=True):
            if "error" in document:
                raise BackendError(f"read: {document['error']['type']}", retryable=True)
            change.read = True
            if document["found"]:
                change.state = from_source(document["_source"])
                change.seen = {
                    "if_seq_no": document["_seq_no"],
                    "if_primary_term": document["_primary_term"],
                }

    def _operations(self, changes: Iterable[C], attempt: Attempt[C]) -> Iterator[Operation[C]]:
        """What has to be written; the rest is superseded, or too large."""
        for change in changes:
            merged = change.merged()
            if merged == change.state:
                attempt.superseded.append(change)
                continue
            operation = self._operation(change, merged)
            if operation.size > self.max_document_bytes:
                attempt.refused.append((change, f"larger than {self.max_document_bytes} bytes"))
                continue
            yield operation

    def _operation(self, change: C, merged: State) -> Operation[C]:
        address = {"_index": change.target, "_id": change.identity}
        action = {"index": {**address, **change.seen}} if change.seen else {"create": address}
        source = to_source(merged, self.region_of(merged.tenant_id))
        source["writtenAt"] = change.written_at(merged) or _now()
        return Operation(change, orjson.dumps(action), orjson.dumps(source))

    def _write(self, chunk: list[Operation[C]], attempt: Attempt[C]) -> None:
        lines: list[Any] = [line for one in chunk for line in (one.action, one.source)]
        try:
            with failures_as_ours():
                answer = self.client.bulk(operations=lines, require_alias=True, filter_path=ANSWER)
        except TooLargeError:
            self._split(chunk, attempt)
            return
        except BackendError as error:
            attempt.in_trouble([one.owner for one in chunk], error)
            return
        for one, result in zip(chunk, answer["items"], strict=True):
            _settle(one.owner, *verdict(result), attempt)

    def _split(self, chunk: list[Operation[C]], attempt: Attempt[C]) -> None:
        """Elasticsearch takes less at once than we thought."""
        if len(chunk) == 1:
            attempt.refused.append((chunk[0].owner, "larger than Elasticsearch takes"))
            return
        metrics.RETRIES.labels("split").inc(len(chunk))
        middle = len(chunk) // 2
        self._write(chunk[:middle], attempt)
        self._write(chunk[middle:], attempt)


def _settle(change: C, what: Verdict, error: str, attempt: Attempt[C]) -> None:
    """Raises BackendError when our key may not write there, as for a whole request."""
    if error == NO_RIGHT:
        raise BackendError(f"Elasticsearch: {error}: the API key lacks a right", retryable=False)
    match what:
        case Verdict.DONE:
            attempt.done.append(change)
        case Verdict.CONFLICT:
            attempt.later([change], "conflict")
        case Verdict.LATER:
            attempt.later([change], "trouble")
            attempt.troubled = True
        case Verdict.REFUSED:
            attempt.refused.append((change, f"Elasticsearch: {error}"))


def _now() -> str:
    return instants.render(time.time_ns() // 1_000_000)
