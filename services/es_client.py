"""Clients for Elasticsearch, and its failures as ours.

The clients never retry by themselves: who calls knows the deadline. A search has a caller waiting,
a bulk request merges again first.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, cast

from elasticsearch import (
    ApiError,
    AsyncElasticsearch,
    Elasticsearch,
    OrjsonSerializer,
    SSLError,
    TransportError,
)

from services.errors import BackendError
from services.es_credentials import Credentials, RenewingAsyncTransport, RenewingTransport
from services.settings import ElasticsearchSettings

TIMEOUT_SECONDS: Final = 30.0
BAD_REQUEST: Final = 400
TOO_LARGE: Final = 413
_TOO_MANY_CLAUSES: Final = "too many clauses"  # there is no type of error for it
RETRYABLE_STATUS: Final = frozenset({408, 429, 500, 502, 503, 504})


class TooLargeError(BackendError):
    """Elasticsearch takes no request of this size (413)."""


class TooManyClausesError(BackendError):
    """A query stands for more clauses than Elasticsearch takes in one search."""


class UntrustedError(BackendError):
    """The certificate of Elasticsearch is not one to trust."""


def _options(settings: ElasticsearchSettings, credentials: Credentials) -> dict[str, Any]:
    context = {"ssl_context": credentials.ssl_context} if credentials.ssl_context else {}
    return context | {
        "hosts": str(settings.url).rstrip("/"),
        "serializer": OrjsonSerializer(),
        "max_retries": 0,
        "retry_on_timeout": False,
        "request_timeout": TIMEOUT_SECONDS,
    }


def connect(settings: ElasticsearchSettings, timeout: float = TIMEOUT_SECONDS) -> Elasticsearch:
    """A client for the indexer and its commands; `timeout` of one request in seconds."""
    credentials = Credentials(settings)
    options = _options(settings, credentials) | {"request_timeout": timeout}
    client = Elasticsearch(**options, transport_class=RenewingTransport)
    cast(RenewingTransport, client.transport).credentials = credentials
    return client


def connect_async(settings: ElasticsearchSettings, connections: int) -> AsyncElasticsearch:
    """A client for the API, which sends so many requests at once; further ones wait."""
    credentials = Credentials(settings)
    client = AsyncElasticsearch(
        **_options(settings, credentials),
        connections_per_node=connections,
        transport_class=RenewingAsyncTransport,
    )
    cast(RenewingAsyncTransport, client.transport).credentials = credentials
    return client


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
    except SSLError as error:
        raise UntrustedError(
            "Elasticsearch: its certificate is not trusted: it has to be for the host of"
            " RECORDINGS_ELASTICSEARCH_URL, and signed by an authority of"
            " RECORDINGS_ELASTICSEARCH_CA_FILE",
            retryable=True,
        ) from error
    except TransportError as error:
        raise BackendError(f"Elasticsearch: {type(error).__name__}", retryable=True) from error
