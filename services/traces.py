"""Traces (OpenTelemetry), by setting: from a request to `_search`, from a message to `_bulk`.

    request ── its traceparent is its parent ──▶ GET /v1/recordings ──▶ _search, _mget
    messages ── linked by their traceparent ───▶ apply events ────────▶ _mget, _bulk

Off, the SDK is not imported and each function here does nothing after one comparison. Spans are
named by patterns of routes and by operations, their attributes are statuses and numbers. No text of
an exception is recorded, and of a caller's headers nothing but `traceparent` is read.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.trace import Link, Span, SpanKind, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from services.settings import TracesSettings

# What is sent at the end of a process waits no longer than some times this (seconds).
EXPORT_SECONDS: Final = 2.0
# A batch has as many messages as a worker takes at once, and the SDK keeps 128 links by itself.
MOST_LINKS: Final = 10_000
# An exception's text may hold what was asked; the status is set by hand.
_WITHOUT_EXCEPTIONS: Final[Mapping[str, Any]] = {
    "record_exception": False,
    "set_status_on_exception": False,
}
_TRACEPARENT: Final = TraceContextTextMapPropagator()


class _Active:
    """The tracer of this process; None: traces are off."""

    tracer: Tracer | None = None


def start(settings: TracesSettings, service: str) -> None:
    """Send traces from now on, where the settings say so; what is left is sent at the exit."""
    if settings.endpoint is None:
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import SpanLimits, TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased  # noqa: PLC0415

    about = {"service.name": service, "service.version": version("recording-search")}
    provider = TracerProvider(
        resource=Resource.create(about),
        sampler=ParentBased(TraceIdRatioBased(settings.ratio)),
        span_limits=SpanLimits(max_links=MOST_LINKS),
    )
    exporter = OTLPSpanExporter(endpoint=str(settings.endpoint), timeout=EXPORT_SECONDS)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    # Not the global provider: no library makes spans of its own, which could hold anything.
    _Active.tracer = provider.get_tracer("recordings")


def are_on() -> bool:
    """Whether this process sends traces."""
    return _Active.tracer is not None


@contextmanager
def request(method: str, route: str, traceparent: str | None) -> Iterator[Span]:
    """The span of a request, in the caller's trace where `traceparent` names one."""
    with _tracer().start_as_current_span(
        f"{method} {route}",
        _TRACEPARENT.extract({"traceparent": traceparent} if traceparent else {}),
        kind=SpanKind.SERVER,
        attributes={"http.request.method": method, "http.route": route},
        **_WITHOUT_EXCEPTIONS,
    ) as span:
        yield span


def answered(span: Span, status: int) -> None:
    """Say on the span of a request how it was answered."""
    span.set_attribute("http.response.status_code", status)
    if status >= 500:
        span.set_status(StatusCode.ERROR)


@contextmanager
def batch(traceparents: Iterable[object], events: int) -> Iterator[None]:
    """The span of a batch of messages, linked to what each message's header says.

    It is in the trace of the first of them that is sampled, so that one message alone is one trace.
    """
    if _Active.tracer is None:
        yield
        return
    messages = [_TRACEPARENT.extract({"traceparent": one}) for one in _texts(traceparents)]
    known = [(one, trace.get_current_span(one).get_span_context()) for one in messages]
    with _Active.tracer.start_as_current_span(
        "apply events",
        next((one for one, context in known if context.trace_flags.sampled), None),
        kind=SpanKind.CONSUMER,
        links=[Link(context) for _, context in known if context.is_valid],
        attributes={"messaging.system": "celery", "recordings.events": events},
        **_WITHOUT_EXCEPTIONS,
    ) as span:
        try:
            yield
        except BaseException:
            span.set_status(StatusCode.ERROR)
            raise


def call(operation: str, outcome: str, seconds: float) -> None:
    """A call of Elasticsearch that has just ended, as a part of what is under way here.

    A call outside of a request and of a batch (a probe's) is no trace.
    """
    if _Active.tracer is None or not trace.get_current_span().is_recording():
        return
    end = time.time_ns()
    span = _Active.tracer.start_span(
        operation,
        kind=SpanKind.CLIENT,
        attributes={
            "db.system.name": "elasticsearch",
            "db.operation.name": operation,
            "recordings.outcome": outcome,
        },
        start_time=end - int(seconds * 1e9),
    )
    if outcome in {"overloaded", "failed", "timeout", "unreachable"}:
        span.set_status(StatusCode.ERROR)
    span.end(end)


def _tracer() -> Tracer:
    if _Active.tracer is None:
        raise RuntimeError("traces are off")
    return _Active.tracer


def _texts(values: Iterable[object]) -> Iterator[str]:
    """A message's header may be anything."""
    return (one for one in values if isinstance(one, str))
