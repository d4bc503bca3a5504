"""Deleting what a query finds, while others write."""

from collections.abc import Mapping
from typing import Any, Final

from elasticsearch import Elasticsearch

from services.errors import BackendError
from services.es_client import failures_as_ours

# So that one request ends well before the client's timeout.
AT_ONCE: Final = 5_000


def delete_where(client: Elasticsearch, index: str, query: Mapping[str, Any]) -> int:
    """Delete every document that the query finds; returns how many. Raises BackendError.

    `_delete_by_query` deletes a document only in the version that it found. One that was written
    meanwhile is left alone, looked at again after the next refresh, and stays when it does not
    match any more.
    """
    deleted = 0
    while True:
        with failures_as_ours():
            client.indices.refresh(index=index)
            answer = client.delete_by_query(
                index=index, query=query, conflicts="proceed", max_docs=AT_ONCE
            )
        if answer["failures"]:
            raise BackendError("not everything could be deleted", retryable=True)
        count: int = answer["deleted"]
        deleted += count
        if count < AT_ONCE and not answer["version_conflicts"]:
            return deleted
