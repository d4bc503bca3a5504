"""Removing what is too old to matter: tombstones of recordings and groups, and dead letters.

A tombstone keeps an older event from bringing its thing back, so it has to outlive every such
event: in the queue (`queue_days`) and in the dead letters (`dead_letters_days`). Its age counts
from when it was written, because an old deletion may be applied today while a save that is older
still waits behind it. What is no tombstone any more when its turn comes is not deleted
(`indexer.deletion`).

During a reindex a tombstone is removed from both indices; not while the new one is being filled,
because a copy of it could be on its way there.
"""

from typing import Any, Final

from elasticsearch import Elasticsearch

from indexer.deletion import delete_where
from indexer.reindex.state import Phase, RefusedError, Store
from services.documents import document_id
from services.indices import IndexNames
from services.settings import RetentionSettings

AGE_FIELD: Final = "writtenAt"
_FILLED_NOW: Final = (Phase.CREATED, Phase.DUAL_WRITING, Phase.BACKFILLING)
_TOMBSTONE: Final[dict[str, Any]] = {"term": {"deleted": True}}


class TooYoungError(ValueError):
    """Tombstones of this age can still be needed; the text says until when."""


def tombstones(
    client: Elasticsearch, names: IndexNames, retention: RetentionSettings, days: int
) -> int:
    """Remove the tombstones of recordings and of groups that are older than so many days;
    returns how many.

    Raises TooYoungError when an event older than such a tombstone can still come; RefusedError
    while a reindex fills an index; BackendError.
    """
    longest = max(retention.queue_days, retention.dead_letters_days)
    if days < longest:
        raise TooYoungError(
            f"tombstones younger than {longest} days are still needed: an older event can be in "
            f"the queue for {retention.queue_days} days and in the dead letters for "
            f"{retention.dead_letters_days}; {days} is too short"
        )
    old = {"range": {AGE_FIELD: {"lt": f"now-{days}d"}}}
    query = {"bool": {"filter": [_TOMBSTONE, old]}}
    return _delete_recordings(client, names, query) + delete_where(client, names.groups, query)


def tombstone(client: Elasticsearch, names: IndexNames, tenant: str, recording: str) -> bool:
    """Remove this recording's tombstone, whatever its age, so that the recording can be published
    again; returns whether there was one. Raises RefusedError as above; BackendError.
    """
    this = {"ids": {"values": [document_id(tenant, recording)]}}
    return _delete_recordings(client, names, {"bool": {"filter": [_TOMBSTONE, this]}}) > 0


def _delete_recordings(client: Elasticsearch, names: IndexNames, query: dict[str, Any]) -> int:
    """From every index that is written; how many recordings it were."""
    stored = Store(client, names).read()
    if stored.reindex and stored.reindex.phase in _FILLED_NOW:
        raise RefusedError(f"tombstones are not removed now: {stored.reindex}")
    return max(delete_where(client, names.written(index), query) for index in stored.writes)


def letters(client: Elasticsearch, names: IndexNames, retention: RetentionSettings) -> int:
    """Remove the dead letters that are too old; returns how many. Raises BackendError.

    A replayed one stays as long as its event can be in the queue, so that its attempts count on.
    """
    old = {"range": {"lastAt": {"lt": f"now-{retention.dead_letters_days}d"}}}
    queued = {"range": {"replayedAt": {"gte": f"now-{retention.queue_days}d"}}}
    query = {"bool": {"filter": [old], "must_not": [queued]}}
    return delete_where(client, names.dead_letters, query)
