"""PostgreSQL for one run: a cluster of its own in a temporary folder, for this machine only.

The programs are those of the operating system (Debian: apt-get install postgresql). Instead of
root, whom PostgreSQL refuses, another user of this machine owns the cluster.
"""

import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from deploy.local.accounts import unprivileged
from deploy.local.ports import LOOPBACK, free_port
from tests.bench.errors import BenchError

DEBIAN: Final = Path("/usr/lib/postgresql")  # not on PATH there: VERSION/bin
NEEDED: Final = ("initdb", "postgres", "psql")
USER: Final = "bench"
# What PGSync asks for, and nothing that would slow PostgreSQL down: the machine may lose it all.
SETTINGS: Final = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "wal_level": "logical",
    "fsync": "off",
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",
    "wal_sender_timeout": "0",
    "jit": "off",
}
START_SECONDS: Final = 30.0
STOP_SECONDS: Final = 30.0
PAUSE_SECONDS: Final = 0.05


def binaries() -> Path | None:
    """The folder of PostgreSQL's programs, the newest of them; None: it is not installed."""
    on_path = shutil.which("initdb")
    places = [Path(on_path).resolve().parent] if on_path else []
    places += sorted(DEBIAN.glob("*/bin"), key=lambda place: place.parent.name, reverse=True)
    return next((one for one in places if all((one / name).is_file() for name in NEEDED)), None)


@dataclass(frozen=True, slots=True)
class Postgres:
    """A server that answers."""

    programs: Path
    port: int

    def run(self, script: str, database: str = "postgres") -> str:
        """Run a script of psql; returns what it printed, values alone. Raises BenchError."""
        place = ("--host", LOOPBACK, "--port", str(self.port), "--username", USER)
        options = ("--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1")
        told = subprocess.run(
            [self.programs / "psql", *place, *options, "--dbname", database],
            input=script,
            capture_output=True,
            text=True,
            check=False,
        )
        if told.returncode:
            raise BenchError(f"psql: {told.stderr.strip()}")
        return told.stdout.strip()


@contextmanager
def cluster(programs: Path, log: Path) -> Iterator[Postgres]:
    """A new cluster, gone at the end. Raises BenchError."""
    account = unprivileged()
    identity: dict[str, Any] = account.identity() if account else {}
    with tempfile.TemporaryDirectory(prefix="bench-postgres-") as name, log.open("wb") as output:
        home = Path(name)
        if account:
            account.own(home)
        _create(programs, home / "data", identity)
        server = Postgres(programs, free_port())
        process = subprocess.Popen(
            [programs / "postgres", "-D", home / "data", *_options(server.port)],
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            **identity,
        )
        try:
            _wait(server, process)
            yield server
        finally:
            _stop(process)


def _create(programs: Path, data: Path, identity: dict[str, Any]) -> None:
    told = subprocess.run(
        [programs / "initdb", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8",
         "--auth=trust", f"--username={USER}", "--pgdata", data],
        cwd=data.parent,
        capture_output=True,
        text=True,
        check=False,
        **identity,
    )  # fmt: skip
    if told.returncode:
        raise BenchError(f"initdb: {told.stderr.strip()}")


def _options(port: int) -> list[str]:
    settings = SETTINGS | {"port": str(port)}
    return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]


def _wait(server: Postgres, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            server.run("SELECT 1;")
        except BenchError:
            if process.poll() is not None or time.monotonic() > end:
                raise
            time.sleep(PAUSE_SECONDS)
        else:
            return


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End it with all its connections."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
