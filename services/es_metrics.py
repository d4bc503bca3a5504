"""What a call of Elasticsearch takes and how it ends, measured where every call passes.

A call is named by its operation alone (`_search`, `_bulk`): its path has names of indices and ids.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from elastic_transport import ConnectionTimeout, Transport, TransportApiResponse, TransportError
from prometheus_client import Histogram

from services import traces

SECONDS: Final = Histogram(
    "recordings_elasticsearch_request_seconds",
    "Time of a call of Elasticsearch by operation and outcome, in seconds",
    ["operation", "outcome"],
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30),
)


@dataclass(slots=True)
class _Call:
    # What a call is that ends without a status and without an error of the transport: its caller
    # went away.
    outcome: str = "cancelled"


class MeasuredTransport(Transport):
    """The transport of the programs that write."""

    def perform_request(self, method: str, target: str, **options: Any) -> TransportApiResponse:
        """Send the request and measure it. Raises what the library raises."""
        with measured(target) as call:
            response = super().perform_request(method, target, **options)
            call.outcome = outcome_of(response.meta.status)
        return response


def outcome_of(status: int) -> str:
    """How a call ended that was answered with this status.

    `overloaded` is 429; `refused` is any other fault of ours, also what is not there (404).
    """
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return "overloaded"
    return "ok" if status < 400 else "refused" if status < 500 else "failed"


def operation_of(target: str) -> str:
    """The first part of the path that names an operation: names of indices never begin so."""
    path = target.partition("?")[0]
    return next((part for part in path.split("/") if part.startswith("_")), "index")


@contextmanager
def measured(target: str) -> Iterator[_Call]:
    """Measure a call of this path, whose outcome is set on what is handed out."""
    call, began = _Call(), time.perf_counter()
    try:
        yield call
    except (ConnectionTimeout, TimeoutError):
        call.outcome = "timeout"
        raise
    except (TransportError, OSError):
        call.outcome = "unreachable"
        raise
    finally:
        seconds, operation = time.perf_counter() - began, operation_of(target)
        SECONDS.labels(operation, call.outcome).observe(seconds)
        traces.call(operation, call.outcome, seconds)
