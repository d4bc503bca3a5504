"""A file of events: one JSON object a line, compressed when its name ends in .gz.

A file is older than what happens while it is read. When the product wrote it is taken from its time
of modification: what the live index got since then is newer than the file. Where a copy has lost
that time, `touch -d` gives it back.
"""

import gzip
import json
import os
import zlib
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from indexer.sources import Found, Page, SourceError
from indexer.sources.of_events import found_in

LINES: Final = 500
BYTES: Final = 5_000_000


@dataclass(frozen=True, slots=True)
class EventFile:
    """The events of this file, in one part; the position is a number of lines."""

    path: Path

    @property
    def total(self) -> int:
        """In bytes, as stored."""
        return self._stat().st_size

    @property
    def as_of(self) -> int:
        return self._stat().st_mtime_ns // 1_000_000

    def beginning(self) -> Mapping[str, Any]:
        return {"lines": 0}

    def parts(self, positions: Mapping[str, Any]) -> Mapping[str, Iterator[Page]]:
        return {"lines": self._pages(positions["lines"])}

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """The lines that are not blank, with their numbers from 1. Raises SourceError."""
        for number, line, _ in self._numbered():
            yield number, line

    def _pages(self, skipped: int) -> Iterator[Page]:
        lines: list[tuple[int, bytes]] = []
        size, last, before = 0, skipped, 0
        for number, line, stored in self._numbered():
            if number <= skipped:
                before = stored
                continue
            lines.append((number, line))
            size, last = size + len(line), number
            if len(lines) >= LINES or size >= BYTES:
                yield _page(lines, number, stored - before)
                lines, size, before = [], 0, stored
        if lines:
            yield _page(lines, last, self.total - before)

    def _numbered(self) -> Iterator[tuple[int, bytes, int]]:
        """Number and text of each line, and how many bytes of the file it takes to get there."""
        try:
            with self.path.open("rb") as raw, closing(self._unzipped(raw)) as lines:
                for number, line in enumerate(lines, start=1):
                    if line.strip():
                        yield number, line, raw.tell()
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise SourceError(f"{self.path}: the compressed file is damaged or cut off") from error
        except OSError as error:
            raise SourceError(f"{self.path}: {error.strerror}") from error

    def _unzipped(self, raw: BinaryIO) -> BinaryIO:
        return cast(BinaryIO, gzip.open(raw)) if self.path.suffix == ".gz" else raw

    def _stat(self) -> os.stat_result:
        try:
            return self.path.stat()
        except OSError as error:
            raise SourceError(f"{self.path}: {error.strerror}") from error


def _page(lines: list[tuple[int, bytes]], position: int, amount: int) -> Page:
    return Page(lambda: _read(lines), position, amount)


def _read(lines: list[tuple[int, bytes]]) -> list[Found]:
    return found_in((f"line {number}", event_of(number, line)) for number, line in lines)


def event_of(number: int, line: bytes) -> object:
    """The JSON value of this line. Raises SourceError."""
    try:
        value: object = json.loads(line)
    except (ValueError, RecursionError):
        raise SourceError(f"line {number}: not JSON; the file may be cut off") from None
    return value
