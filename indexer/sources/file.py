"""A file of events: one JSON object a line, compressed when its name ends in .gz.

A file is older than what happens while it is read. When the product wrote it is taken from its time
of modification: what the live index got since then is newer than the file. Where a copy has lost
that time, `touch -d` gives it back.
"""

import gzip
import json
import os
import zlib
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
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

    def parts(self, positions: Mapping[str, Any]) -> Mapping[str, Generator[Page]]:
        return {"lines": self._pages(positions["lines"])}

    def rest(self, positions: Mapping[str, Any]) -> Generator[Page]:  # noqa: ARG002 (the protocol)
        yield from ()

    def events(self) -> Iterator[tuple[Sequence[tuple[str, object]], int]]:
        """Some events, each with its place in the file, and how much of the file they are.

        Raises SourceError.
        """
        for lines, amount in self._chunks(0):
            yield _events_of(lines), amount

    def _pages(self, skipped: int) -> Generator[Page]:
        for lines, amount in self._chunks(skipped):
            read = partial(_read, lines)
            yield Page(read, lines[-1][0], amount)

    def _chunks(self, skipped: int) -> Iterator[tuple[list[tuple[int, bytes]], int]]:
        """Lines with their numbers, of a bounded size, and how many bytes of the file they are."""
        lines: list[tuple[int, bytes]] = []
        size = before = stored = 0
        for number, line, stored in self._numbered():
            if number <= skipped:
                before = stored
                continue
            lines.append((number, line))
            size += len(line)
            if len(lines) >= LINES or size >= BYTES:
                yield lines, stored - before
                lines, size, before = [], 0, stored
        if lines:
            yield lines, stored - before

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


def _read(lines: Sequence[tuple[int, bytes]]) -> list[Found]:
    return found_in(_events_of(lines))


def _events_of(lines: Sequence[tuple[int, bytes]]) -> list[tuple[str, object]]:
    return [(f"line {number}", _event_of(number, line)) for number, line in lines]


def _event_of(number: int, line: bytes) -> object:
    try:
        value: object = json.loads(line)
    except (ValueError, RecursionError):
        raise SourceError(f"line {number}: not JSON; the file may be cut off") from None
    return value
