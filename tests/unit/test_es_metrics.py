"""What calls of Elasticsearch are called, and how they end."""

import pytest
from prometheus_client import REGISTRY
from pydantic import AnyHttpUrl

from services.errors import BackendError
from services.es_client import connect, failures_as_ours
from services.es_metrics import operation_of, outcome_of
from services.settings import ElasticsearchSettings


@pytest.mark.parametrize(
    ("target", "operation"),
    [
        pytest.param("/_bulk?require_alias=true", "_bulk", id="of all indices"),
        pytest.param("/voice-recordings/_search?timeout=1s", "_search", id="of an index"),
        pytest.param("/voice-recordings/_doc/_secret", "_doc", id="an id that begins so"),
        pytest.param("/voice-recordings", "index", id="an index itself"),
        pytest.param("/", "index", id="nothing"),
    ],
)
def test_operations(target: str, operation: str) -> None:
    assert operation_of(target) == operation


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(200, "ok"), (201, "ok"), (404, "refused"), (413, "refused"), (429, "overloaded")]
    + [(500, "failed"), (503, "failed")],
)
def test_outcomes(status: int, outcome: str) -> None:
    assert outcome_of(status) == outcome


def test_a_call_that_nobody_answers_is_counted() -> None:
    labels = {"operation": "_count", "outcome": "unreachable"}
    name = "recordings_elasticsearch_request_seconds_count"
    before = REGISTRY.get_sample_value(name, labels) or 0
    nowhere = ElasticsearchSettings(url=AnyHttpUrl("http://127.0.0.1:9"))
    with connect(nowhere) as client, pytest.raises(BackendError), failures_as_ours():
        client.count(index="voice-recordings")
    assert REGISTRY.get_sample_value(name, labels) == before + 1
