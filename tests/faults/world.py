"""The worker processes, the queue and the index of one test, and what is in them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson
import redis
from celery import Celery
from elasticsearch import ApiError, Elasticsearch, TransportError
from elasticsearch.helpers import scan

from deploy.local.servers import wait
from indexer.broker import lists_of
from services.indices import IndexNames
from tests.faults.history import SPOKEN, Event, Key, Message, Outcome

PROGRAM: Final = Path(sys.executable).with_name("recordings-indexer")
QUEUE: Final = "recordings"
START_SECONDS: Final = 30.0
VISIBILITY_TIMEOUT: Final = 6


@dataclass
class World:
    """What one test works on: an index prefix, a database of Redis, any number of workers."""

    elasticsearch_url: str
    redis_url: str
    names: IndexNames
    logs: Path
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.redis = redis.Redis.from_url(self.redis_url)
        self.elasticsearch = Elasticsearch(self.elasticsearch_url, request_timeout=30)
        self._publisher = Celery("product", broker=self.redis_url, set_as_current=False)
        self._publisher.conf.task_default_queue = QUEUE

    def start_worker(
        self,
        elasticsearch_url: str | None = None,
        visibility_timeout: int = VISIBILITY_TIMEOUT,
        prefetch: int = 500,
    ) -> subprocess.Popen[bytes]:
        """A worker, which reaches Elasticsearch directly or through a proxy.

        It takes for lost what was taken longer ago than `visibility_timeout` (seconds), and waits
        for Elasticsearch for a quarter of that. It holds `prefetch` messages at once.
        """
        with (self.logs / f"worker-{len(self.workers)}.log").open("wb") as log:
            worker = subprocess.Popen(
                [PROGRAM, "worker"],
                env={
                    "PATH": os.environ["PATH"],
                    "RECORDINGS_ELASTICSEARCH_URL": elasticsearch_url or self.elasticsearch_url,
                    "RECORDINGS_REDIS_URL": self.redis_url,
                    "RECORDINGS_INDEX_PREFIX": self.names.prefix,
                    "RECORDINGS_VISIBILITY_TIMEOUT": str(visibility_timeout),
                    "RECORDINGS_WORKER_PREFETCH_COUNT": str(prefetch),
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.workers.append(worker)
        return worker

    def log_of(self, worker: subprocess.Popen[bytes]) -> str:
        return (self.logs / f"worker-{self.workers.index(worker)}.log").read_text()

    def logs_of_all(self) -> str:
        return "\n".join(self.log_of(worker) for worker in self.workers)

    def listening(self) -> int:
        """How many workers wait for a message."""
        database = str(self.redis.get_connection_kwargs()["db"])
        clients = self.redis.client_list()
        return sum(one["db"] == database and "b" in one["flags"] for one in clients)

    def has_worked(self, worker: subprocess.Popen[bytes]) -> bool:
        """Whether it has applied events, or could not: it is in the middle of its work."""
        log = self.log_of(worker)
        return "events_applied" in log or "messages_given_back" in log

    def terminate(self, worker: subprocess.Popen[bytes], seconds: float) -> int:
        """Ask it to stop; its exit status. Raises TimeoutExpired after so many seconds."""
        worker.send_signal(signal.SIGTERM)
        return worker.wait(timeout=seconds)

    def end(self) -> None:
        """Kill the workers, and close what was opened."""
        for worker in self.workers:
            worker.kill()
            worker.wait()
        self._publisher.close()
        self.redis.flushdb()
        self.redis.close()

    def close(self) -> None:
        """The end; the indices are deleted."""
        self.end()
        indices = self.elasticsearch.indices.get(index=f"{self.names.prefix}-*")
        self.elasticsearch.indices.delete(index=list(indices))
        self.elasticsearch.close()

    def publish(self, messages: Iterable[Message]) -> None:
        with self._publisher.producer_or_acquire() as producer:
            for message in messages:
                name = "indexer.apply_event" if message.alone else "indexer.apply_events"
                argument = message.events[0] if message.alone else list(message.events)
                self._publisher.send_task(name, args=[argument], producer=producer)

    def waiting(self) -> int:
        """The messages that no worker has."""
        return sum(int(str(self.redis.llen(name))) for name in lists_of(QUEUE))

    def unacknowledged(self) -> int:
        """The messages that a worker has, or had when it died."""
        return int(str(self.redis.hlen("unacked")))

    def settle(self, seconds: float) -> None:
        """Wait until every message is done with; fails at the deadline.

        A message is for a moment neither in the list nor among those that a worker has: the queue
        must be found empty, and nothing written, several times one after the other.
        """
        quiet = 0
        writes = -1

        def quiet_for_a_while() -> bool:
            nonlocal quiet, writes
            written = self._writes()
            still = not self.waiting() and not self.unacknowledged() and written == writes
            quiet, writes = (quiet + 1 if still else 0), written
            return quiet > 10

        settled = wait(quiet_for_a_while, seconds)
        left = f"{self.waiting()} waiting, {self.unacknowledged()} not acknowledged"
        assert settled, f"not settled after {seconds} s: {left}"

    def _writes(self) -> int:
        answer = self.elasticsearch.indices.stats(index=self.names.recordings, metric="indexing")
        return int(answer["_all"]["primaries"]["indexing"]["index_total"])

    def outcomes(self, index: str | None = None) -> dict[Key, Outcome]:
        """What the index (that is read) says of every recording it has a document of."""
        index = index or self.names.recordings
        self.elasticsearch.indices.refresh(index=index)
        found: dict[Key, Outcome] = {}
        for hit in scan(self.elasticsearch, index=index):
            source = hit["_source"]
            key = (source["tenantId"], source["recordingId"])
            assert key not in found, f"two documents of {key}"
            found[key] = meaning(source)
        return found

    def dead_letters(self) -> list[tuple[Event, str]]:
        """Every dead letter as (event, reason)."""
        self.elasticsearch.indices.refresh(index=self.names.dead_letters)
        letters = scan(self.elasticsearch, index=self.names.dead_letters)
        sources = [letter["_source"] for letter in letters]
        return [(orjson.loads(source["event"]), source["reason"]) for source in sources]

    def assert_converged(self, expected: Mapping[Key, Outcome], wrong: Sequence[Event]) -> None:
        """The index and the dead letters hold exactly this, and the queue is empty."""
        self.assert_index(self.names.recordings, expected)
        assert _sorted(event for event, _ in self.dead_letters()) == _sorted(wrong)
        assert (self.waiting(), self.unacknowledged()) == (0, 0)

    def assert_index(self, index: str, expected: Mapping[Key, Outcome]) -> None:
        """The index holds exactly this."""
        found = self.outcomes(index)
        differing = [key for key in expected if found.get(key) != expected[key]]
        examples = [(key, expected[key], found.get(key)) for key in differing[:3]]
        assert not differing, f"{len(differing)} of {len(expected)} differ, as {examples}"
        assert not found.keys() - expected.keys()


def _sorted(events: Iterable[Event]) -> list[bytes]:
    return sorted(orjson.dumps(event, option=orjson.OPT_SORT_KEYS) for event in events)


def answers(client: Elasticsearch, index: str) -> bool:
    """Whether the index can be read (after a restart of the server)."""
    try:
        return client.cluster.health(index=index)["status"] in {"green", "yellow"}
    except (ApiError, TransportError):
        return False


def meaning(source: Mapping[str, Any]) -> Outcome:
    """A document of the index as the contract would say it."""
    if source.get("deleted"):
        assert SPOKEN not in orjson.dumps(source).decode(), "a tombstone holds what was said"
        return Outcome(deleted=source["version"])
    notes = {note["id"]: (note["version"], _note(note)) for note in source["notes"]}
    assert source["hasNotes"] == any(note for _, note in notes.values())
    if "ownerId" not in source:
        return Outcome(notes=notes)
    return Outcome(source["version"], _recording(source), notes)


def _recording(source: Mapping[str, Any]) -> dict[str, Any]:
    names = ("ownerId", "direction", "from", "to", "date", "duration", "channels")
    more = ("analysisResult", "tags", "video", "language")
    turns = [
        {"speaker": side, "offset": turn["offset"], "text": _text(turn[side])}
        for turn in source["transcript"]
        for side in ("agent", "customer", "other")
        if side in turn
    ]
    return {name: source[name] for name in (*names, *more)} | {"transcript": turns}


def _note(note: Mapping[str, Any]) -> dict[str, Any] | None:
    if "text" not in note:
        return None
    kept = {name: note[name] for name in ("authorId", "createdAt")}
    return kept | {"text": _text(note["text"])}


def _text(by_language: Mapping[str, str]) -> str:
    (text,) = by_language.values()
    return text
