"""One command at a time on a folder."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console


@contextmanager
def locked(path: Path, console: Console, busy: str) -> Iterator[None]:
    """Hold the file's lock, which the system takes back from a process that ends in any way.

    When another process holds it, `busy` is told and waited for.
    """
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            console.print(busy)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
