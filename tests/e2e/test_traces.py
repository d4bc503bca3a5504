"""Traces as a collector gets them: from a request to `_search`, from a message to `_bulk`."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from indexer.celery_app import QUEUE, make_app
from services.settings import RedisSettings

OWNER: Final = "5a5a5a5a-0000-4000-8000-00000000000a"
TENANT: Final = "Umbrella-GmbH"
CALLER: Final = "0af7651916cd43dd8448eb211c80319c"
FIRST, SECOND = "1bf7651916cd43dd8448eb211c80319c", "2cf7651916cd43dd8448eb211c80319c"
SPAN: Final = "b7ad6b7169203331"
SOON: Final = {"OTEL_BSP_SCHEDULE_DELAY": "100"}
# Of what is said, asked and known of callers.
PERSONAL: Final = (OWNER, TENANT, "zebrafish", "wolverine", "quillon", "tangerine", "vendor=secret")


def saved(name: str) -> dict[str, Any]:
    return {
        "type": "recording.saved",
        "tenantId": TENANT,
        "recordingId": f"quillon-{name}",
        "version": 1,
        "occurredAt": "2026-04-25T10:30:00Z",
        "recording": {
            "ownerId": OWNER,
            "language": "en",
            "transcript": [{"speaker": "agent", "offset": 1, "text": "zebrafish"}],
        },
    }


def traceparent(trace: str, flags: str = "01") -> str:
    return f"00-{trace}-{SPAN}-{flags}"


@dataclass(frozen=True)
class Span:
    """What is looked at of a span; ids in hexadecimal."""

    name: str
    service: str
    trace: str
    id: str
    parent: str
    kind: int
    links: tuple[str, ...]
    attributes: dict[str, Any]
    failed: bool
    events: int
    seconds: float


@dataclass
class Collector:
    """Takes OTLP over HTTP on 127.0.0.1."""

    received: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        received = self.received

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                received.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def settings(self) -> dict[str, str]:
        url = f"http://127.0.0.1:{self.server.server_port}/v1/traces"
        return SOON | {"RECORDINGS_TRACES_ENDPOINT": url}

    @property
    def spans(self) -> list[Span]:
        return [
            Span(
                name=span.name,
                service=_attributes(resource.resource.attributes)["service.name"],
                trace=span.trace_id.hex(),
                id=span.span_id.hex(),
                parent=span.parent_span_id.hex(),
                kind=span.kind,
                links=tuple(link.trace_id.hex() for link in span.links),
                attributes=_attributes(span.attributes),
                failed=span.status.code == 2,
                events=len(span.events),
                seconds=(span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
            )
            for body in list(self.received)
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def named(self, name: str, **wanted: str) -> list[Span]:
        return [
            one
            for one in self.spans
            if one.name == name and all(getattr(one, key) == value for key, value in wanted.items())
        ]


def _attributes(pairs: Any) -> dict[str, Any]:
    return {one.key: one.value.string_value or one.value.int_value for one in pairs}


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_a_request_and_a_message_can_be_followed(
    make_deployment: Any,
    make_token: Callable[..., str],
    collector: Collector,
    eventually: Callable[..., Any],
    interrupt: Callable[..., float],
) -> None:
    with make_deployment() as deployment:
        product = make_app(RedisSettings(redis_url=deployment.environment["RECORDINGS_REDIS_URL"]))
        for name, headers in (
            ("first", {"traceparent": traceparent(FIRST)}),
            ("second", {"traceparent": traceparent(SECOND)}),
            ("third", {"traceparent": f"{OWNER} {TENANT}"}),
            ("fourth", {"traceparent": 7}),
            ("fifth", {}),
        ):
            product.send_task(
                "indexer.apply_event", args=[saved(name)], headers=headers, queue=QUEUE
            )
        worker = deployment.start("recordings-indexer", "worker", **collector.settings)
        api = deployment.serve(**collector.settings)
        token = make_token(OWNER, "user", TENANT)
        bearer = {"Authorization": f"Bearer {token}"}
        given = bearer | {"traceparent": traceparent(CALLER), "tracestate": "vendor=secret"}

        def total() -> int:
            answer = deployment.get(headers=bearer, words="zebrafish OR wolverine")
            found: int = answer.json()["total"]
            return found

        eventually(lambda: total() == 5)
        assert deployment.get(headers=given, words="zebrafish", tel="5551234").status_code == 200
        assert deployment.get("/v1/recordings/tangerine", headers=given).status_code == 404
        assert deployment.get("/tangerine?tangerine", headers=given).status_code == 404
        unsampled = bearer | {"traceparent": traceparent(CALLER, "00")}
        assert deployment.get(headers=unsampled, sentiment="ERROR").status_code == 200
        assert deployment.get("/readyz", headers={}).status_code == 200
        interrupt(api)
        interrupt(worker)

        root, single = (
            collector.named(f"GET /v1/recordings{rest}", trace=CALLER) for rest in ("", "/{id}")
        )
        assert [(one.parent, one.service, one.kind) for one in root] == [
            (SPAN, "recordings-api", 2)
        ]
        assert root[0].attributes == {
            "http.request.method": "GET",
            "http.route": "/v1/recordings",
            "http.response.status_code": 200,
        }
        assert single[0].attributes["http.response.status_code"] == 404
        searches = collector.named("_search", trace=CALLER)
        assert {one.parent for one in searches} == {root[0].id, single[0].id}
        assert [one.attributes for one in searches] == 2 * [
            {
                "db.system.name": "elasticsearch",
                "db.operation.name": "_search",
                "recordings.outcome": "ok",
            }
        ]
        assert 0 < searches[0].seconds < root[0].seconds
        assert len(collector.named("GET unknown", trace=CALLER)) == 1
        assert not any(one.parent == "" for one in collector.named("_search")), "of a probe"

        batches = collector.named("apply events")
        linked = {link for one in batches for link in one.links}
        assert linked == {FIRST, SECOND}
        assert all(one.trace in one.links for one in batches if one.links)
        assert sum(one.attributes["recordings.events"] for one in batches) == 5
        bulks = collector.named("_bulk")
        assert {one.parent for one in bulks} == {one.id for one in batches}
        assert {one.service for one in bulks} == {"recordings-worker"}

        assert not any(one.events for one in collector.spans)
        everything = b"".join(collector.received).decode(errors="replace").lower()
        for value in (*PERSONAL, *token.split(".")):
            assert value.lower() not in everything, value
        lines = [json.loads(line) for line in deployment.log_of(api).splitlines()]
        assert all(isinstance(one, dict) for one in lines)


def test_a_failed_call_is_a_failed_span(
    make_deployment: Any,
    relay: Any,
    collector: Collector,
    eventually: Callable[..., Any],
) -> None:
    with make_deployment() as deployment:
        api = deployment.serve(
            RECORDINGS_ELASTICSEARCH_URL=f"http://127.0.0.1:{relay.port}", **collector.settings
        )
        relay.cut()
        answer = deployment.get(words="wolverine")
        assert answer.status_code == 503
        (search,) = eventually(lambda: collector.named("_search"))
        (request,) = eventually(lambda: collector.named("GET /v1/recordings"))
        assert (search.failed, search.attributes["recordings.outcome"]) == (True, "unreachable")
        assert (request.failed, search.parent, search.trace) == (True, request.id, request.trace)
        lines = [json.loads(line) for line in deployment.log_of(api).splitlines()]
        (failed,) = [one for one in lines if one["event"] == "backend_failed"]
        assert failed["trace_id"] == request.trace


def test_a_collector_that_is_away_takes_nothing_along(
    make_deployment: Any, interrupt: Callable[..., float]
) -> None:
    with make_deployment() as deployment:
        api = deployment.serve(RECORDINGS_TRACES_ENDPOINT="http://127.0.0.1:9/v1/traces", **SOON)
        assert deployment.get(words="wolverine").status_code == 200
        interrupt(api)
        assert api.returncode == 0
        lines = [json.loads(line) for line in deployment.log_of(api).splitlines()]
        assert all("wolverine" not in str(one) for one in lines)


def test_a_share_of_none_sends_nothing(
    make_deployment: Any, collector: Collector, interrupt: Callable[..., float]
) -> None:
    with make_deployment() as deployment:
        api = deployment.serve(RECORDINGS_TRACES_RATIO="0", **collector.settings)
        assert deployment.get().status_code == 200
        interrupt(api)
        assert collector.spans == []


@pytest.mark.parametrize(
    ("program", "libraries"),
    [
        ("api.cli", ("opentelemetry.sdk", "opentelemetry.exporter", "google.protobuf")),
        # The client of Redis imports the SDK by itself, for metrics that nobody asked for.
        ("indexer.cli", ("opentelemetry.exporter", "google.protobuf")),
    ],
)
def test_without_the_setting_nothing_is_even_imported(
    program: str, libraries: tuple[str, ...]
) -> None:
    code = (
        f"import sys, {program}\n"
        f"print([one for one in sys.modules if one.startswith({libraries!r})])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout == "[]\n"
