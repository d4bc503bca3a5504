"""Programs refuse to run against an index of another schema version, and say what to do."""

from typing import Any

import pytest
from elasticsearch import Elasticsearch

from services import schema
from services.indices import IndexNames


@pytest.mark.parametrize(
    ("version", "advice"),
    [
        pytest.param(schema.VERSION + 1, "newer release", id="a newer one"),
        pytest.param(schema.VERSION - 1, "recordings-indexer reindex start", id="an older one"),
    ],
)
def test_another_version_is_refused(
    make_deployment: Any, elasticsearch_url: str, version: int, advice: str
) -> None:
    with make_deployment() as deployment, Elasticsearch(elasticsearch_url) as client:
        names = IndexNames(deployment.environment["RECORDINGS_INDEX_PREFIX"])
        # A field that this release does not have: nothing that can be added makes it fit.
        client.indices.put_mapping(
            index=names.recordings,
            meta={"schema_version": version},
            properties={"formerly": {"type": "keyword"}},
        )
        for command in (
            ("recordings-indexer", "worker"),
            ("recordings-indexer", "init"),
            ("recordings-api", "serve"),
        ):
            refused = deployment.run(*command)
            assert refused.returncode == 2, command
            assert advice in refused.stderr
            assert f"schema version {version}" in refused.stderr
            assert "Traceback" not in refused.stderr
