"""Whether the index that is read was made for this release, asked once when a program starts.

Searches and documents of one version do not fit the index of another: then programs refuse to run,
and say what to do. Workers of the earlier release go on until the reindex has swapped.
"""

from elasticsearch import Elasticsearch

from services import schema
from services.errors import BackendError
from services.es_client import UntrustedError, failures_as_ours
from services.indices import IndexNames


class SchemaVersionError(Exception):
    """The index is of another version than this release; the text says which command to run."""


def version_of(client: Elasticsearch, alias: str) -> tuple[str, int | None]:
    """The index behind this alias, and the version of its mapping. Raises BackendError."""
    with failures_as_ours():
        found = client.indices.get_mapping(index=alias, filter_path=["*.mappings._meta"]).body
        ((index, body),) = found.items() if found else ((alias, {}),)
    return index, body.get("mappings", {}).get("_meta", {}).get("schema_version")


def refuse_another_version(client: Elasticsearch, names: IndexNames) -> None:
    """Raises SchemaVersionError; BackendError when Elasticsearch refuses the question (no right to
    see the mapping, a wrong key) or is not to be trusted: then nothing else would work either, or
    it would work unchecked.

    An Elasticsearch that does not answer is no reason not to start; neither is an index that is not
    there yet.
    """
    try:
        index, version = version_of(client, names.recordings)
    except BackendError as error:
        if isinstance(error, UntrustedError):
            raise
        if error.retryable:
            return
        raise BackendError(
            f"the schema version of {names.recordings} cannot be read (the API key needs"
            f" view_index_metadata): {error}",
            retryable=False,
        ) from error
    if version is not None and version != schema.VERSION:
        raise error_of(index, version)


def error_of(index: str, version: int) -> SchemaVersionError:
    """What to say of this index."""
    if version > schema.VERSION:
        return SchemaVersionError(
            f"{index} has schema version {version}, this release needs {schema.VERSION}:"
            " run the newer release"
        )
    return SchemaVersionError(
        f"{index} has schema version {version}, this release needs {schema.VERSION}: run"
        " `recordings-indexer init`, which adds to it what can be added, and where that is not"
        " enough `recordings-indexer reindex start`"
    )
