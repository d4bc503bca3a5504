"""Bringing the mapping of an index to the version of this release in place, where it only grows.

What is there already must stay as it is, fields and text analysis: then documents that are not
written anew are still right, and what is new is just not in them yet.
"""

from collections.abc import Mapping
from typing import Any, Final

from elasticsearch import Elasticsearch

from services import schema
from services.indices import IndexNames
from services.schema_version import error_of, version_of

META: Final = "_meta"
# Of the settings, what decides how a text is found.
DECIDING: Final = ("analysis", "similarity")


def bring_up(client: Elasticsearch, names: IndexNames) -> list[str]:
    """Add to the mappings what is new; returns the indices that changed.

    Raises SchemaVersionError when an index has to be built anew; ApiError.
    """
    return [
        *_bring_up(client, names.recordings, schema.mapping(), schema.index_settings()),
        *_bring_up(client, names.groups, schema.group_mapping(), schema.group_settings()),
    ]


def _bring_up(
    client: Elasticsearch, alias: str, mapping: dict[str, Any], settings: dict[str, Any]
) -> list[str]:
    index, version = version_of(client, alias)
    if version is None or version == schema.VERSION:
        return []
    live = client.indices.get_mapping(index=index)[index]["mappings"]
    live_settings = client.indices.get_settings(index=index)[index]["settings"]["index"]
    grows = version < schema.VERSION and is_part_of(live, {**mapping, META: live.get(META)})
    if not grows or not same_analysis(live_settings, settings):
        raise error_of(index, version)
    client.indices.put_mapping(index=index, meta=mapping[META], properties=mapping["properties"])
    return [f"{index} (mapping of version {schema.VERSION})"]


def is_part_of(part: object, whole: object) -> bool:
    """Whether everything in this JSON value is the same in the other one, which may hold more."""
    if isinstance(part, Mapping) and isinstance(whole, Mapping):
        return all(name in whole and is_part_of(part[name], whole[name]) for name in part)
    return as_settings_are(part) == as_settings_are(whole)


def same_analysis(live: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether texts are taken apart and weighed as this release wants it."""
    return all(
        as_settings_are(live.get(name, {})) == as_settings_are(wanted.get(name, {}))
        for name in DECIDING
    )


def as_settings_are(value: object) -> object:
    """Elasticsearch hands settings back as text."""
    if isinstance(value, Mapping):
        return {name: as_settings_are(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [as_settings_are(one) for one in value]
    return str(value).lower() if isinstance(value, bool) else str(value)
