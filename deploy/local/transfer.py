"""Entries of a remote zip to files, several at once, with retries and a progress bar.

Each thread has its own view of the zip and takes the next entry from a queue. The threads are
daemons, so that Ctrl-C ends the program at once, even in the middle of a slow answer.
"""

import queue
import threading
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import requests
from remotezip import RemoteIOError, RemoteZip, RemoteZipError
from rich.console import Console
from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from urllib3.exceptions import HTTPError

from deploy.local.errors import StackError

THREADS: Final = 8
ATTEMPTS: Final = 5
FIRST_PAUSE_SECONDS: Final = 0.5
TIMEOUT_SECONDS: Final = 20.0
SECONDS_BETWEEN_LINES: Final = 10.0
CHUNK_BYTES: Final = 256 * 1024
UNFINISHED: Final = ".unfinished"
TRANSIENT: Final = (RemoteIOError, OSError, HTTPError, EOFError, zipfile.BadZipFile, zlib.error)


def list_entries(url: str) -> list[zipfile.ZipInfo]:
    """What is in a remote zip. Raises StackError when it cannot be read."""
    entries: list[zipfile.ZipInfo] = []

    def read() -> None:
        with requests.Session() as session, _open(url, session) as remote:
            entries[:] = remote.infolist()

    retrying(url, read)
    return entries


def retrying(
    url: str, action: Callable[[], None], pause: Callable[[float], object] = time.sleep
) -> None:
    """Do the action; a few times when the network fails. Raises StackError when it goes on."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return action()
        except TRANSIENT as error:
            if attempt == ATTEMPTS:
                raise StackError(f"{url} could not be read: {error}.") from error
            pause(FIRST_PAUSE_SECONDS * 2 ** (attempt - 1))
        except RemoteZipError as error:
            # Not a passing failure: a server without range requests, for example.
            raise StackError(f"{url} could not be read: {error}.") from error
    return None


class Transfer:
    """One download: `run` returns when every entry is a file below `folder`.

    `advance` is told the bytes that were written, and takes them back (a negative number) when
    an entry has to be read again.
    """

    def __init__(self, url: str, folder: Path, advance: Callable[[int], None]) -> None:
        self._url = url
        self._folder = folder
        self._advance = advance
        self._jobs: queue.SimpleQueue[tuple[str, zipfile.ZipInfo]] = queue.SimpleQueue()
        self._ended: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        self._stop = threading.Event()

    def run(self, entries: Mapping[str, zipfile.ZipInfo]) -> None:
        """Raises StackError when the zip cannot be read, after some attempts."""
        for job in sorted(entries.items(), key=lambda item: -item[1].file_size):
            self._jobs.put(job)
        for _ in range(THREADS):
            threading.Thread(target=self._work, daemon=True).start()
        errors: list[BaseException] = []
        try:
            for _ in range(THREADS):
                if error := self._ended.get():
                    errors.append(error)
                    # The others end too, and are waited for: another attempt may follow.
                    self._stop.set()
        finally:
            self._stop.set()
        if errors:
            raise errors[0]

    def _work(self) -> None:
        try:
            with requests.Session() as session:
                self._take_jobs(session)
        except BaseException as error:  # noqa: BLE001 - it is raised again in the main thread
            self._ended.put(error)
        else:
            self._ended.put(None)

    def _take_jobs(self, session: requests.Session) -> None:
        reader = _Reader(self._url, session)
        while not self._stop.is_set():
            try:
                name, entry = self._jobs.get_nowait()
            except queue.Empty:
                return
            retrying(self._url, partial(self._extract, reader, name, entry), self._stop.wait)

    def _extract(self, reader: "_Reader", name: str, entry: zipfile.ZipInfo) -> None:
        if self._stop.is_set():
            return
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(path.name + UNFINISHED)
        written = 0
        try:
            with reader.chunks(entry) as chunks, unfinished.open("wb") as file:
                for chunk in chunks:
                    file.write(chunk)
                    written += len(chunk)
                    self._advance(len(chunk))
                    if self._stop.is_set():
                        return
        except BaseException:
            self._advance(-written)
            raise
        unfinished.rename(path)


class _Reader:
    """One thread's view of the zip; opened again after a failure, as its place is unknown then."""

    def __init__(self, url: str, session: requests.Session) -> None:
        self._url = url
        self._session = session
        self._remote: RemoteZip | None = None

    @contextmanager
    def chunks(self, entry: zipfile.ZipInfo) -> Iterator[Iterator[bytes]]:
        """The content of an entry, piece by piece, checked by its CRC at the end."""
        self._remote = self._remote or _open(self._url, self._session)
        try:
            with self._remote.open(entry) as source:
                yield iter(partial(source.read, CHUNK_BYTES), b"")
        except BaseException:
            self._remote = None
            raise


def _open(url: str, session: requests.Session) -> RemoteZip:
    return RemoteZip(url, session=session, timeout=TIMEOUT_SECONDS)


@contextmanager
def progress(title: str, done: int, size: int, console: Console) -> Iterator[Callable[[int], None]]:
    """Show how far a download is: a bar on a terminal, else a line now and then. In bytes."""
    if console.is_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
        with Progress(
            *columns, TransferSpeedColumn(), TimeRemainingColumn(), console=console
        ) as bar:
            task = bar.add_task(title, completed=done, total=size)
            yield lambda count: bar.advance(task, count)
    else:
        yield _Lines(title, done, size, console).advance


class _Lines:
    """Progress for a log file: a line at the start and every few seconds."""

    def __init__(self, title: str, done: int, size: int, console: Console) -> None:
        self._title, self._done, self._size, self._console = title, done, size, console
        self._lock = threading.Lock()
        self._first, self._start = done, time.monotonic()
        self._last = self._start
        console.print(f"{title}: {decimal(size - done)} to read")

    def advance(self, count: int) -> None:
        with self._lock:
            self._done += count
            now = time.monotonic()
            if now - self._last < SECONDS_BETWEEN_LINES:
                return
            self._last = now
            rate = max(self._done - self._first, 1) / (now - self._start)
            left = (self._size - self._done) / rate
            self._console.print(
                f"{self._title}: {decimal(self._done)} of {decimal(self._size)}, "
                f"{decimal(int(rate))}/s, {left:.0f} s left"
            )
