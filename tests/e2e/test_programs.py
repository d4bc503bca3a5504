"""The programs by themselves: Ctrl-C, exit statuses, what they say."""

import gzip
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

OWNER = "1efc024d-0000-4000-8000-00000000000a"


def saved(number: int, text: str) -> dict[str, Any]:
    return {
        "type": "recording.saved",
        "tenantId": "acme",
        "recordingId": f"r-{number}",
        "version": 1,
        "occurredAt": "2026-04-25T10:30:00Z",
        "recording": {
            "ownerId": OWNER,
            "language": "en",
            "transcript": [{"speaker": "agent", "offset": 0, "text": text}],
        },
    }


@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_worker_stopped_in_the_middle_loses_nothing(
    make_deployment: Any,
    tmp_path: Path,
    eventually: Callable[..., Any],
    interrupt: Callable[..., float],
    signal_: int,
) -> None:
    text = "refund " * 300
    with make_deployment() as deployment:
        file = tmp_path / "events.ndjson.gz"
        with gzip.open(file, "wt") as lines:
            lines.writelines(json.dumps(saved(n, text)) + "\n" for n in range(6000))
        assert deployment.run("recordings-indexer", "publish", str(file)).returncode == 0
        deployment.serve()
        first = deployment.start("recordings-indexer", "worker")
        eventually(lambda: deployment.total() > 0)
        took = interrupt(first, signal_)
        assert first.returncode == 0
        assert "Traceback" not in deployment.log_of(first)
        assert took < 10
        assert 0 < deployment.total() < 6000, "the worker was not stopped in the middle"
        deployment.start("recordings-indexer", "worker")
        eventually(lambda: deployment.total() == 6000)


@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_the_api_stops_without_a_trace(
    make_deployment: Any, interrupt: Callable[..., float], signal_: int
) -> None:
    with make_deployment() as deployment:
        process = deployment.serve()
        with requests.Session() as session:  # a connection that is kept alive
            assert session.get(f"{deployment.base}/readyz", timeout=10).ok
            assert interrupt(process, signal_) < 10
        assert process.returncode == 0
        assert "Traceback" not in deployment.log_of(process)


def test_single_events_are_gathered(make_deployment: Any, eventually: Callable[..., Any]) -> None:
    with make_deployment() as deployment:
        deployment.serve()
        worker = deployment.start("recordings-indexer", "worker")
        send(deployment, [saved(n, "hello") for n in range(300)])
        eventually(lambda: deployment.total() == 300)
        bulks = deployment.log_of(worker).count("events_applied")
        assert bulks < 100


def send(deployment: Any, events: list[dict[str, Any]]) -> None:
    """As the product does it: one message with one event each."""
    from indexer.celery_app import make_app  # noqa: PLC0415
    from services.settings import RedisSettings  # noqa: PLC0415

    app = make_app(RedisSettings(redis_url=deployment.environment["RECORDINGS_REDIS_URL"]))
    with app.producer_or_acquire() as producer:
        for event in events:
            app.send_task("indexer.apply_event", args=[event], producer=producer)


def test_publish_sends_what_is_json_and_reports_what_is_not(
    make_deployment: Any, eventually: Callable[..., Any]
) -> None:
    good = json.dumps(saved(1, "hello")).encode()
    lines = [good, b"", b"{secret", b'{"a": NaN}', b"\xff", b"[" * 100_000, b'{"not": "an event"}']
    with make_deployment() as deployment:
        done = deployment.run("recordings-indexer", "publish", "-", given=b"\n".join(lines))
        assert done.returncode == 1
        assert "published 2 events" in done.stdout
        assert [line.split(":")[0] for line in done.stderr.splitlines() if "not JSON" in line] == [
            "line 3",
            "line 4",
            "line 5",
            "line 6",
        ]
        assert "secret" not in done.stderr
        deployment.serve()
        deployment.start("recordings-indexer", "worker")
        eventually(lambda: deployment.total() == 1)


@pytest.mark.parametrize(
    ("command", "changes", "status", "told"),
    [
        pytest.param(
            ["recordings-api", "serve"],
            {"RECORDINGS_API_PORT": "x"},
            2,
            "RECORDINGS_API_PORT",
            id="wrong setting of the API",
        ),
        pytest.param(
            ["recordings-api", "serve"],
            {"RECORDINGS_AUTH_PUBLIC_KEY": "x"},
            2,
            "RECORDINGS_AUTH_PUBLIC_KEY",
            id="no key",
        ),
        pytest.param(
            ["recordings-indexer", "worker"],
            {"RECORDINGS_VISIBILITY_TIMEOUT": "soon"},
            2,
            "RECORDINGS_VISIBILITY_TIMEOUT",
            id="wrong setting of the worker",
        ),
        pytest.param(
            ["recordings-indexer", "init"],
            {"RECORDINGS_ELASTICSEARCH_URL": "http://127.0.0.1:9"},
            1,
            "Elasticsearch",
            id="no Elasticsearch",
        ),
        pytest.param(
            ["recordings-indexer", "publish", "-"],
            {"RECORDINGS_REDIS_URL": "redis://127.0.0.1:9/0"},
            1,
            "Redis",
            id="no broker",
        ),
        pytest.param(
            ["recordings-indexer", "publish", "no-such-file"], {}, 2, "no-such-file", id="no file"
        ),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(
    deployment: Any, command: list[str], changes: dict[str, str], status: int, told: str
) -> None:
    done = deployment.run(*command, given=b"{}", **changes)
    assert done.returncode == status
    assert told in done.stderr
    assert "Traceback" not in done.stderr
