"""`make demo`: the whole way from change events to answers, with invented recordings.

    stack up -> init -> worker, API -> publish the events -> a few real requests on the screen

Everything is left running. A second demo replaces the programs of the first, and its indices when
they are on a server that was started here; on a given server the same events are sent once more,
which changes nothing.
"""

import gzip
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import orjson
import redis
from elasticsearch import Elasticsearch
from rich.console import Console

from deploy.local import keys, processes
from deploy.local.demo_data import STANDARD_USER, TENANT, USERS, demo_events
from deploy.local.errors import StackError
from deploy.local.ports import LOOPBACK, free_port, is_free
from deploy.local.servers import Program, wait
from deploy.local.stack import Stack, environment
from services.indices import IndexNames

RECORDINGS: Final = 3000
PREFIX: Final = "demo"
USUAL_PORT: Final = 8080
PROGRAMS: Final = ("api", "worker-1", "worker-2")
BIN: Final = Path(sys.executable).parent
SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class Example:
    """One request of the demo: what it shows, whose token it bears, its parameters."""

    title: str
    who: str
    parameters: dict[str, str]


@dataclass(frozen=True, slots=True)
class Demo:
    """One run: where its files are, the settings of its programs, and the API's address."""

    folder: Path
    settings: dict[str, str]
    base: str
    console: Console

    def prepare(self) -> None:
        """Create the indices, start the programs, wait until the API answers."""
        self._run("recordings-indexer", "init")
        commands = {
            "api": ("recordings-api", "serve"),
            "worker-1": ("recordings-indexer", "worker"),
            "worker-2": ("recordings-indexer", "worker"),
        }
        for name, (command, argument) in commands.items():
            folder = self.folder / name
            processes.end(folder)
            folder.mkdir(parents=True, exist_ok=True)
            processes.spawn(Program([BIN / command, argument], self.settings), folder)
        if not wait(self._ready, deadline_seconds=30):
            raise StackError(f"the API does not answer; its log is {self.folder}/api/server.log")

    def publish(self) -> None:
        """Send the events through the queue and tell how fast they were applied."""
        file = self.folder / "events.ndjson.gz"
        count, living = _write_events(file)
        self.console.print(f"\nPublishing {count} change events of {RECORDINGS} recordings:")
        began = time.monotonic()
        self._run("recordings-indexer", "publish", str(file))
        if not wait(self._queue_is_empty, deadline_seconds=300):
            raise StackError(f"the workers do not get on; see {self.folder}/worker-1/server.log")
        took = time.monotonic() - began
        self.console.print(f"{count} events applied in {took:.1f} s ({count / took:.0f} a second)")
        if not wait(lambda: self._total() >= living, deadline_seconds=30):
            raise StackError(f"only {self._total()} of {living} recordings are to be found")
        self.console.print(f"{living} recordings are to be found; the others were deleted again")

    def show(self, example: Example) -> None:
        """Ask, and print the request as a curl line and what came back."""
        query = {"quantity": str(SHOWN), "from": "0"} | example.parameters
        header = self.folder / f"{example.who}.header"
        options = [f"--data-urlencode {shlex.quote(f'{n}={v}')}" for n, v in query.items()]
        self.console.print(f"\n[bold]{example.title}[/] (asked by: {example.who})")
        self._plain(f"curl -sG {self.base}/v1/recordings -H @{header} {' '.join(options)}")
        began = time.monotonic()
        status, body = self.ask(example.who, query)
        took = (time.monotonic() - began) * 1000
        self.console.print(f"{status}, {took:.0f} ms", highlight=False)
        for line in _summary(status, body):
            self._plain(f"  {line}")

    def ask(self, who: str, query: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """The status and body of a real request."""
        authorization = (self.folder / f"{who}.header").read_text().partition(": ")[2]
        request = Request(  # noqa: S310 (an http address of this machine)
            f"{self.base}/v1/recordings?{urlencode(query)}",
            headers={"Authorization": authorization},
        )
        try:
            with urlopen(request, timeout=30) as answer:  # noqa: S310
                return answer.status, orjson.loads(answer.read())
        except HTTPError as error:
            return error.code, orjson.loads(error.read())

    def write_tokens(self) -> dict[str, str]:
        """A token for each asker, as a header that curl reads from a file."""
        home = self.folder.parent
        tokens = {
            "administrator": keys.token(
                home, tenant=TENANT, user=USERS[1].id, role="administrator"
            ),
            "user": keys.token(home, tenant=TENANT, user=STANDARD_USER.id, role="user"),
        }
        for who, token in tokens.items():
            file = self.folder / f"{who}.header"
            file.touch(0o600)
            file.write_text(f"Authorization: Bearer {token}")
        return tokens

    def _ready(self) -> bool:
        try:
            with urlopen(f"{self.base}/readyz", timeout=5):  # noqa: S310
                return True
        except (URLError, OSError):
            return False

    def _queue_is_empty(self) -> bool:
        with redis.Redis.from_url(self.settings["RECORDINGS_REDIS_URL"]) as broker:
            return not broker.llen("recordings") and not broker.hlen("unacked")

    def _total(self) -> int:
        status, body = self.ask("administrator", {"quantity": "1", "from": "0"})
        if status != HTTPStatus.OK:
            raise StackError(f"the API answered {status} {body['code']}; see {self.folder}/api")
        return int(body["total"])

    def _run(self, command: str, *arguments: str) -> None:
        done = subprocess.run([BIN / command, *arguments], env=self.settings, check=False)
        if done.returncode:
            raise StackError(f"{command} {arguments[0]} failed")

    def _plain(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)


def start(home: Path, console: Console) -> None:
    """Do everything, print it, and leave it running. Raises StackError."""
    stack = Stack(home, console)
    stack.up()
    settings = _settings(home)
    folder = home / "demo"
    folder.mkdir(exist_ok=True)
    stop_programs(home, console)
    if settings["RECORDINGS_INDEX_PREFIX"] == PREFIX and not _given(stack):
        _remove_indices(settings)
    port = settings.setdefault("RECORDINGS_API_PORT", str(_port()))
    demo = Demo(folder, settings, f"http://{LOOPBACK}:{port}", console)
    tokens = demo.write_tokens()
    demo.prepare()
    demo.publish()
    for example in _examples():
        demo.show(example)
    console.print(f"\nThe API answers at [bold]{demo.base}[/], with this token for example:\n")
    console.print(tokens["administrator"], markup=False, highlight=False, soft_wrap=True)
    console.print("\nStop it all with: [bold]make demo-down[/]")


def stop_programs(home: Path, console: Console) -> None:
    """End the demo's programs. Raises StackError."""
    for name in PROGRAMS:
        if processes.end(home / "demo" / name):
            console.print(f"{name} stopped.")


def _settings(home: Path) -> dict[str, str]:
    """The programs' settings; the keys are always ours, because the tokens are."""
    settings = {"RECORDINGS_INDEX_PREFIX": PREFIX} | dict(os.environ) | environment(home)
    settings.pop("RECORDINGS_AUTH_JWKS_URL", None)
    return settings | {"RECORDINGS_AUTH_PUBLIC_KEY": keys.public_key(home)}


def _given(stack: Stack) -> bool:
    running = stack.elasticsearch.running()
    return running is None or running.kind == "given"


def _remove_indices(settings: dict[str, str]) -> None:
    """Those of an earlier demo may have the mapping of another state of the code."""
    names = IndexNames(settings["RECORDINGS_INDEX_PREFIX"])
    with Elasticsearch(settings["RECORDINGS_ELASTICSEARCH_URL"]) as client:
        after_a_reindex = list(client.indices.get(index=f"{names.recordings}-*"))
        client.indices.delete(
            index=[*names.first_indices, *after_a_reindex], ignore_unavailable=True
        )


def _port() -> int:
    return USUAL_PORT if is_free(USUAL_PORT) else free_port()


def _write_events(file: Path) -> tuple[int, int]:
    """How many events there are, and how many recordings they leave."""
    count = 0
    saved: set[str] = set()
    deleted: set[str] = set()
    with gzip.open(file, "wb", compresslevel=1) as lines:
        for event in demo_events(recordings=RECORDINGS):
            lines.write(orjson.dumps(event) + b"\n")
            count += 1
            if event["type"].startswith("recording."):
                fate = saved if event["type"] == "recording.saved" else deleted
                fate.add(event["recordingId"])
    return count, len(saved - deleted)


def _examples() -> Iterator[Example]:
    colleague = USERS[1]
    yield Example(
        "Words, in any form: AND, OR and NOT",
        "administrator",
        {"words": "refund AND (invoice OR parcel) NOT card"},
    )
    yield Example("In every language", "administrator", {"words": "fattura OR Rechnung OR factura"})
    yield Example("An exact phrase", "administrator", {"words": '"date of birth"'})
    yield Example("A word in the notes", "administrator", {"noteswords": "technician"})
    yield Example("A sentiment", "administrator", {"sentiment": "NEGATIVE"})
    yield Example("A telephone number", "administrator", {"tel": _number()})
    yield Example(
        "A range of dates", "administrator", {"startdate": "2026-03-01", "enddate": "2026-03-31"}
    )
    yield Example(f"A standard user, {STANDARD_USER.name}, sees only her own", "user", {})
    yield Example(f"and may not ask for those of {colleague.name}", "user", {"users": colleague.id})


def _number() -> str:
    """A customer who called more than once."""
    numbers: list[str] = []
    for event in demo_events(recordings=RECORDINGS):
        if event["type"] == "recording.saved" and event["version"] == 1:
            number = event["recording"]["from"]["phoneNumber"]
            if number and number.startswith("+") and numbers.count(number) == 2:
                return str(number)
            numbers.append(number)
    return numbers[0]


def _summary(status: int, body: dict[str, Any]) -> Iterator[str]:
    if status != HTTPStatus.OK:
        yield json.dumps(body, ensure_ascii=False)
        return
    yield f"total: {body['total']}"
    for recording in body["recordings"]:
        result = recording["analysisResult"] or {}
        parties = (recording[side]["fullName"] or "unknown" for side in ("from", "to"))
        yield "  ".join(
            [
                recording["id"],
                recording["date"],
                " → ".join(parties),
                f"{recording['duration']} s",
                result.get("sentiment") or "not analysed",
                ", ".join(tag["value"] for tag in recording["tags"]),
            ]
        )
