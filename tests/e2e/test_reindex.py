"""A reindex while events keep coming and searches keep answering."""

import gzip
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest

from deploy.local.servers import wait
from services.indices import IndexNames
from tests.e2e.product import TOKEN, Page, Product
from tests.faults.history import Event
from tests.faults.proxy import Proxy, Request
from tests.faults.world import START_SECONDS, World

OWNER: Final = "1efc024d-0000-4000-8000-00000000000a"
UNCHANGED: Final = 40
SECONDS: Final = 120


class Scene:
    """A deployment with its API and workers, and the product in front of it."""

    def __init__(self, deployment: Any, world: World, random: Random) -> None:
        self.deployment = deployment
        self.world = world
        self.product = Product(world, random)

    def reindex(self, *command: str) -> Any:
        return self.deployment.run("recordings-indexer", "reindex", *command)

    def status(self) -> dict[str, Any]:
        shown: dict[str, Any] = json.loads(self.reindex("status", "--json").stdout)
        return shown

    def settle(self) -> None:
        self.world.settle(SECONDS)

    def assert_written(self, indices: list[str]) -> None:
        """Each of these indices holds what the product says; nothing became a dead letter."""
        self.settle()
        for index in indices:
            self.world.assert_index(index, self.product.expected())
        assert self.world.dead_letters() == []

    @contextmanager
    def searching(self) -> Iterator[None]:
        """Search without pause; every answer must be whole."""
        over = threading.Event()
        wrong: list[str] = []
        answers = 0

        def search() -> None:
            nonlocal answers
            while not over.is_set():
                answer = self.deployment.get(tenant="unchanging", quantity=UNCHANGED)
                answers += 1
                if answer.status_code != 200 or answer.json()["total"] != UNCHANGED:
                    wrong.append(answer.text[:200])

        readers = [threading.Thread(target=search) for _ in range(2)]
        for reader in readers:
            reader.start()
        try:
            yield
        finally:
            over.set()
            for reader in readers:
                reader.join()
        assert not wrong, f"{len(wrong)} of {answers}, as {wrong[:3]}"
        assert answers > 10


@pytest.fixture
def scene(
    make_deployment: Any, elasticsearch_url: str, tmp_path: Path, seed: int
) -> Iterator[Scene]:
    with make_deployment() as deployment:
        environment = deployment.environment
        environment["RECORDINGS_REINDEX_SOURCE_TOKEN"] = TOKEN
        names = IndexNames(environment["RECORDINGS_INDEX_PREFIX"])
        world = World(elasticsearch_url, environment["RECORDINGS_REDIS_URL"], names, tmp_path)
        scene = Scene(deployment, world, Random(seed))
        try:
            scene.product.publish([unchanging(number) for number in range(UNCHANGED)])
            yield scene
        finally:
            world.end()


def unchanging(number: int) -> Event:
    return {
        "type": "recording.saved",
        "tenantId": "unchanging",
        "recordingId": f"u-{number}",
        "version": 1,
        "occurredAt": "2026-04-25T10:30:00Z",
        "recording": {
            "ownerId": OWNER,
            **dict.fromkeys(("direction", "from", "to", "date", "duration", "channels", "video")),
            **dict.fromkeys(("analysisResult", "language")),
            "tags": [],
            "transcript": [],
        },
    }


def given(scene: Scene, source: str, folder: Path) -> AbstractContextManager[str]:
    """The source as the command line has it."""
    if source == "an address":
        return scene.product.serving()
    if source == "the live index":
        return nullcontext("index")
    file = folder / ("events.ndjson.gz" if "compressed" in source else "events.ndjson")
    scene.product.export(file)
    return nullcontext(str(file))


@pytest.mark.parametrize("source", ["the live index", "a file", "a compressed file", "an address"])
def test_both_indices_end_the_same_while_everything_goes_on(
    scene: Scene, tmp_path: Path, full: bool, source: str
) -> None:
    if not full and source in ("a compressed file", "the live index"):
        pytest.skip("the long form; the short one kills the live index's at every transition")
    scene.deployment.serve()
    for _ in range(2):
        scene.world.start_worker()
    rest = scene.product.begin(2_000 if full else 120)
    scene.settle()
    with scene.searching():
        with scene.product.writing(rest):
            with given(scene, source, tmp_path) as text:
                done = scene.reindex("start", "--source", text)
            assert done.returncode == 0, done.stderr
        status = scene.status()
        assert (status["state"], status["reads"]) == ("swapped", status["new"])
        scene.assert_written([status["old"], status["new"]])
        with scene.product.writing([]):
            assert scene.reindex("rollback").returncode == 0
        assert scene.status()["reads"] == status["old"]
        scene.assert_written([status["old"], status["new"]])
        assert scene.reindex("resume").returncode == 0
        with scene.product.writing([]):
            assert scene.reindex("retire").returncode == 0
        assert scene.status()["writes"] == [status["new"]]
        scene.assert_written([status["new"]])
    assert not scene.world.elasticsearch.indices.exists(index=status["old"])


def hold_the_first_bulk(world: World, proxy: Proxy) -> tuple[threading.Event, threading.Event]:
    """The first bulk request to recordings is held: (it came, let it go)."""
    came, go = threading.Event(), threading.Event()

    def watch(request: Request) -> None:
        to_recordings = request.is_bulk and world.names.recordings.encode() in request.body
        if to_recordings and not came.is_set():
            came.set()
            assert go.wait(60)

    proxy.watch = watch
    return came, go


def test_a_bulk_request_on_its_way_during_the_whole_reindex(
    scene: Scene, elasticsearch_url: str, seed: int
) -> None:
    """It is resolved, and lands in the old index alone, when nobody reads that any more."""
    with Proxy(elasticsearch_url, seed) as proxy:
        came, go = hold_the_first_bulk(scene.world, proxy)
        scene.world.start_worker(proxy.url, visibility_timeout=240)
        assert came.wait(START_SECONDS)
        done = scene.reindex("start")
        go.set()
        assert done.returncode == 0, done.stderr
        status = scene.status()
        scene.assert_written([status["old"], status["new"]])


def test_a_second_one_is_refused_and_told_about_the_first(scene: Scene) -> None:
    scene.world.start_worker()
    scene.settle()
    assert scene.reindex("resume").returncode == 1
    first = scene.deployment.start(
        "recordings-indexer", "reindex", "start", RECORDINGS_REINDEX_DOCUMENTS_PER_SECOND="1"
    )
    assert wait(lambda: scene.status()["state"] == "backfilling", START_SECONDS)
    for command in ("start", "resume"):
        refused = scene.reindex(command)
        assert refused.returncode == 1
        assert f"process {first.pid}" in refused.stderr
        assert scene.status()["startedAt"] in refused.stderr
    aborted = scene.reindex("abort")
    assert aborted.returncode == 0, aborted.stderr
    assert first.wait(timeout=30) == 1
    assert "given up" in scene.deployment.log_of(first)
    assert scene.status()["writes"] == [scene.world.names.first_recordings_index]
    scene.assert_written([scene.world.names.first_recordings_index])
    assert scene.reindex("start").returncode == 0
    assert scene.status()["new"].endswith("-000003")


# Every change of the state, and what is done to aliases, each with the command that is killed.
TO_THE_SWAP: Final = ("created", "dual_writing", "backfilling", "page", "filled", "verified")


def killed(scene: Scene, moment: str, when: str, *command: str) -> None:
    """Run a command of reindex that is killed at this moment."""
    program = Path(__file__).with_name("killed.py")
    done = subprocess.run(
        [sys.executable, program, moment, when, "reindex", *command],
        env=scene.deployment.environment,
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, (moment, when, done.stderr.decode()[-2000:])


@pytest.mark.parametrize("source", ["the live index", "a file", "an address"])
def test_killed_at_every_transition(scene: Scene, tmp_path: Path, full: bool, source: str) -> None:
    if not full and source != "the live index":
        pytest.skip("the long form: RECORDINGS_TEST_SIZE=full")
    scene.deployment.serve()
    scene.world.start_worker()
    rest = scene.product.begin(1_000 if full else 60)
    scene.settle()
    with scene.searching(), scene.product.writing(rest):
        with given(scene, source, tmp_path) as text:
            killed(scene, "created", "before", "start", "--source", text)
            killed(scene, "created", "after", "start", "--source", text)
            for moment in TO_THE_SWAP[1:]:
                for when in ("before", "after"):
                    killed(scene, moment, when, "resume")
            killed(scene, "searches", "before", "resume")
            killed(scene, "searches", "after", "resume")
            killed(scene, "swapped", "before", "resume")
            killed(scene, "swapped", "after", "resume")
        killed(scene, "searches", "before", "rollback")
        killed(scene, "searches", "after", "rollback")
        killed(scene, "verified", "before", "rollback")
        assert scene.reindex("rollback").returncode == 0
        resumed = scene.reindex("resume")
        assert resumed.returncode == 0, resumed.stderr
    status = scene.status()
    assert (status["state"], status["reads"]) == ("swapped", status["new"])
    scene.assert_written([status["old"], status["new"]])
    with scene.searching(), scene.product.writing([]):
        killed(scene, "retired", "before", "retire")
        killed(scene, "retired", "after", "retire")
        assert scene.reindex("retire").returncode == 0
        killed(scene, "created", "after", "start")
        killed(scene, "aborted", "before", "abort")
        killed(scene, "aborted", "after", "abort")
        assert scene.reindex("abort").returncode == 0
    scene.assert_written([status["new"]])
    assert scene.status()["state"] == "aborted"


def miss_a_page(number: int, page: Page) -> Page:
    return page | {"events": []} if number == 1 else page


def stale_page(number: int, page: Page) -> Page:
    if number != 1:
        return page
    return page | {"events": [event | {"version": 0} for event in page["events"]]}


def fail(number: int, page: Page) -> Page | None:
    return None if number == 1 else page


def test_a_source_that_lies_is_not_swapped_in(scene: Scene, tmp_path: Path, subtests: Any) -> None:
    scene.world.start_worker()
    scene.product.publish(scene.product.begin(60))
    scene.settle()
    for name, source, said in lies(scene, tmp_path):
        with subtests.test(name), source as text:
            done = scene.reindex("start", "--source", text)
            assert done.returncode == 1
            assert said in done.stderr, done.stderr
            status = scene.status()
            assert (status["state"], status["reads"]) == ("backfilling", status["old"])
            assert scene.reindex("abort").returncode == 0
    scene.assert_written([scene.world.names.first_recordings_index])


def lies(scene: Scene, folder: Path) -> Iterator[tuple[str, AbstractContextManager[str], str]]:
    serving: Callable[..., AbstractContextManager[str]] = scene.product.serving
    yield "a page missing", serving(miss_a_page), ": missing"
    yield "a stale page", serving(stale_page), "in version 0 instead of"
    yield "a 500 in the middle", serving(fail), "answered 500"
    whole, cut = folder / "whole.ndjson", folder / "cut.ndjson"
    scene.product.export(whole)
    lines = whole.read_bytes().splitlines(keepends=True)
    cut.write_bytes(b"".join(lines)[:-40])
    yield "a line cut off", nullcontext(str(cut)), f"line {len(lines)}: not JSON"
    short = folder / "short.ndjson"
    short.write_bytes(b"".join(lines[:-60]))
    yield "whole lines missing", nullcontext(str(short)), "missing"
    damaged = folder / "damaged.ndjson.gz"
    damaged.write_bytes(gzip.compress(b"".join(lines))[:-40])
    yield "a compressed file cut off", nullcontext(str(damaged)), "cut off"
