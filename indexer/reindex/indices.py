"""What a reindex does to indices and aliases. Every function may be repeated after a kill."""

from collections.abc import Mapping
from typing import Any, Final

from elasticsearch import BadRequestError, Elasticsearch

from services import schema
from services.errors import BackendError
from services.es_client import failures_as_ours
from services.indices import IndexNames, Layout

# No refreshes and no copies while it is filled. The translog stays as safe as ever: workers write
# here too, and what they take for done must not be lost with a server.
FAST: Final[dict[str, Any]] = {
    "refresh_interval": "-1",
    "auto_expand_replicas": "false",
    "number_of_replicas": 0,
}
COPIES_SECONDS: Final = 20
ALREADY_THERE: Final = "resource_already_exists_exception"


def settings_of_every_day(layout: Layout) -> dict[str, Any]:
    """The settings of an index that is read and written."""
    return schema.index_settings() | layout.settings()


def create(
    client: Elasticsearch, names: IndexNames, index: str, settings: Mapping[str, Any]
) -> None:
    """Make the new index, with the alias by which it is written. Raises BackendError."""
    with failures_as_ours():
        try:
            client.indices.create(
                index=index,
                mappings=schema.mapping(),
                settings=settings,
                aliases={names.written(index): {}},
            )
        except BadRequestError as error:
            if error.error != ALREADY_THERE:
                raise


def finish(client: Elasticsearch, index: str, layout: Layout) -> None:
    """Give the filled index the settings of every day. Raises BackendError."""
    usual = settings_of_every_day(layout)
    with failures_as_ours():
        client.indices.put_settings(
            index=index, settings={name: usual[name] for name in FAST if name in usual}
        )
        client.cluster.health(
            index=index,
            wait_for_no_initializing_shards=True,
            timeout=f"{COPIES_SECONDS}s",
        )


def read_index(client: Elasticsearch, names: IndexNames) -> str:
    """The index that searches read. Raises BackendError."""
    with failures_as_ours():
        found = list(client.indices.get_alias(name=names.recordings))
    if len(found) != 1:
        raise BackendError(f"{names.recordings} stands for {len(found)} indices", retryable=False)
    return found[0]


def read_from(client: Elasticsearch, names: IndexNames, index: str) -> None:
    """Let searches read this index, in one step. Raises BackendError."""
    before = read_index(client, names)
    if before == index:
        return
    alias = names.recordings
    with failures_as_ours():
        client.indices.update_aliases(
            actions=[
                {"remove": {"index": before, "alias": alias, "must_exist": True}},
                {"add": {"index": index, "alias": alias, "is_write_index": True}},
            ]
        )


def delete(client: Elasticsearch, names: IndexNames, index: str) -> None:
    """Delete an index that nobody reads. Raises BackendError."""
    if read_index(client, names) == index:
        raise BackendError(f"{index} is read by searches", retryable=False)
    with failures_as_ours():
        client.indices.delete(index=index, ignore_unavailable=True)
