"""Preparing Elasticsearch: what `recordings-indexer init` creates."""

from dataclasses import replace

from elasticsearch import BadRequestError, ConflictError, Elasticsearch

from indexer import dead_letters, mappings, write_set
from indexer.reindex import healing, indices
from services import schema
from services.es_client import failures_as_ours
from services.indices import ONE_SHARD, IndexNames, Layout


def create_missing(
    client: Elasticsearch, names: IndexNames, layout: Layout = ONE_SHARD
) -> list[str]:
    """Create the indices and aliases that are not there, and add to mappings what is new in this
    release; returns what was done. `layout` is of the recordings; everything else is small.

    Safe to repeat and to run twice at once. Raises SchemaVersionError when an index has to be built
    anew; BackendError.
    """
    small = replace(layout, shards=1).settings()
    with failures_as_ours():
        return [
            *_behind_alias(
                client,
                names.groups,
                names.first_groups_index,
                mappings=schema.group_mapping(),
                settings=schema.group_settings() | small,
            ),
            *_behind_alias(
                client,
                names.dead_letters,
                names.first_dead_letters_index,
                mappings=dead_letters.MAPPING,
                settings=small,
            ),
            *_behind_alias(
                client,
                names.reindex,
                names.first_reindex_index,
                mappings={"enabled": False},
                settings=small,
            ),
            *_recordings(client, names, layout),
            *mappings.bring_up(client, names),
        ]


def _recordings(client: Elasticsearch, names: IndexNames, layout: Layout) -> list[str]:
    """The index that is read, and that workers write where nobody has said so yet."""
    if client.exists(index=names.reindex, id=write_set.DOCUMENT):
        return healing.heal(client, names, layout)
    created = _behind_alias(
        client,
        names.recordings,
        names.first_recordings_index,
        mappings=schema.mapping(),
        settings=indices.settings_of_every_day(layout),
    )
    (index,) = client.indices.get_alias(name=names.recordings)
    alias = names.written(index)
    client.indices.put_alias(index=index, name=alias)
    document = {write_set.WRITES: [index]}
    try:
        client.create(index=names.reindex, id=write_set.DOCUMENT, document=document)
    except ConflictError:
        return created  # another `init` was faster
    return [*created, alias]


def _behind_alias(client: Elasticsearch, alias: str, index: str, **body: object) -> list[str]:
    if client.indices.exists_alias(name=alias):
        return []
    return _create(client, index, aliases={alias: {"is_write_index": True}}, **body)


def _create(client: Elasticsearch, index: str, **body: object) -> list[str]:
    if client.indices.exists(index=index):
        return []
    try:
        client.indices.create(index=index, **body)  # type: ignore[arg-type]
    except BadRequestError as error:
        if error.error != "resource_already_exists_exception":
            raise
        return []  # another `init` was faster
    return [index]
