"""Dead letters on a real Elasticsearch: what is kept, found, replayed and erased."""

import base64
import json
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from threading import Thread
from typing import Any

import pytest
import redis
import requests
from celery import signals
from elasticsearch import Elasticsearch, OrjsonSerializer

from indexer import celery_app, dead_letters, replay
from indexer.dead_letters import Letter, erase, find, read, waiting, write
from indexer.letter import MAX_EVENT_BYTES
from indexer.sink import Sink
from services.documents import document_id
from services.indices import IndexNames
from services.settings import RedisSettings

OWNER = "1efc024d-0000-4000-8000-00000000000a"


def note(recording: str, text: str = "hello", **changes: Any) -> dict[str, Any]:
    return {
        "type": "note.saved",
        "tenantId": "acme",
        "recordingId": recording,
        "noteId": "n",
        "version": 1,
        "occurredAt": "2026-04-25T10:30:00Z",
        "note": {"text": text},
    } | changes


def poison(recording: str, text: str = "hello") -> dict[str, Any]:
    return note(recording, text, version="first")


def deleted(recording: str) -> dict[str, Any]:
    event = note(recording, type="recording.deleted", version=9)
    return {name: value for name, value in event.items() if name not in ("note", "noteId")}


@dataclass(frozen=True)
class Box:
    """The dead letters, and a tenant of its own for one test."""

    client: Elasticsearch
    names: IndexNames
    tenant: str

    def keep(self, *letters: tuple[object, str]) -> None:
        write(self.client, self.names, letters)

    def find(self, **chosen: Any) -> list[Letter]:
        chosen = {"tenant": self.tenant} | chosen
        return list(find(self.client, self.names, waiting(**chosen)))

    def source(self, letter: Letter) -> dict[str, Any]:
        """All of it, as it is now."""
        (found,) = read(self.client, self.names, [letter.id], with_event=True)
        return dict(found.source)

    def event(self, letter: Letter) -> Any:
        return json.loads(self.source(letter)["event"])

    def note(self, recording: str, text: str = "hello", **changes: Any) -> dict[str, Any]:
        return note(recording, text, tenantId=self.tenant, **changes)


@pytest.fixture
def box(elasticsearch: Elasticsearch, names: IndexNames) -> Box:
    return Box(elasticsearch, names, uuid.uuid4().hex)


def test_the_same_event_again_is_the_same_letter(box: Box) -> None:
    event = box.note("r")
    box.keep((event, "first reason"))
    (before,) = box.find()
    turned = dict(reversed(event.items()))
    box.keep((turned, "second reason"), (turned, "third reason"))
    (after,) = box.find()
    assert after.id == before.id
    assert after.source["attempts"] == 3
    assert after.source["reason"] == "third reason"
    assert after.source["firstAt"] == before.source["firstAt"]
    assert after.source["lastAt"] >= before.source["lastAt"]
    assert box.event(after) == event


def test_two_workers_count_every_attempt(box: Box) -> None:
    letter = (box.note("r"), "reason")
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: box.keep(letter), range(20)))
    (found,) = box.find()
    assert found.source["attempts"] == 20


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        pytest.param(
            {"type": "group.saved", "tenantId": "t", "groupId": "g"},
            {"type": "group.saved", "tenantId": "t", "groupId": "g"},
            id="a group",
        ),
        pytest.param(
            {"type": "recording.deleted", "tenantId": "t", "recordingId": "r"},
            {
                "type": "recording.deleted",
                "tenantId": "t",
                "recordingId": "r",
                "recordingKey": document_id("t", "r"),
            },
            id="a recording",
        ),
        pytest.param(
            {"tenantId": "t", "recordingId": "r" * 300},
            {"tenantId": "t", "recordingKey": document_id("t", "r" * 300)},
            id="an id that is too long is not listed, but erased",
        ),
        pytest.param({"type": "what was said"}, {}, id="a type that is none"),
        pytest.param({"tenantId": 5, "recordingId": ["r"]}, {}, id="ids that are none"),
        pytest.param({"tenantId": "\ud800", "recordingId": "r"}, {"recordingId": "r"}, id="half"),
        pytest.param({"text": "caf\u00e9 \ud83d"}, {}, id="text that UTF-8 cannot hold"),
        pytest.param([1, None, {"b": 1, "a": 2.5}], {}, id="no object"),
        pytest.param("text", {}, id="text alone"),
        pytest.param(None, {}, id="null"),
    ],
)
def test_what_is_listed_of_an_event(
    box: Box,
    event: object,
    expected: dict[str, str],
) -> None:
    reason = uuid.uuid4().hex
    box.keep((event, reason))
    (letter,) = box.find(tenant=None, reason=reason)
    counters = {"reason", "size", "firstAt", "lastAt", "attempts"}
    assert {key: letter.source[key] for key in letter.source.keys() - counters} == expected
    assert box.event(letter) == event


def test_a_large_event_is_kept_whole(box: Box) -> None:
    large = box.note("r", '\u043f"' * 3_900_000)
    box.keep((large, "large"), (box.note("s"), "small"))
    letter = next(one for one in box.find() if one.source["recordingId"] == "r")
    assert letter.source["size"] > 15_000_000
    assert box.event(letter) == large


def nested(levels: int) -> object:
    value: object = "deep"
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("more", "told"),
    [
        pytest.param({"x": "x" * MAX_EVENT_BYTES}, "not kept: 16000", id="too large"),
        pytest.param({"x": nested(100_000)}, "nested too deeply", id="too deep"),
    ],
)
def test_an_event_that_cannot_be_kept_leaves_ids_and_reason(
    box: Box,
    more: dict[str, Any],
    told: str,
) -> None:
    event = box.note("r", **more)
    for _ in range(2):
        box.keep((event, "the reason"))
    (letter,) = box.find(recording="r", reason="the reason")
    assert told in letter.source["reason"]
    assert letter.source["attempts"] == 2
    assert "event" not in box.source(letter)


def test_a_long_reason_is_cut_and_can_be_found(box: Box) -> None:
    box.keep((box.note("r"), "why " * 10_000))
    assert box.find(reason="why why")


@pytest.fixture
def narrow(elasticsearch_url: str) -> Iterator[Elasticsearch]:
    """Elasticsearch behind a server that takes no request above 100 KB."""

    class Narrow(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, content = 413, b"{}"
            if len(body) <= 100_000:
                kept = {name: self.headers[name] for name in ("Content-Type", "Accept")}
                answer = requests.request(
                    self.command, elasticsearch_url + self.path, data=body, headers=kept, timeout=30
                )
                status, content = answer.status_code, answer.content
            self.send_response(status)
            self.send_header("X-Elastic-Product", "Elasticsearch")
            self.send_header("Content-Type", "application/vnd.elasticsearch+json;compatible-with=9")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_PUT = do_POST  # noqa: N815 (the name is the library's)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Narrow)
    Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    with Elasticsearch(url, serializer=OrjsonSerializer(), max_retries=0) as client:
        yield client
    server.shutdown()
    server.server_close()


def test_a_server_that_takes_less_gets_less(
    narrow: Elasticsearch,
    box: Box,
) -> None:
    sizes = {"a": 40_000, "b": 40_000, "c": 200_000, "d": 40_000}
    events = [box.note(id_, "x" * size) for id_, size in sizes.items()]
    write(narrow, box.names, [(event, "reason") for event in events])
    letters = {letter.source["recordingId"]: letter for letter in box.find()}
    assert sorted(letters) == sorted(sizes)
    with_event = {id_ for id_, one in letters.items() if "event" in box.source(one)}
    assert with_event == {"a", "b", "d"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("recording.ownerId", ["id", "id-too"]),
        ("RECORDING.OWNERID: string", ["id"]),
        ("recording", ["id", "id-too", "name"]),
        ("recording.owner", []),
        ("ownerId", []),
        ("recording.*", []),
        ('"?+*|{}[]()\\', ["odd"]),
        ("recording.ownerName: {", ["name"]),
        ("#@&<>~", []),
    ],
)
def test_reasons_are_found_by_their_first_words(box: Box, text: str, found: list[str]) -> None:
    reasons = {
        "id": "recording.ownerId: String should match",
        "id-too": "recording.ownerId.deep: no",
        "name": "recording.ownerName: {",
        "odd": '"?+*|{}[]()\\ of a reason',
    }
    box.keep(*[(box.note(id_), reason) for id_, reason in reasons.items()])
    ids = [letter.source["recordingId"] for letter in box.find(reason=text)]
    assert sorted(ids) == found


def test_many_letters_are_found_once_each_and_the_newest_first(box: Box) -> None:
    events = [box.note(f"r-{n}") for n in range(1_200)]
    for start in range(0, 1_200, 300):
        box.keep(*[(event, "many") for event in events[start : start + 300]])
    letters = box.find()
    assert len({letter.id for letter in letters}) == len(letters) == 1_200
    times = [letter.source["lastAt"] for letter in letters]
    assert all(
        later >= earlier
        for later, earlier in pairwise(time.removesuffix("Z").ljust(23) for time in times)
    )
    assert box.find(type_="note.saved", recording="r-7")
    assert not box.find(type_="note.deleted")


def test_discarding_takes_what_was_counted_only(box: Box) -> None:
    first, again = box.note("first"), box.note("again")
    box.keep((first, "reason"), (again, "reason"))
    count, query = dead_letters.counted(box.client, box.names, waiting(tenant=box.tenant))
    assert count == 2
    (before,) = [one for one in box.find() if one.source["recordingId"] == "again"]
    while box.find(recording="again")[0].source["lastAt"] == before.source["lastAt"]:
        box.keep((again, "reason"))
    box.keep((box.note("new"), "reason"))
    assert dead_letters.discard(box.client, box.names, query) == 1
    left = {letter.source["recordingId"] for letter in box.find()}
    assert left == {"again", "new"}


@pytest.mark.parametrize("order", ["letter first", "deletion first", "together"])
def test_the_letters_of_a_deleted_recording_are_erased(sink: Sink, box: Box, order: str) -> None:
    recording, other = f"gone, {order}", f"stays, {order}"
    letters, deletion = (
        [poison(recording), poison(recording, "more"), poison(other)],
        [deleted(recording)],
    )
    calls = {
        "letter first": [letters, deletion],
        "deletion first": [deletion, letters],
        "together": [letters + deletion],
    }
    for events in calls[order]:
        sink.apply(events)
    assert box.find(tenant="acme", recording=recording) == []
    assert len(box.find(tenant="acme", recording=other)) == 1


def test_a_deletion_that_is_not_written_keeps_its_letter(box: Box) -> None:
    box.keep((deleted("r") | {"tenantId": box.tenant}, "refused"))
    erase(box.client, box.names, {(box.tenant, "r")})
    assert len(box.find()) == 1


def test_letters_and_deletions_at_the_same_time_leave_no_letter(sink: Sink, box: Box) -> None:
    ids = [f"race-{n}" for n in range(40)]
    with ThreadPoolExecutor(4) as pool:
        for id_ in ids:
            pool.submit(sink.apply, [poison(id_)])
            pool.submit(sink.apply, [deleted(id_)])
            pool.submit(sink.apply, [poison(id_)])
    assert [id_ for id_ in ids if box.find(tenant="acme", recording=id_)] == []


@pytest.fixture
def broker(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        client.delete(celery_app.QUEUE)
        yield client
        client.delete(celery_app.QUEUE)


def queued(broker: redis.Redis) -> list[Any]:
    """The lists of events in the queue, the oldest first."""
    messages: Any = broker.lrange(celery_app.QUEUE, 0, -1)
    bodies = [json.loads(message)["body"] for message in reversed(messages)]
    return [json.loads(base64.b64decode(body))[0][0] for body in bodies]


@pytest.fixture
def publish_again(box: Box, redis_url: str) -> Callable[..., replay.Report]:
    def run() -> replay.Report:
        app = celery_app.make_app(RedisSettings(redis_url=redis_url))
        found = find(box.client, box.names, waiting(tenant=box.tenant))
        return replay.replay(box.client, box.names, app, found)

    return run


def test_a_replayed_letter_is_out_of_sight_and_counts_on(
    box: Box,
    broker: redis.Redis,
    publish_again: Callable[..., replay.Report],
) -> None:
    event = box.note("r", "secret")
    box.keep((event, "reason"))
    (before,) = box.find()
    assert publish_again().replayed == 1
    assert queued(broker) == [[event]]
    assert box.find() == []
    assert "secret" not in str(box.source(before))
    assert publish_again().replayed == 0
    box.keep((event, "another reason"))
    (after,) = box.find()
    assert after.source["attempts"] == 2
    assert after.source["firstAt"] == before.source["firstAt"]
    assert box.event(after) == event


def test_an_event_that_fails_again_at_once_stays(
    box: Box,
    broker: redis.Redis,
    publish_again: Callable[..., replay.Report],
) -> None:
    event = box.note("r")
    box.keep((event, "reason"))

    def fail_again(**_: Any) -> None:
        box.keep((event, "again"))

    signals.after_task_publish.connect(fail_again)
    try:
        assert publish_again().replayed == 1
    finally:
        signals.after_task_publish.disconnect(fail_again)
    (letter,) = box.find()
    assert letter.source["attempts"] == 2
    assert "event" in box.source(letter)


def test_a_crash_after_publishing_loses_nothing(
    box: Box,
    broker: redis.Redis,
    publish_again: Callable[..., replay.Report],
) -> None:
    event = box.note("r")
    box.keep((event, "reason"))

    def crash(**_: Any) -> None:
        raise KeyboardInterrupt

    signals.after_task_publish.connect(crash)
    try:
        with pytest.raises(KeyboardInterrupt):
            publish_again()
    finally:
        signals.after_task_publish.disconnect(crash)
    assert len(box.find()) == 1
    assert publish_again().replayed == 1
    assert queued(broker) == [[event], [event]]


def test_a_crash_repeats_little(
    box: Box, broker: redis.Redis, publish_again: Callable[..., replay.Report]
) -> None:
    box.keep(*[(box.note(f"r-{number}"), "reason") for number in range(450)])

    def crash(**_: Any) -> None:
        if len(queued(broker)) == 2:
            raise KeyboardInterrupt

    signals.after_task_publish.connect(crash)
    try:
        with pytest.raises(KeyboardInterrupt):
            publish_again()
    finally:
        signals.after_task_publish.disconnect(crash)
    assert len(box.find()) == 250


def test_what_cannot_be_replayed_stays_and_says_why(
    box: Box,
    broker: redis.Redis,
    publish_again: Callable[..., replay.Report],
) -> None:
    odd = {
        "no JSON": box.note("r", version=float("nan")),
        "too large": box.note("r", "x" * MAX_EVENT_BYTES),
    }
    good = [box.note(f"good-{n}") for n in range(3)]
    box.keep(*[(event, "reason") for event in (*good, *odd.values())])
    report = publish_again()
    assert report.replayed == 3
    assert sorted(why for _, why in report.refused) == [
        "cannot be replayed: its event was not kept",
        "cannot be replayed: not JSON: NaN is not JSON",
    ]
    assert {letter.id for letter in box.find()} == {id_ for id_, _ in report.refused}
    sent = [event for events in queued(broker) for event in events]
    assert sorted(sent, key=lambda event: str(event["recordingId"])) == good


def test_many_and_large_events_are_replayed_in_bounded_lists(
    box: Box,
    broker: redis.Redis,
    publish_again: Callable[..., replay.Report],
) -> None:
    events = [box.note(f"r-{n}", "x" * (300_000 if n % 100 == 0 else 10)) for n in range(700)]
    box.keep(*[(event, "reason") for event in events])
    assert publish_again().replayed == 700
    lists = queued(broker)
    assert sum(map(len, lists)) == 700
    assert max(map(len, lists)) <= 200
    assert max(len(json.dumps(events)) for events in lists) < 700_000
    assert box.find() == []
