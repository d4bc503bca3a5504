"""Elasticsearch goes away and comes back: what callers see, and that no event is lost."""

import json
from collections.abc import Callable
from typing import Any

import redis
import requests

OWNER = "1efc024d-0000-4000-8000-00000000000a"


def events(count: int) -> bytes:
    return b"\n".join(
        json.dumps(
            {
                "type": "recording.saved",
                "tenantId": "acme",
                "recordingId": f"r-{number}",
                "version": 1,
                "occurredAt": "2026-04-25T10:30:00Z",
                "recording": {"ownerId": OWNER},
            }
        ).encode()
        for number in range(count)
    )


def test_callers_get_503_while_elasticsearch_is_away(deployment: Any, relay: Any) -> None:
    deployment.serve(RECORDINGS_ELASTICSEARCH_URL=f"http://127.0.0.1:{relay.port}")
    assert deployment.get().status_code == 200
    relay.cut()
    for path in ("/v1/recordings", "/v1/recordings/r-1", "/readyz"):
        answer = deployment.get(path)
        assert_unavailable(answer)
    assert deployment.get("/healthz").status_code == 200
    assert deployment.get(headers={}).status_code == 401
    assert deployment.get(quantity=0).status_code == 400
    relay.mend()
    assert deployment.get().status_code == 200


def assert_unavailable(answer: requests.Response) -> None:
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    body = answer.json()
    assert body["code"] == "unavailable"
    assert set(body) == {"type", "title", "status", "detail", "code", "requestId"}
    for word in ("elasticsearch", "connection", "error", "refused", "127.0.0.1"):
        assert word not in answer.text.lower()


def test_the_queue_holds_what_the_worker_cannot_write(
    deployment: Any, relay: Any, eventually: Callable[..., Any], interrupt: Callable[..., float]
) -> None:
    deployment.serve()
    relay.cut()
    through_the_relay = {"RECORDINGS_ELASTICSEARCH_URL": f"http://127.0.0.1:{relay.port}"}
    worker = deployment.start("recordings-indexer", "worker", **through_the_relay)
    published = deployment.run("recordings-indexer", "publish", "-", given=events(1000))
    assert published.returncode == 0
    with redis.Redis.from_url(deployment.environment["RECORDINGS_REDIS_URL"]) as broker:
        eventually(lambda: broker.hlen("unacked"))
    # Stopped in the middle of its waiting, it gives back what it has.
    assert interrupt(worker) < 10
    assert worker.returncode == 0
    assert deployment.total() == 0
    relay.mend()
    worker = deployment.start("recordings-indexer", "worker", **through_the_relay)
    eventually(lambda: deployment.total() == 1000)
    assert interrupt(worker) < 10
    assert "Traceback" not in deployment.log_of(worker)
