"""Ctrl-C that is not lost.

Python raises KeyboardInterrupt wherever it is, and drops it where that is a finalizer: those of
connection pools run while a server is asked whether it answers. So a command notes Ctrl-C until it
has arrived, and while something is polled it is raised between two polls only.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from types import FrameType
from typing import Final

_noted: Final = Event()
_polling: Final = Event()


@contextmanager
def noted() -> Iterator[None]:
    """Ctrl-C is raised in this block, if not at once then by `check`; not where it is ignored."""
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def polling() -> Iterator[None]:
    """In this block it is raised by `check` alone."""
    _polling.set()
    try:
        yield
    finally:
        _polling.clear()


def check() -> None:
    """Raises KeyboardInterrupt when it was noted and has not arrived."""
    if _noted.is_set():
        raise KeyboardInterrupt


def arrived() -> None:
    """What is done from here on, to clean up, goes to its end."""
    _noted.clear()


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    _noted.set()
    if not _polling.is_set():
        raise KeyboardInterrupt
