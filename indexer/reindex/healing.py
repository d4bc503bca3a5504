"""Indices of recordings that are lost: made anew, and the state says so.

The state (`indexer.reindex.state`) names the indices that are written. When one of them is gone,
the other is enough where it is whole: after the swap both are, before it the old one is. Else an
empty index is made, under a name that was never given before: workers may still hold what they read
of the lost one (`indexer.write_set`). A reindex that was under way is over.

Every step may be repeated after a kill: the index first, then the state, then the aliases.
"""

from dataclasses import replace
from typing import Final

from elasticsearch import Elasticsearch

from indexer.reindex import indices
from indexer.reindex.state import Phase, Reindex, Store, Stored
from services.indices import IndexNames, Layout

# Both indices hold everything.
WHOLE: Final = (Phase.VERIFIED, Phase.SWAPPED)


def heal(client: Elasticsearch, names: IndexNames, layout: Layout) -> list[str]:
    """Make what is missing of the indices that the state names; returns what was made.

    Raises BackendError.
    """
    store, made = Store(client, names), list[str]()
    while True:
        stored = store.read()
        left = [index for index in stored.writes if client.indices.exists(index=index)]
        if left == stored.writes:
            return [*made, *_aliases(client, names, stored)]
        made += _settle(store, stored, left, layout)


def _settle(store: Store, stored: Stored, left: list[str], layout: Layout) -> list[str]:
    """One index instead of those that the state names, unless somebody else changes the state
    meanwhile; returns what was made.
    """
    made = []
    index = _survivor(stored.reindex, left)
    if not index:
        index = _never_used(store.names, stored)
        settings = indices.settings_of_every_day(layout)
        indices.create(store.client, store.names, index, settings)
        made = [index]
    store.settle(stored, index, _over(stored.reindex, index))
    return made


def _survivor(reindex: Reindex | None, left: list[str]) -> str | None:
    """The index that is left and holds everything; None: there is none."""
    if reindex and left and (reindex.phase in WHOLE or left == [reindex.old]):
        return left[0]
    return None


def _never_used(names: IndexNames, stored: Stored) -> str:
    known = [*stored.writes, *([stored.reindex.old, stored.reindex.new] if stored.reindex else [])]
    return names.next_recordings_index(max(known))


def _over(reindex: Reindex | None, index: str) -> Reindex | None:
    """The reindex as it ends with this index as the only one."""
    if reindex is None:
        return None
    if reindex.new == index:
        return reindex.moved(Phase.RETIRED, worker=None)
    return replace(
        reindex.moved(Phase.ABORTED, worker=None, failure="an index was lost"), old=index
    )


def _aliases(client: Elasticsearch, names: IndexNames, stored: Stored) -> list[str]:
    """The aliases that are missing: of each index to write it, of one to read it."""
    reindex = stored.reindex
    read = reindex.new if reindex and reindex.phase is Phase.SWAPPED else stored.writes[0]
    missing = [
        (index, alias)
        for index, alias in [
            *((index, names.written(index)) for index in stored.writes),
            (read, names.recordings),
        ]
        if not client.indices.exists_alias(name=alias)
    ]
    for index, alias in missing:
        reading = {"is_write_index": True} if alias == names.recordings else {}
        client.indices.put_alias(index=index, name=alias, **reading)  # type: ignore[arg-type]
    return [alias for _, alias in missing]
