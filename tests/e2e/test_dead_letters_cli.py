"""Dead letters and `purge` as an operator uses them, with a worker running."""

import json
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from subprocess import CompletedProcess
from typing import Any

import pytest
from elasticsearch import Elasticsearch

from indexer.deletion import delete_where
from services.documents import document_id
from services.indices import IndexNames

OWNER = "1efc024d-0000-4000-8000-00000000000a"
SENTINEL = "Zwiebelfisch"
STRANGE = "r-\u001b[2J\nbroken \u00e8"


def saved(recording: str, version: object = 1, **changes: Any) -> dict[str, Any]:
    """An event with the sentinel everywhere where a person or what was said can be."""
    content = {
        "ownerId": OWNER,
        "language": "en",
        "from": {"fullName": SENTINEL, "phoneNumber": SENTINEL},
        "tags": [{"id": OWNER, "value": SENTINEL}],
        "transcript": [{"speaker": "agent", "offset": 0, "text": SENTINEL}],
    }
    return {
        "type": "recording.saved",
        "recordingId": recording,
        "version": version,
        "occurredAt": "2026-04-25T10:30:00Z",
        "recording": content | changes,
    }


def deleted(recording: str, version: int = 9) -> dict[str, Any]:
    event = saved(recording, version) | {"type": "recording.deleted"}
    return {name: value for name, value in event.items() if name != "recording"}


@dataclass
class Operator:
    """Who runs the commands, with a worker and the API at work. One tenant for each test."""

    deployment: Any
    client: Elasticsearch
    eventually: Callable[..., Any]
    tenant: str

    @property
    def names(self) -> IndexNames:
        return IndexNames(self.deployment.environment["RECORDINGS_INDEX_PREFIX"])

    def run(self, *arguments: str, status: int = 0, **changes: Any) -> CompletedProcess[str]:
        done: CompletedProcess[str] = self.deployment.run(
            "recordings-indexer", *arguments, **changes
        )
        assert done.returncode == status, done.stderr
        assert "Traceback" not in done.stderr
        return done

    def letters(self, *arguments: str, status: int = 0, **changes: Any) -> CompletedProcess[str]:
        return self.run("dead-letters", *arguments, status=status, **changes)

    def publish(self, *events: object) -> None:
        """Publish these; what is an object is given the tenant, if it has none."""
        own = [{"tenantId": self.tenant} | one if isinstance(one, dict) else one for one in events]
        self.run("publish", "-", given=b"\n".join(json.dumps(one).encode() for one in own))

    def listed(self, *arguments: str) -> list[dict[str, Any]]:
        """The letters as `list --json` has them, the newest first."""
        done = self.letters("list", "--json", "--limit", "1000", *arguments)
        assert SENTINEL not in done.stdout + done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def fail(self, *events: dict[str, Any]) -> None:
        """Publish events that will be dead letters, and wait for that."""
        before = self.count()
        self.publish(*events)
        self.eventually(lambda: self.count() == before + len(events))

    def count(self) -> int:
        """Letters in the index, replayed ones too; a command for each poll would take long."""
        self.client.indices.refresh(index=self.names.dead_letters)
        return int(self.client.count(index=self.names.dead_letters)["count"])

    def obstruct(self, *recordings: str) -> None:
        """Put something into the index on which our code fails."""
        for one in recordings:
            broken = {"tenantId": self.tenant, "recordingId": one, "ownerId": OWNER}
            self.client.index(
                index=self.names.recordings, id=document_id(self.tenant, one), document=broken
            )

    def mend(self, *recordings: str) -> None:
        for one in recordings:
            self.client.delete(
                index=self.names.recordings, id=document_id(self.tenant, one), refresh=True
            )

    def found(self) -> set[str]:
        return set(self.deployment.ids(tenant=self.tenant, words=SENTINEL, quantity=1000))


@pytest.fixture(scope="module")
def worker(deployment: Any) -> Any:
    """A worker and the API, running."""
    deployment.serve()
    return deployment.start("recordings-indexer", "worker")


@pytest.fixture
def operator(
    worker: Any, deployment: Any, elasticsearch_url: str, eventually: Callable[..., Any]
) -> Iterator[Operator]:
    with Elasticsearch(elasticsearch_url) as client:
        operator = Operator(deployment, client, eventually, uuid.uuid4().hex)
        delete_where(client, operator.names.dead_letters, {"match_all": {}})
        yield operator


def test_what_was_poison_comes_in_after_a_fix(operator: Operator, worker: Any) -> None:
    broken = [f"broken-{number}" for number in range(6)]
    never = {"never-1": saved("never-1", "first"), STRANGE: saved(STRANGE, ownerId=SENTINEL)}
    operator.obstruct(*broken)
    good = [saved(f"good-{number}") for number in range(20)]
    mixed: list[object] = [
        *good,
        *map(saved, broken),
        *never.values(),
        {"text": SENTINEL},
        SENTINEL,
    ]
    mixed[3], mixed[-1] = mixed[-1], mixed[3]
    operator.publish(*mixed)
    operator.eventually(lambda: operator.count() == 10)
    operator.eventually(lambda: operator.found() == {f"good-{number}" for number in range(20)})

    letters = {letter["recordingId"]: letter for letter in operator.listed()}
    assert letters["never-1"]["reason"].startswith("version: ")
    assert letters[STRANGE]["reason"].startswith("recording.ownerId: ")
    assert {letters[one]["reason"] for one in broken} == {"unexpected KeyError"}
    told = operator.letters("list")
    assert SENTINEL not in told.stdout + told.stderr
    assert len(told.stdout.splitlines()) == 11
    assert "\u001b" not in told.stdout

    # By id, without and with the fix.
    first = letters["broken-0"]["id"]
    operator.letters("replay", first)
    operator.eventually(
        lambda: [one["attempts"] for one in operator.listed("--recording", "broken-0")] == [2]
    )
    operator.mend("broken-0", "broken-1")
    operator.letters("replay", first, letters["broken-1"]["id"], first)
    operator.eventually(lambda: {"broken-0", "broken-1"} <= operator.found())
    assert operator.listed("--recording", "broken-0") == []

    # By the reason: what is not mended comes back, and the others stay.
    operator.mend("broken-2", "broken-3")
    assert operator.letters("replay", "--reason", "Unexpected", "--dry-run").stdout == (
        "4 events would be replayed\n"
    )
    assert "4 events" in operator.letters("replay", "--reason", "unexpected KeyError").stdout
    operator.eventually(lambda: {"broken-2", "broken-3"} <= operator.found())
    operator.eventually(lambda: len(operator.listed("--reason", "unexpected")) == 2)
    assert {one["attempts"] for one in operator.listed("--reason", "unexpected")} == {2}

    # All.
    operator.mend("broken-4", "broken-5")
    operator.letters("replay", "--all")
    operator.eventually(lambda: set(broken) <= operator.found())
    operator.eventually(lambda: len(operator.listed()) == 4)
    again = {letter["id"]: letter for letter in operator.listed()}
    assert {letter["attempts"] for letter in again.values()} == {2}
    assert letters[STRANGE]["firstAt"] == again[letters[STRANGE]["id"]]["firstAt"]
    assert SENTINEL not in operator.deployment.log_of(worker)


def test_many_letters_are_replayed_while_two_workers_run(operator: Operator) -> None:
    broken = [f"broken-{number}" for number in range(240)]
    operator.deployment.start("recordings-indexer", "worker")
    operator.obstruct(*broken)
    operator.fail(*map(saved, broken))
    operator.mend(*broken)
    operator.letters("replay", "--all")
    operator.eventually(lambda: operator.found() == set(broken))
    assert operator.listed() == []


def test_show_is_the_one_place_where_content_is_seen(operator: Operator) -> None:
    event = saved(STRANGE, "first")
    operator.fail(event)
    (letter,) = operator.listed()
    shown = operator.letters("show", letter["id"]).stdout
    assert json.loads(shown)["event"] == event | {"tenantId": operator.tenant}
    assert json.loads(shown).items() >= {key: one for key, one in letter.items() if one}.items()
    assert "\u001b" not in shown
    for arguments in (["list"], ["replay", "--all", "--dry-run"], ["discard", "--all", "--yes"]):
        done = operator.letters(*arguments)
        assert SENTINEL not in done.stdout + done.stderr


def test_filters_and_limit(operator: Operator) -> None:
    operator.fail(
        saved("a", "x"), saved("b", "x") | {"tenantId": "other"}, deleted("c") | {"version": -1}
    )
    operator.fail(saved("newest", "x"))
    assert operator.listed()[0]["recordingId"] == "newest"
    cases = {
        ("--tenant", "other"): {"b"},
        ("--recording", "a", "--tenant", operator.tenant): {"a"},
        ("--recording", "a", "--tenant", "other"): set(),
        ("--type", "recording.deleted"): {"c"},
        ("--reason", "version"): {"a", "b", "c", "newest"},
        ("--reason", "vers"): set(),
        ("--since", "2020-01-01", "--until", "2020-01-02"): set(),
        ("--since", "2020-01-01", "--until", "9999-12-31"): {"a", "b", "c", "newest"},
        ("--until", operator.listed()[0]["lastAt"]): {"a", "b", "c"},
        ("--until", operator.listed()[0]["lastAt"][:10]): {"a", "b", "c", "newest"},
        ("--since", operator.listed()[0]["lastAt"]): {"newest"},
    }
    with ThreadPoolExecutor(4) as at_once:
        listed = at_once.map(lambda chosen: operator.listed(*chosen), cases)
        found = [{one["recordingId"] for one in letters} for letters in listed]
    assert dict(zip(cases, found, strict=True)) == cases
    less = operator.letters("list", "--limit", "3")
    assert len(less.stdout.splitlines()) == 4
    assert less.stderr == "3 of 4 dead letters are shown: --limit shows more\n"
    assert operator.letters("list", "--limit", "4").stderr == ""


def test_discard_asks_first(operator: Operator) -> None:
    operator.fail(saved("a", "x"), saved("b", "x"), saved("c", ownerId="x"))
    first = operator.listed("--recording", "a")[0]["id"]
    refused = operator.letters("discard", "--all", given=b"n\n", status=1)
    assert "3 events" in refused.stdout
    operator.letters("discard", "--all", status=1)
    assert len(operator.listed()) == 3
    assert "1 event discarded" in operator.letters("discard", first, given=b"y\n").stdout
    assert operator.letters("discard", "--reason", "version", "--yes").stdout == (
        "1 event discarded\n"
    )
    assert [letter["recordingId"] for letter in operator.listed()] == ["c"]
    operator.letters("discard", "--all", "--yes")
    assert operator.listed() == []
    assert operator.letters("list").stdout == "no dead letters\n"


def test_one_id_that_does_not_exist_changes_nothing(operator: Operator) -> None:
    operator.fail(saved("a", "x"))
    (letter,) = operator.listed()
    for command in (["replay"], ["discard", "--yes"]):
        done = operator.letters(*command, letter["id"], "no-such-letter", status=1)
        assert done.stderr == "no-such-letter: there is no such dead letter\n"
    assert (
        operator.letters("show", "gone", status=1).stderr == "gone: there is no such dead letter\n"
    )
    assert operator.listed() == [letter]


def test_a_deleted_recording_comes_back_after_purge_only(operator: Operator) -> None:
    operator.fail(saved("gone", "poison"))
    operator.publish(saved("gone"), saved("stays"))
    operator.eventually(lambda: operator.found() == {"gone", "stays"})
    operator.publish(deleted("gone"))
    operator.eventually(lambda: operator.found() == {"stays"})
    operator.eventually(lambda: operator.listed() == [])
    operator.publish(saved("gone", "poison too"), saved("gone", 20), saved("after"))
    operator.eventually(lambda: operator.found() == {"stays", "after"})
    assert operator.listed() == []
    assert operator.run("purge").stdout == "0 tombstones and 0 dead letters removed\n"
    operator.run("purge", "--recording", f"{operator.tenant}/gone")
    operator.run("purge", "--recording", f"{operator.tenant}/gone", status=1)
    operator.run("purge", "--recording", f"{operator.tenant}/stays", status=1)
    operator.publish(saved("gone", 2))
    operator.eventually(lambda: operator.found() == {"stays", "after", "gone"})


NOWHERE = {"RECORDINGS_ELASTICSEARCH_URL": "http://127.0.0.1:9"}


@pytest.mark.parametrize(
    ("arguments", "changes", "status", "told"),
    [
        (["dead-letters", "list"], NOWHERE, 1, "Elasticsearch"),
        (["dead-letters", "replay", "--all"], NOWHERE, 1, "Elasticsearch"),
        (["purge"], NOWHERE, 1, "Elasticsearch"),
        (["dead-letters", "replay"], {}, 2, "one of the three"),
        (["dead-letters", "replay", "x", "--all"], {}, 2, "one of the three"),
        (["dead-letters", "discard", "--all", "--reason", "x"], {}, 2, "one of the three"),
        (["dead-letters", "discard", "--reason", ""], {}, 2, "--reason"),
        (["dead-letters", "list", "--since", "yesterday"], {}, 2, "--since"),
        (["dead-letters", "list", "--limit", "0"], {}, 2, "--limit"),
        (["dead-letters", "show", "\udcff"], {}, 2, "ID"),
        (["purge", "--older-than", "29"], {}, 2, "29 is too short"),
        (["purge", "--older-than", "0"], {}, 2, "--older-than"),
        (["purge"], {"RECORDINGS_RETENTION_QUEUE_DAYS": "91"}, 2, "91 days"),
        (["purge"], {"RECORDINGS_RETENTION_QUEUE_DAYS": "x"}, 2, "RECORDINGS_RETENTION_QUEUE_DAYS"),
        (["purge", "--recording", "acme"], {}, 2, "TENANT/ID"),
        (["purge", "--recording", "acme/x", "--older-than", "99"], {}, 2, "exclude"),
        (["purge", "--recording", "acme/no/such"], {}, 1, "no tombstone"),
    ],
    ids=lambda value: (
        " ".join(value).encode("ascii", "replace").decode() if isinstance(value, list) else ""
    ),
)
def test_exit_statuses(
    deployment: Any, arguments: list[str], changes: dict[str, str], status: int, told: str
) -> None:
    done = deployment.run("recordings-indexer", *arguments, **changes)
    assert done.returncode == status, done.stderr
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_broker_nothing_is_lost(operator: Operator) -> None:
    operator.fail(saved("a", "x"))
    done = operator.letters(
        "replay", "--all", status=1, RECORDINGS_REDIS_URL="redis://127.0.0.1:9/0"
    )
    assert "Redis" in done.stderr
    assert len(operator.listed()) == 1
