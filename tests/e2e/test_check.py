"""`recordings-indexer check`: each kind of difference, its repair, and the exit statuses."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import Elasticsearch

from services.documents import document_id
from services.indices import IndexNames

OWNER = "1efc024d-0000-4000-8000-00000000000a"


def event(kind: str, recording_id: str, version: int, **more: Any) -> dict[str, Any]:
    return {
        "type": kind,
        "tenantId": "acme",
        "recordingId": recording_id,
        "version": version,
        "occurredAt": "2026-04-25T10:30:00Z",
    } | more


def saved(recording: str, version: int = 1, **content: Any) -> dict[str, Any]:
    return event("recording.saved", recording, version, recording={"ownerId": OWNER} | content)


def note(recording: str, note_id: str = "n") -> dict[str, Any]:
    return event("note.saved", recording, 1, noteId=note_id, note={"text": "hello"})


def group(version: int) -> dict[str, Any]:
    envelope = {"type": "group.saved", "tenantId": "acme", "groupId": "g", "version": version}
    return envelope | {"occurredAt": "2026-04-25T10:30:00Z", "group": {"members": [OWNER]}}


@pytest.fixture(scope="module")
def place(make_deployment: Any, eventually: Callable[..., Any]) -> Iterator[Any]:
    """A deployment whose index holds what these events say."""
    with make_deployment() as made:
        made.start("recordings-indexer", "worker")
        made.serve()
        events = [saved(f"r-{n}") for n in range(6)]
        events += [note("r-0"), note("r-1", "orphan"), note("alone"), saved("gone")]
        events += [event("recording.deleted", "gone", 2), group(1)]
        lines = "\n".join(map(json.dumps, events)).encode()
        assert made.run("recordings-indexer", "publish", "-", given=lines).returncode == 0
        eventually(lambda: made.total() == 6 and made.total(noteswords="hello") == 2)
        yield made


Check = Callable[..., Any]


@pytest.fixture
def check(place: Any, tmp_path: Path) -> Check:
    def run(events: list[dict[str, Any]] | str, *options: str) -> Any:
        file = tmp_path / "held.ndjson"
        text = events if isinstance(events, str) else "\n".join(map(json.dumps, events))
        file.write_text(text)
        return place.run("recordings-indexer", "check", "--source", str(file), *options)

    return run


HELD = [*(saved(f"r-{n}") for n in range(6)), note("r-0"), note("r-1", "orphan"), group(1)]
ALONE = "hidden: recording acme/alone"


# What the product holds in all but these, and what is found for it. One run for all of them,
# because each run waits for what may be on its way.
DIFFERENT: list[tuple[str, dict[str, Any] | None, dict[str, Any] | None, str]] = [
    ("a recording missing", None, saved("new"), "missing: recording acme/new"),
    ("a note missing", None, note("r-5"), "missing: note acme/r-5/n"),
    ("stale", HELD[3], saved("r-3", 2), "stale: recording acme/r-3"),
    ("a group stale", HELD[8], group(2), "stale: group acme/g"),
    (
        "another content in the same version",
        HELD[4],
        saved("r-4", channels=2),
        "stale: recording acme/r-4",
    ),
    ("orphaned", HELD[2], None, "orphaned: recording acme/r-2"),
    ("a note orphaned", HELD[7], None, "orphaned: note acme/r-1/orphan"),
    ("deleted here", None, saved("gone"), "hidden: recording acme/gone"),
]


def test_what_differs_is_listed_and_nothing_else(check: Check, subtests: Any) -> None:
    without = [one for _, one, _, _ in DIFFERENT if one]
    events = [event for event in HELD if event not in without]
    done = check(events + [one for _, _, one, _ in DIFFERENT if one])
    assert done.returncode == 1
    *listed, summary = done.stdout.splitlines()
    for name, _, _, found in DIFFERENT:
        with subtests.test(name):
            assert found in listed
    assert sorted(listed) == sorted([*(found for _, _, _, found in DIFFERENT), ALONE])
    assert summary == "2 hidden, 2 missing, 2 orphaned, 3 stale"


def test_a_source_that_cannot_be_read_is_not_equal(check: Check) -> None:
    done = check(json.dumps(saved("r-0"))[:-5])
    assert (done.returncode, done.stdout) == (3, "")
    assert "line 1: not JSON" in done.stderr


def test_a_source_that_is_not_there_is_wrong_usage(place: Any) -> None:
    for source in ("nowhere.ndjson", "index"):
        done = place.run("recordings-indexer", "check", "--source", source)
        assert done.returncode == 2


def test_no_elasticsearch_is_not_equal(check: Check, place: Any, tmp_path: Path) -> None:
    done = place.run(
        "recordings-indexer",
        "check",
        "--source",
        str(tmp_path / "held.ndjson"),
        RECORDINGS_ELASTICSEARCH_URL="http://127.0.0.1:9",
    )
    assert done.returncode == 2, "the file is not there yet"
    check([])
    done = place.run(
        "recordings-indexer",
        "check",
        "--source",
        str(tmp_path / "held.ndjson"),
        RECORDINGS_ELASTICSEARCH_URL="http://127.0.0.1:9",
    )
    assert done.returncode == 3


def test_what_is_missing_or_stale_is_repaired(
    check: Check,
    place: Any,
    eventually: Callable[..., Any],
    elasticsearch_url: str,
) -> None:
    held = [*HELD[:5], saved("r-5", 2, duration=7), *HELD[6:], saved("new"), note("new")]
    done = check(held, "--repair")
    assert done.returncode == 1
    assert "3 events published again" in done.stdout
    eventually(lambda: place.total() == 7)
    names = IndexNames(place.environment["RECORDINGS_INDEX_PREFIX"])
    with Elasticsearch(elasticsearch_url) as client:
        # What was kept for a recording that never came, as an operator would remove it.
        client.delete(index=names.recordings, id=document_id("acme", "alone"), refresh=True)
    eventually(lambda: check(held).returncode == 0)
