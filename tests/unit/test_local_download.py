"""The download, against a server of this test that cuts, blocks and refuses as told."""

import io
import re
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random

import pytest
from rich.console import Console

from deploy.local import transfer
from deploy.local.download import Archive, digest, fetch
from deploy.local.errors import StackError
from deploy.local.servers import wait

SIZE = 150_000
FILES = {f"lib/part-{number:02}.jar": Random(number).randbytes(SIZE) for number in range(24)}
FILES["config/empty"] = b""
CONSOLE = Console(quiet=True)


class Registry(ThreadingHTTPServer):
    """Serves one zip by ranges; the numbers count down with the entries that were asked for."""

    daemon_threads = True

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = content
        self.cuts = 0
        self.free_answers: int | None = None
        self.ranges = True
        self.released = threading.Event()
        self.lock = threading.Lock()
        self.asked: list[int] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/server.zip"

    def take(self, start: int) -> tuple[bool, bool]:
        """Whether this answer is to be cut, and whether it is to wait."""
        with self.lock:
            self.asked.append(start)
            cut, self.cuts = self.cuts > 0, max(self.cuts - 1, 0)
            if self.free_answers is None:
                return cut, False
            self.free_answers -= 1
            return cut, self.free_answers < 0


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Registry

    def do_GET(self) -> None:
        content = self.server.content
        found = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if not found or not self.server.ranges:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            return
        first, last = found.groups()
        start = int(first) if first else max(len(content) - int(last), 0)
        end = min(int(last) + 1, len(content)) if first and last else len(content)
        whole = content[start:end]
        # The directory at the end of the zip is always answered.
        cut, block = self.server.take(start) if first else (False, False)
        self.send_response(206)
        self.send_header("Content-Length", str(len(whole)))
        self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(content)}")
        self.end_headers()
        if cut or block:
            self.wfile.write(whole[: len(whole) // 2])
            self.wfile.flush()
            if block:
                self.server.released.wait(60)
            self.close_connection = True
            return
        self.wfile.write(whole)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing on the screen."""


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def serve(content: bytes) -> Iterator[Registry]:
    with Registry(content) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.released.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def registry() -> Iterator[Registry]:
    files = {f"big/server/{name}": content for name, content in FILES.items()}
    unwanted = {"big/server/modules/unused/x.jar": b"x" * 9, "big/else.txt": b"y" * 9}
    yield from serve(zipped(unwanted | files))


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "FIRST_PAUSE_SECONDS", 0.01)


@pytest.fixture(scope="module")
def pinned(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("pinned")
    for name, content in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    return digest(folder)


def archive(url: str, sha256: str) -> Archive:
    return Archive("server-1", url, "big/server/", ("modules/unused/",), sha256)


def content_of(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_brings_the_wanted_entries_and_nothing_else(
    registry: Registry, pinned: str, tmp_path: Path
) -> None:
    folder = fetch(archive(registry.url, pinned), tmp_path, CONSOLE)
    assert content_of(folder) == FILES
    assert {path.name for path in tmp_path.iterdir()} == {"server-1", "server-1.lock"}
    assert all(path.stat().st_mode & 0o004 for path in folder.rglob("*"))


def test_a_second_fetch_asks_nobody(registry: Registry, pinned: str, tmp_path: Path) -> None:
    fetch(archive(registry.url, pinned), tmp_path, CONSOLE)
    asked = len(registry.asked)
    fetch(archive(registry.url, pinned), tmp_path, CONSOLE)
    assert len(registry.asked) == asked


def test_dropped_connections_are_tried_again(
    registry: Registry, pinned: str, tmp_path: Path
) -> None:
    registry.cuts = transfer.ATTEMPTS - 1
    assert content_of(fetch(archive(registry.url, pinned), tmp_path, CONSOLE)) == FILES


def test_a_connection_that_always_drops_is_told_and_can_be_resumed(
    registry: Registry, pinned: str, tmp_path: Path
) -> None:
    registry.cuts = 1_000_000
    with pytest.raises(StackError, match="could not be read"):
        fetch(archive(registry.url, pinned), tmp_path, CONSOLE)
    assert not (tmp_path / "server-1").exists()
    registry.cuts = 0
    assert content_of(fetch(archive(registry.url, pinned), tmp_path, CONSOLE)) == FILES


def test_a_killed_download_goes_on_where_it_stopped(
    registry: Registry, pinned: str, tmp_path: Path
) -> None:
    registry.free_answers = 12
    code = (
        "import sys; from pathlib import Path; from rich.console import Console;"
        "from deploy.local.download import *;"
        f"fetch(Archive('server-1', {registry.url!r}, 'big/server/', ('modules/unused/',),"
        f" {pinned!r}), Path(sys.argv[1]), Console(quiet=True))"
    )
    partial = tmp_path / "server-1.partial"

    def halfway() -> bool:
        unfinished = list(partial.rglob(f"*{transfer.UNFINISHED}"))
        return len(unfinished) == transfer.THREADS and len(content_of(partial)) > len(unfinished)

    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) as process:
        assert wait(halfway, 30)
        process.kill()
    whole = {name for name in content_of(partial) if not name.endswith(transfer.UNFINISHED)}
    registry.free_answers = None
    registry.asked.clear()
    assert content_of(fetch(archive(registry.url, pinned), tmp_path, CONSOLE)) == FILES
    assert len(registry.asked) == len(FILES) - len(whole)


def test_a_damaged_part_is_read_again(registry: Registry, pinned: str, tmp_path: Path) -> None:
    damaged = tmp_path / "server-1.partial" / "lib" / "part-00.jar"
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(bytes(SIZE))
    (damaged.parent / "stranger.jar").write_bytes(b"from elsewhere")
    assert content_of(fetch(archive(registry.url, pinned), tmp_path, CONSOLE)) == FILES


def test_another_content_is_removed_and_told(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"SHA-256 .* nothing of it was run"):
        fetch(archive(registry.url, "0" * 64), tmp_path, CONSOLE)
    assert content_of(tmp_path) == {"server-1.lock": b""}


def test_two_at_once_read_everything_once(registry: Registry, pinned: str, tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as both:
        folders = list(
            both.map(
                lambda _: fetch(archive(registry.url, pinned), tmp_path, CONSOLE),
                range(2),
            )
        )
    assert content_of(folders[0]) == FILES
    assert folders[0] == folders[1]
    assert len(registry.asked) == len(FILES)


def test_a_server_without_ranges_is_told(registry: Registry, pinned: str, tmp_path: Path) -> None:
    registry.ranges = False
    with pytest.raises(StackError, match="range requests"):
        fetch(archive(registry.url, pinned), tmp_path, CONSOLE)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("big/server/../../evil", id="a step up"),
        pytest.param("big/server//etc/evil", id="an absolute path"),
    ],
)
def test_a_path_that_leads_outside_is_refused(name: str, pinned: str, tmp_path: Path) -> None:
    for registry in serve(zipped({name: b"x"})):
        with pytest.raises(StackError, match="unsafe path"):
            fetch(archive(registry.url, pinned), tmp_path, CONSOLE)
