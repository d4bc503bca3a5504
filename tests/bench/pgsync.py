"""PGSync, a general tool that keeps Elasticsearch in accord with PostgreSQL: one side of a duel.

It has an environment of its own, from `pgsync.lock`, since it needs other versions than we do.
"""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from deploy.local.ports import LOOPBACK
from services.indices import IndexNames
from tests.bench import databases
from tests.bench.broker import Queue
from tests.bench.crews import POLL_SECONDS, ROUND_SECONDS, START_SECONDS
from tests.bench.databases import KEY, LIVE, Form, Row, documents
from tests.bench.errors import BenchError
from tests.bench.postgres import USER, Postgres
from tests.bench.stand import Stand
from tests.bench.workload import Workload

LOCK: Final = Path(__file__).with_name("pgsync.lock")
PLUGINS: Final = Path(__file__).with_name("pgsync_plugins")
ADDED: Final = "_meta"  # what PGSync adds to a document: the keys of all its rows
WORKING: Final = f"Sync {LIVE}:"  # the first line of its status: everything has started
CHECKED: Final = 200


@dataclass(frozen=True, slots=True)
class Mode:
    """How PGSync is run: options of its program, settings beyond its defaults."""

    options: Sequence[str]
    settings: Mapping[str, str]


# Over ready-made rows the highest median of six sets tried (three rounds each, whose ranges
# overlap): no compression on the way to the same machine, no messages for debugging, requests of
# our size, and the shorter wait that PGSync's own comments advise. Tried too: one bulk thread, four
# consumers, less read at once.
TUNED: Final = {
    "GENERAL_LOGGING_LEVEL": "WARNING",
    "ELASTICSEARCH_HTTP_COMPRESS": "False",
    "ELASTICSEARCH_CHUNK_SIZE": "500",
    "POLL_TIMEOUT": "0.01",
}
DAEMON: Final = Mode(("--daemon",), TUNED)
WAL: Final = Mode(("--wal",), TUNED)
AS_IT_COMES: Final = Mode(("--daemon",), {})


def install(folder: Path) -> Path:
    """The folder of PGSync's programs, made unless it is there. Raises BenchError."""
    place = folder / "pgsync"
    stamp, wanted = place / "installed", hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if not (stamp.is_file() and stamp.read_text("utf-8") == wanted):
        _call([sys.executable, "-m", "venv", "--clear", place], os.environ)
        pip = (place / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "install")
        _call([*pip, "--quiet", "--require-hashes", "--requirement", LOCK], os.environ)
        stamp.write_text(wanted, "utf-8")
    return place / "bin"


def _call(command: Sequence[str | Path], environment: Mapping[str, str]) -> None:
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if told.returncode:
        raise BenchError(f"{Path(command[0]).name}: {told.stderr.strip()[-1000:]}")


@dataclass(frozen=True, slots=True)
class Synchronizer:
    """PGSync, held still while the changes were committed, until `run`."""

    stand: Stand
    process: subprocess.Popen[bytes]
    index: str
    work: Workload

    @property
    def pids(self) -> Sequence[int]:
        return [self.process.pid]

    def run(self) -> None:
        goal = self._written() + len(self.work.events)
        last = documents(self.work.result[-1:])[-1][KEY]
        self.process.send_signal(signal.SIGCONT)
        self.until(lambda: self._written() >= goal and self._found(last), ROUND_SECONDS)

    def _found(self, last: str) -> bool:
        """Whether all is there; it is not asked often before the last document is there."""
        client, index = self.stand.client, self.index
        if not client.exists(index=index, id=last):
            return False
        client.indices.refresh(index=index)
        return bool(
            client.count(index=index, query=self.work.done)["count"] == len(self.work.events)
        )

    def _written(self) -> int:
        """How many times Elasticsearch has written a document of the index."""
        path = "_all.primaries.indexing.index_total"
        stats: Any = self.stand.client.indices.stats(
            index=self.index, metric="indexing", filter_path=path
        )
        return int(stats["_all"]["primaries"]["indexing"]["index_total"])

    def until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Poll; raises BenchError at the deadline, or when PGSync ended."""
        end = time.monotonic() + seconds
        while not ready():
            if self.process.poll() is not None:
                raise BenchError("PGSync ended; its log is in the folder of the results")
            if time.monotonic() > end:
                raise BenchError(f"PGSync was not ready after {seconds:.0f} s")
            time.sleep(POLL_SECONDS)


@dataclass(frozen=True, slots=True)
class Bridge:
    """PGSync between a PostgreSQL that is prepared for the work and Elasticsearch.

    `together` is how many changes are committed in one transaction.
    """

    stand: Stand
    postgres: Postgres
    programs: Path
    room: Queue
    form: Form
    work: Workload
    mode: Mode
    together: int

    @contextmanager
    def crew(self, names: IndexNames) -> Iterator[Synchronizer]:
        """PGSync, started and held still, with all changes committed that it has not seen."""
        index = names.recordings
        self.stand.client.indices.put_mapping(index=index, properties={ADDED: self.form.added})
        databases.copy(self.postgres)
        try:
            with self._process(index) as process:
                crew = Synchronizer(self.stand, process, index, self.work)
                crew.until(self._works, START_SECONDS)
                process.send_signal(signal.SIGSTOP)
                databases.change(self.postgres, self.form, self.work, self.together)
                yield crew
                self._check(index)
        finally:
            databases.drop(self.postgres)

    @contextmanager
    def _process(self, index: str) -> Iterator[subprocess.Popen[bytes]]:
        place = self.programs.parent / "run"
        place.mkdir(exist_ok=True)
        schema = place / "schema.json"
        schema.write_bytes(self._schema(index))
        environment = {**os.environ, **self._settings(place), **self.mode.settings}
        bootstrap = ["--bootstrap"] if self.mode.options == WAL.options else []
        if not bootstrap:
            _call([self.programs / "bootstrap", "--config", schema], environment)
        with self._log.open("wb") as log:
            process = subprocess.Popen(
                [self.programs / "pgsync", "--config", schema, *self.mode.options, *bootstrap],
                env=environment,
                cwd=place,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    @property
    def _log(self) -> Path:
        return self.stand.folder / "pgsync.log"

    def _works(self) -> bool:
        if self.mode.options == WAL.options:
            query = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming';"
            return self.postgres.run(query) == "1"
        return WORKING in self._log.read_text("utf-8", errors="replace")

    def _settings(self, place: Path) -> dict[str, str]:
        return {
            "PG_HOST": LOOPBACK,
            "PG_PORT": str(self.postgres.port),
            "PG_USER": USER,
            "ELASTICSEARCH_URL": self.stand.addresses.elasticsearch_url,
            "REDIS_URL": self.room.url,
            "CHECKPOINT_PATH": str(place),
            "PYTHONPATH": str(PLUGINS),
        }

    def _schema(self, index: str) -> bytes:
        form = self.form
        plugins = {"plugins": form.plugins} if form.plugins else {}
        return orjson.dumps([{"database": LIVE, "index": index, **plugins, "nodes": form.nodes}])

    def _check(self, index: str) -> None:
        """Both sides write the same documents. Raises BenchError."""
        wanted = {one.pop(KEY): one for one in documents(self.work.result[-1:])[-CHECKED:]}
        found = self.stand.client.mget(index=index, ids=list(wanted), source_excludes=[ADDED])
        pairs = ((one.get("_source") or {}, wanted[one["_id"]]) for one in found["docs"])
        others = {name for pair in pairs for name in _different(*map(_comparable, pair))}
        if others:
            raise BenchError(f"PGSync wrote other documents than asked for: {sorted(others)}")


def _different(one: Row, other: Row) -> set[str]:
    """The names of the fields that are not the same."""
    return {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)}


def _comparable(source: Row) -> Row:
    """Tags are a set: PGSync gives the rows of a join in any order."""
    return source | {"tags": sorted(source.get("tags", ()), key=lambda tag: str(tag["id"]))}
