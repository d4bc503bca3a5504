"""What a worker shows of itself, and when it stops by itself."""

import json
import re
import socket
from collections.abc import Callable
from typing import Any

import redis
import requests

from indexer.health import Heart
from services.indices import IndexNames

OWNER = "1efc024d-0000-4000-8000-00000000000a"


def saved(number: int, owner: str = OWNER) -> dict[str, Any]:
    return {
        "type": "recording.saved",
        "tenantId": "acme",
        "recordingId": f"r-{number}",
        "version": 1,
        "occurredAt": "2026-04-25T10:30:00Z",
        "recording": {"ownerId": owner, "from": {"fullName": "Sentinel", "phoneNumber": None}},
    }


def publish(deployment: Any, events: list[dict[str, Any]]) -> None:
    lines = "\n".join(map(json.dumps, events)).encode()
    assert deployment.run("recordings-indexer", "publish", "-", given=lines).returncode == 0


def test_a_worker_shows_what_it_does(deployment: Any, eventually: Callable[..., Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    worker = deployment.start(
        "recordings-indexer", "worker", RECORDINGS_WORKER_METRICS_PORT=str(port)
    )
    events = [saved(n) for n in range(30)]
    publish(deployment, [*events, *events, saved(99, owner="nobody")])

    def metrics() -> dict[str, float]:
        try:
            text = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=5).text
        except requests.ConnectionError:
            return {}
        lines = re.findall(r"^recordings_indexer_(\S+) (\S+)$", text, re.MULTILINE)
        return {name: float(value) for name, value in lines}

    def settled() -> bool:
        shown = metrics()
        return shown.get("batch_events_sum") == 61 and shown["published_lag_seconds_count"] > 0

    eventually(settled)
    shown = metrics()
    done = shown.get('events_total{outcome="done",type="recording.saved"}', 0)
    superseded = shown.get('events_total{outcome="superseded",type="recording.saved"}', 0)
    assert done + superseded == 60
    assert shown['events_total{outcome="dead",type="invalid"}'] == 1
    assert shown["lag_seconds_count"] == done
    assert shown["queue_messages"] == 0
    assert requests.get(f"http://127.0.0.1:{port}/healthz", timeout=5).status_code == 200
    assert "Sentinel" not in deployment.log_of(worker)
    assert "Sentinel" not in requests.get(f"http://127.0.0.1:{port}/metrics", timeout=5).text


def test_a_heart_that_is_still_is_not_alive() -> None:
    assert Heart(patience=3600).alive
    assert not Heart(patience=0).alive


def test_a_worker_stops_when_most_events_fail(
    make_deployment: Any, eventually: Callable[..., Any], elasticsearch_url: str
) -> None:
    with make_deployment() as deployment:
        worker = deployment.start(
            "recordings-indexer", "worker", RECORDINGS_WORKER_BUDGET_EXIT_STATUS="7"
        )
        publish(deployment, [saved(n, owner="nobody") for n in range(1000)])
        assert worker.wait(timeout=60) == 7
        log = deployment.log_of(worker)
        assert '"event": "budget_spent"' in log
        assert "Traceback" not in log
        names = IndexNames(deployment.environment["RECORDINGS_INDEX_PREFIX"])
        letters = f"{elasticsearch_url}/{names.dead_letters}"
        requests.post(f"{letters}/_refresh", timeout=30)
        assert requests.get(f"{letters}/_count", timeout=30).json()["count"] < 500
        with redis.Redis.from_url(deployment.environment["RECORDINGS_REDIS_URL"]) as broker:
            # The rest is still there for a worker that understands it.
            assert broker.llen("recordings") + broker.hlen("unacked") >= 3
