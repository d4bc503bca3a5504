"""The client of the indexer for Elasticsearch, and the failures of Elasticsearch as ours.

The client never retries by itself: who calls knows the deadline. A bulk request merges again first.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, cast

from elasticsearch import ApiError, Elasticsearch, OrjsonSerializer, SSLError, TransportError

from services.errors import BackendError
from services.es_credentials import Credentials, RenewingTransport
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


class UntrustedError(BackendError):
    """The certificate of Elasticsearch is not one to trust."""


def connect(settings: ElasticsearchSettings, timeout: float = TIMEOUT_SECONDS) -> Elasticsearch:
    """A client for the indexer and its commands; `timeout` of one request in seconds."""
    credentials = Credentials(settings)
    context: dict[str, Any] = {}
    if credentials.ssl_context:
        context["ssl_context"] = credentials.ssl_context
    client = Elasticsearch(
        str(settings.url).rstrip("/"),
        serializer=OrjsonSerializer(),
        max_retries=0,
        retry_on_timeout=False,
        request_timeout=timeout,
        transport_class=RenewingTransport,
        **context,
    )
    cast(RenewingTransport, client.transport).credentials = credentials
    return client


@contextmanager
def failures_as_ours() -> Iterator[None]:
    """Turn the client's exceptions into BackendError: what was wrong, and whether to try again."""
    try:
        yield
    except ApiError as error:
        raise failure(error.status_code, error.error, str(error.info)) from error
    except SSLError as error:
        raise untrusted() from error
    except TransportError as error:
        raise BackendError(f"Elasticsearch: {type(error).__name__}", retryable=True) from error


def untrusted() -> UntrustedError:
    """What a certificate that is not trusted is for us."""
    return UntrustedError(
        "Elasticsearch: its certificate is not trusted: it has to be for the host of"
        " RECORDINGS_ELASTICSEARCH_URL, and signed by an authority of"
        " RECORDINGS_ELASTICSEARCH_CA_FILE",
        retryable=True,
    )


def failure(status: int, kind: str, text: str) -> BackendError:
    """What an answer of this status (400 or more), type of error and text is for us."""
    if status == TOO_LARGE:
        return TooLargeError("Elasticsearch answered 413", retryable=False)
    if status == BAD_REQUEST and _TOO_MANY_CLAUSES in text:
        return TooManyClausesError("Elasticsearch: too many clauses", retryable=False)
    retryable = status in RETRYABLE_STATUS or kind == "index_not_found_exception"
    return BackendError(f"Elasticsearch answered {status} {kind}", retryable=retryable)
