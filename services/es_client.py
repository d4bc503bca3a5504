"""Clients for Elasticsearch, and its failures as ours.

The clients never retry by themselves: who calls knows the deadline. A search has a caller waiting,
a bulk request merges again first.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from elasticsearch import (
    ApiError,
    AsyncElasticsearch,
    Elasticsearch,
    OrjsonSerializer,
    TransportError,
)

from services.errors import BackendError
from services.es_metrics import MeasuredAsyncTransport, MeasuredTransport
from services.settings import ElasticsearchSettings

TIMEOUT_SECONDS: Final = 30.0
BAD_REQUEST: Final = 400
TOO_LARGE: Final = 413
_TOO_MANY_CLAUSES: Final = "too many clauses"  # there is no type of error for it
# The client's own spans would hold paths with ids, and take time when nobody wants them: ours are
# made where calls are measured. It reads this when a client is made, there is no other way.
os.environ["OTEL_PYTHON_INSTRUMENTATION_ELASTICSEARCH_ENABLED"] = "false"
RETRYABLE_STATUS: Final = frozenset({408, 429, 500, 502, 503, 504})


class TooLargeError(BackendError):
    """Elasticsearch takes no request of this size (413)."""


class TooManyClausesError(BackendError):
    """A query stands for more clauses than Elasticsearch takes in one search."""


def _options(settings: ElasticsearchSettings) -> dict[str, Any]:
    key = settings.api_key
    authority = {"ca_certs": str(settings.ca_file)} if settings.ca_file else {}
    return authority | {
        "hosts": str(settings.url).rstrip("/"),
        "api_key": key.get_secret_value() if key else None,
        "serializer": OrjsonSerializer(),
        "max_retries": 0,
        "retry_on_timeout": False,
        "request_timeout": TIMEOUT_SECONDS,
    }


def connect(settings: ElasticsearchSettings, timeout: float = TIMEOUT_SECONDS) -> Elasticsearch:
    """A client for the indexer and its commands; `timeout` of one request in seconds."""
    options = _options(settings) | {"request_timeout": timeout}
    return Elasticsearch(**options, transport_class=MeasuredTransport)


def connect_async(settings: ElasticsearchSettings, connections: int) -> AsyncElasticsearch:
    """A client for the API, which sends so many requests at once; further ones wait."""
    return AsyncElasticsearch(
        **_options(settings),
        connections_per_node=connections,
        transport_class=MeasuredAsyncTransport,
    )


@contextmanager
def failures_as_ours() -> Iterator[None]:
    """Turn the client's exceptions into BackendError: what was wrong, and whether to try again."""
    try:
        yield
    except ApiError as error:
        if error.status_code == TOO_LARGE:
            raise TooLargeError("Elasticsearch answered 413", retryable=False) from error
        if error.status_code == BAD_REQUEST and _TOO_MANY_CLAUSES in str(error.info):
            raise TooManyClausesError("Elasticsearch: too many clauses", retryable=False) from error
        retryable = (
            error.status_code in RETRYABLE_STATUS or error.error == "index_not_found_exception"
        )
        raise BackendError(
            f"Elasticsearch answered {error.status_code} {error.error}", retryable=retryable
        ) from error
    except TransportError as error:
        raise BackendError(f"Elasticsearch: {type(error).__name__}", retryable=True) from error
