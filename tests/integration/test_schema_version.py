"""An index of another version: what grows is added in place, everything else is refused."""

import copy
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from elasticsearch import Elasticsearch

from indexer import admin
from services import schema
from services.indices import IndexNames
from services.schema_version import SchemaVersionError, refuse_another_version, version_of


@pytest.fixture
def old(elasticsearch: Elasticsearch) -> Iterator[IndexNames]:
    """Indices as this release makes them; the tests then change the release."""
    names = IndexNames(f"test-{uuid.uuid4().hex[:8]}")
    admin.create_missing(elasticsearch, names)
    yield names
    elasticsearch.indices.delete(index=names.first_indices)


@pytest.fixture
def next_version(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The next release: its version, and its fields to change."""
    fields: dict[str, Any] = copy.deepcopy(schema.FIELDS)
    monkeypatch.setattr(schema, "VERSION", schema.VERSION + 1)
    monkeypatch.setattr(schema, "FIELDS", fields)
    return fields


def test_the_same_version_is_fine(elasticsearch: Elasticsearch, old: IndexNames) -> None:
    refuse_another_version(elasticsearch, old)
    assert admin.create_missing(elasticsearch, old) == []


def test_an_index_that_is_not_there_yet_is_fine(elasticsearch: Elasticsearch) -> None:
    refuse_another_version(elasticsearch, IndexNames("test-nowhere"))


def test_a_new_field_is_added_in_place(
    elasticsearch: Elasticsearch, old: IndexNames, next_version: dict[str, Any]
) -> None:
    next_version["department"] = {"type": "keyword"}
    next_version["tags"]["properties"]["color"] = {"type": "keyword"}
    with pytest.raises(SchemaVersionError, match="recordings-indexer init"):
        refuse_another_version(elasticsearch, old)
    assert len(admin.create_missing(elasticsearch, old)) == 2
    refuse_another_version(elasticsearch, old)
    found = elasticsearch.indices.get_mapping(index=old.recordings)
    (mapping,) = (body["mappings"] for body in found.values())
    assert mapping["properties"]["department"] == {"type": "keyword"}
    assert admin.create_missing(elasticsearch, old) == []


def test_another_type_is_refused(
    elasticsearch: Elasticsearch, old: IndexNames, next_version: dict[str, Any]
) -> None:
    next_version["channels"] = {"type": "keyword"}
    with pytest.raises(SchemaVersionError, match="reindex start"):
        admin.create_missing(elasticsearch, old)
    assert version_of(elasticsearch, old.recordings)[1] == schema.VERSION - 1


def test_a_field_less_is_refused(
    elasticsearch: Elasticsearch, old: IndexNames, next_version: dict[str, Any]
) -> None:
    del next_version["channels"]
    with pytest.raises(SchemaVersionError, match="reindex start"):
        admin.create_missing(elasticsearch, old)


def test_another_analysis_is_refused(
    elasticsearch: Elasticsearch,
    old: IndexNames,
    next_version: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(schema, "APOSTROPHES", "x")
    with pytest.raises(SchemaVersionError, match="reindex start"):
        admin.create_missing(elasticsearch, old)


def test_an_index_of_a_newer_release_is_refused(
    elasticsearch: Elasticsearch, old: IndexNames, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "VERSION", schema.VERSION - 1)
    with pytest.raises(SchemaVersionError, match="newer release"):
        refuse_another_version(elasticsearch, old)
    with pytest.raises(SchemaVersionError, match="newer release"):
        admin.create_missing(elasticsearch, old)
