"""Removing what is too old to matter: tombstones of recordings and groups, and dead letters.

A tombstone keeps an older event from bringing its thing back, so it has to outlive every such
event: in the queue (`queue_days`) and in the dead letters (`dead_letters_days`). Its age counts
from when it was written, because an old deletion may be applied today while a save that is older
still waits behind it. What is no tombstone any more when its turn comes is not deleted
(`indexer.deletion`).
"""

from typing import Any, Final

from elasticsearch import Elasticsearch

from indexer.deletion import delete_where
from services.documents import document_id
from services.indices import IndexNames
from services.settings import RetentionSettings

AGE_FIELD: Final = "writtenAt"
_TOMBSTONE: Final[dict[str, Any]] = {"term": {"deleted": True}}


class TooYoungError(ValueError):
    """Tombstones of this age can still be needed; the text says until when."""


def tombstones(
    client: Elasticsearch, names: IndexNames, retention: RetentionSettings, days: int
) -> int:
    """Remove the tombstones of recordings and of groups that are older than so many days;
    returns how many.

    Raises TooYoungError when an event older than such a tombstone can still come; BackendError.
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
    return sum(delete_where(client, alias, query) for alias in (names.recordings, names.groups))


def tombstone(client: Elasticsearch, names: IndexNames, tenant: str, recording: str) -> bool:
    """Remove this recording's tombstone, whatever its age, so that the recording can be published
    again; returns whether there was one. Raises BackendError.
    """
    this = {"ids": {"values": [document_id(tenant, recording)]}}
    return delete_where(client, names.recordings, {"bool": {"filter": [_TOMBSTONE, this]}}) > 0


def letters(client: Elasticsearch, names: IndexNames, retention: RetentionSettings) -> int:
    """Remove the dead letters that are too old; returns how many. Raises BackendError.

    A replayed one stays as long as its event can be in the queue, so that its attempts count on.
    """
    old = {"range": {"lastAt": {"lt": f"now-{retention.dead_letters_days}d"}}}
    queued = {"range": {"replayedAt": {"gte": f"now-{retention.queue_days}d"}}}
    query = {"bool": {"filter": [old], "must_not": [queued]}}
    return delete_where(client, names.dead_letters, query)
