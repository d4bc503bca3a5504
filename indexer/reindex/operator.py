"""What an operator may do with a reindex, and when.

Whoever acts takes the reindex over by compare-and-set. `resume` does not while another process is
at work; `abort` does, and the other one gives up with its next sign of life.
"""

from collections.abc import Callable
from dataclasses import replace

from elasticsearch import Elasticsearch

from indexer.reindex import indices
from indexer.reindex.session import Session, take
from indexer.reindex.state import Phase, RefusedError, Reindex, Store, Stored, Worker, now
from services import instants
from services.indices import IndexNames


def begin(client: Elasticsearch, names: IndexNames, source: str) -> Session:
    """A new reindex. Raises RefusedError while there is another one; BackendError."""
    store, worker = Store(client, names), Worker.this()
    while True:
        stored = store.read()
        before = stored.reindex
        if before and not before.phase.is_over:
            raise RefusedError(f"{before}; see `reindex status`")
        if before:
            _clear(client, names, before)
        (old,) = stored.writes
        at = instants.render(now())
        # A name is never given twice, see `indexer.write_set`.
        new = names.next_recordings_index(max(old, before.new) if before else old)
        reindex = Reindex(Phase.CREATED, source, old, new, at, str(worker), at, worker)
        if taken := store.replace(stored, reindex):
            return Session(store, taken, worker)


def resume(client: Elasticsearch, names: IndexNames) -> Session:
    """Go on with what another process left. Raises RefusedError; BackendError.

    What was verified before, before a rollback for example, is verified again.
    """

    def may(reindex: Reindex) -> None:
        if reindex.phase.is_over or reindex.phase is Phase.SWAPPED:
            raise RefusedError(f"nothing to resume: {reindex}")
        if reindex.worker and reindex.worker.is_alive:
            seen = instants.render(reindex.worker.seen_at)
            raise RefusedError(f"{reindex}; {reindex.worker} works on it, last seen at {seen}")

    def again(reindex: Reindex) -> Reindex:
        if reindex.phase is Phase.VERIFIED and reading != reindex.new:
            return reindex.moved(Phase.BACKFILLING)
        return reindex

    reading = indices.read_index(client, names)
    return _taken(client, names, may, again)


def abort(client: Elasticsearch, names: IndexNames) -> Reindex:
    """Give up: the new index is deleted. Raises RefusedError after the swap; BackendError."""

    def may(reindex: Reindex) -> None:
        if reindex.phase is Phase.SWAPPED:
            raise RefusedError(f"{reindex}; `reindex rollback` comes first")
        if reindex.phase is Phase.RETIRED:
            raise RefusedError(f"nothing to abort: {reindex}")

    session = _taken(client, names, may)
    indices.read_from(client, names, session.reindex.old)
    session.change(lambda reindex: reindex.moved(Phase.ABORTED))
    indices.delete(client, names, session.reindex.new)
    return session.reindex


def rollback(client: Elasticsearch, names: IndexNames) -> Reindex:
    """Let searches read the old index again, which was written all along.

    The new one is written on, and can be swapped in by `resume`. Raises RefusedError; BackendError.
    """

    def may(reindex: Reindex) -> None:
        swapped = reindex.phase is Phase.SWAPPED or (
            reindex.phase is Phase.VERIFIED and reading == reindex.new
        )
        if not swapped:
            raise RefusedError(f"nothing to roll back: {reindex}")

    reading = indices.read_index(client, names)
    session = _taken(client, names, may)
    indices.read_from(client, names, session.reindex.old)
    at = instants.render(now())
    return session.change(lambda reindex: reindex.moved(Phase.VERIFIED, rolled_back_at=at))


def retire(client: Elasticsearch, names: IndexNames) -> Reindex:
    """The end: the old index is not written any more, and deleted. Raises RefusedError."""

    def may(reindex: Reindex) -> None:
        if reindex.phase not in (Phase.SWAPPED, Phase.RETIRED):
            raise RefusedError(f"nothing to retire: {reindex}")
        if reading != reindex.new:
            raise RefusedError(f"searches read {reading}: run `reindex rollback` to its end")

    reading = indices.read_index(client, names)
    session = _taken(client, names, may)
    session.change(lambda reindex: reindex.moved(Phase.RETIRED))
    indices.delete(client, names, session.reindex.old)
    return session.reindex


def _taken(
    client: Elasticsearch,
    names: IndexNames,
    may: Callable[[Reindex], None],
    alter: Callable[[Reindex], Reindex] = replace,
) -> Session:
    """Take it over when it may be. Raises RefusedError; BackendError."""
    store = Store(client, names)
    while True:
        stored: Stored = store.read()
        if stored.reindex is None:
            raise RefusedError("there was no reindex yet")
        may(stored.reindex)
        if session := take(store, stored, alter):
            return session


def _clear(client: Elasticsearch, names: IndexNames, over: Reindex) -> None:
    """What a kill left of one that is over."""
    indices.delete(client, names, over.old if over.phase is Phase.RETIRED else over.new)
