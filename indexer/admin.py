"""Preparing Elasticsearch: what `recordings-indexer init` creates."""

from elasticsearch import BadRequestError, ConflictError, Elasticsearch

from indexer import dead_letters, mappings, write_set
from services import schema
from services.es_client import failures_as_ours
from services.indices import IndexNames


def create_missing(client: Elasticsearch, names: IndexNames) -> list[str]:
    """Create the indices and aliases that are not there, and add to mappings what is new in this
    release; returns what was done.

    Safe to repeat and to run twice at once. Raises SchemaVersionError when an index has to be built
    anew; BackendError.
    """
    with failures_as_ours():
        return [
            *_behind_alias(
                client,
                names.recordings,
                names.first_recordings_index,
                mappings=schema.mapping(),
                settings=schema.index_settings(),
            ),
            *_behind_alias(
                client,
                names.groups,
                names.first_groups_index,
                mappings=schema.group_mapping(),
                settings=schema.group_settings(),
            ),
            *_behind_alias(
                client,
                names.dead_letters,
                names.first_dead_letters_index,
                mappings=dead_letters.MAPPING,
                settings=schema.CLUSTER,
            ),
            *_behind_alias(
                client,
                names.reindex,
                names.first_reindex_index,
                mappings={"enabled": False},
                settings=schema.CLUSTER,
            ),
            *_write_set(client, names),
            *mappings.bring_up(client, names),
        ]


def _write_set(client: Elasticsearch, names: IndexNames) -> list[str]:
    """What workers write, where nobody has said so yet: the index that is read."""
    if client.exists(index=names.reindex, id=write_set.DOCUMENT):
        return []
    (index,) = client.indices.get_alias(name=names.recordings)
    alias = names.written(index)
    client.indices.put_alias(index=index, name=alias)
    document = {write_set.WRITES: [index]}
    try:
        client.create(index=names.reindex, id=write_set.DOCUMENT, document=document)
    except ConflictError:
        return []  # another `init` was faster
    return [alias]


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
