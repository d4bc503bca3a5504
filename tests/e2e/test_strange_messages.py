"""Messages that are no change events, among good ones: none is lost, none stops a worker."""

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from celery import Celery
from elasticsearch import Elasticsearch

from indexer.celery_app import QUEUE, make_app
from services.indices import IndexNames
from services.settings import RedisSettings

OWNER = "1efc024d-0000-4000-8000-00000000000a"
LIMIT = 8_000_000


def saved(recording: str, text: str = "hello") -> dict[str, Any]:
    turns = [{"speaker": "agent", "offset": 0, "text": text}]
    return {
        "type": "recording.saved",
        "tenantId": "acme",
        "recordingId": recording,
        "version": 1,
        "occurredAt": "2026-04-25T10:30:00Z",
        "recording": {"ownerId": OWNER, "language": "en", "transcript": turns},
    }


def message(body: object, **changes: Any) -> str:
    """As Celery writes it; `body` is the arguments, or text as it is."""
    text = body if isinstance(body, str) else json.dumps(body)
    return json.dumps(
        {
            "body": base64.b64encode(text.encode()).decode(),
            "content-type": "application/json",
            "content-encoding": "utf-8",
            "headers": {"task": "indexer.apply_event", "id": "x"},
            "properties": {
                "delivery_tag": "tag",
                "delivery_info": {"exchange": "", "routing_key": QUEUE},
                "body_encoding": "base64",
            },
        }
        | changes
    )


DEEP = "[" * 100_000 + "]" * 100_000
STRANGE = {
    "no JSON": ("hello", "not a message of Celery"),
    "no message": ("[1]", "not a message of Celery"),
    "no task": (message([[1], {}, {}], headers={}), "the message names no task"),
    "another task": (
        message([[1], {}, {}], headers={"task": "other"}),
        "the message names an unknown task",
    ),
    "a body that is no JSON": (message("{"), "the message cannot be decoded: DecodeError"),
    "a body nested too deeply": (message(DEEP), "the message cannot be decoded: DecodeError"),
    "a body that is pickled": (
        message("x", **{"content-type": "application/x-python-serialize"}),
        "the message has no arguments of a task",
    ),
    "a body without arguments": (message(5), "the message has no arguments of a task"),
    "arguments of another kind": (message([5, 6, 7]), "the message has no arguments of a task"),
    "more than the limit": (
        message([[saved("huge", "x" * LIMIT)], {}, {}]),
        f"bytes, more than {LIMIT}",
    ),
}


@pytest.fixture(scope="module")
def deployment(make_deployment: Any) -> Iterator[Any]:
    with make_deployment() as made:
        made.serve()
        yield made


@pytest.fixture(scope="module")
def worker(deployment: Any) -> Any:
    return deployment.start(
        "recordings-indexer", "worker", RECORDINGS_WORKER_MAX_MESSAGE_BYTES=str(LIMIT)
    )


@pytest.fixture
def app(deployment: Any) -> Celery:
    return make_app(RedisSettings(redis_url=deployment.environment["RECORDINGS_REDIS_URL"]))


@pytest.mark.parametrize(("raw", "reason"), STRANGE.values(), ids=STRANGE)
def test_it_is_a_dead_letter_and_the_good_ones_are_found(  # noqa: PLR0917 (fixtures)
    deployment: Any,
    worker: Any,
    app: Celery,
    eventually: Callable[..., Any],
    raw: str,
    reason: str,
) -> None:
    good = f"r-{abs(hash(raw))}"
    _lpush(deployment, raw)
    app.send_task("indexer.apply_event", args=[saved(f"{good}-1")])
    app.send_task("indexer.apply_events", kwargs={"events": [saved(f"{good}-2")]})
    eventually(lambda: {f"{good}-1", f"{good}-2"} <= set(deployment.ids()))
    eventually(lambda: any(reason in one for one in _reasons(deployment)))
    assert worker.poll() is None
    assert "Traceback" not in deployment.log_of(worker)


def test_a_call_of_eight_hours_goes_through_as_one_message(
    deployment: Any, worker: Any, app: Celery, eventually: Callable[..., Any]
) -> None:
    """2 MB of text."""
    app.send_task("indexer.apply_event", args=[saved("long", "longest " * 250_000)])
    eventually(lambda: deployment.ids(words="longest") == ["long"])
    assert worker.poll() is None


def _lpush(deployment: Any, raw: str) -> None:
    with redis.Redis.from_url(deployment.environment["RECORDINGS_REDIS_URL"]) as client:
        client.lpush(QUEUE, raw)


def _reasons(deployment: Any) -> list[str]:
    names = IndexNames(deployment.environment["RECORDINGS_INDEX_PREFIX"])
    with Elasticsearch(deployment.environment["RECORDINGS_ELASTICSEARCH_URL"]) as client:
        client.indices.refresh(index=names.dead_letters)
        hits = client.search(index=names.dead_letters, size=100)["hits"]["hits"]
    return [hit["_source"]["reason"] for hit in hits]
