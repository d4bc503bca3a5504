"""Elasticsearch out of a big zip: only the wanted entries, checked as a whole.

    registry's zip ──transfer──▶ <name>.partial/ ──SHA-256 over everything──▶ <name>/

An entry appears under its name when it is whole, so an interrupted download goes on where it
stopped; the folder appears under its name when all of it is the pinned content.
"""

import hashlib
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from rich.console import Console

from deploy.local.errors import StackError
from deploy.local.locks import locked
from deploy.local.transfer import Transfer, list_entries, progress


@dataclass(frozen=True, slots=True)
class Archive:
    """The part of a remote zip that is wanted, and what it must be.

    `prefix` ends with `/`; what begins with one of `without` (below the prefix) is left out.
    `sha256` is over all files, as `digest` reckons it. `name` is the folder in the cache.
    """

    name: str
    url: str
    prefix: str
    without: tuple[str, ...]
    sha256: str

    def wanted(self, entries: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
        """The wanted entries by their path below the prefix. Raises StackError on an unsafe one."""
        below = {
            entry.filename.removeprefix(self.prefix): entry
            for entry in entries
            if entry.filename.startswith(self.prefix) and not entry.is_dir()
        }
        if any(name.startswith("/") or ".." in PurePosixPath(name).parts for name in below):
            raise StackError(f"{self.url} has an unsafe path in it; nothing of it was run.")
        return {name: entry for name, entry in below.items() if not name.startswith(self.without)}


def fetch(archive: Archive, cache: Path, console: Console) -> Path:
    """The folder with the archive's content, downloaded if it is not in the cache yet.

    Raises StackError when the zip cannot be read or its content is not the pinned one.
    """
    target = cache / archive.name
    if target.is_dir():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    with locked(cache / f"{archive.name}.lock", console, "Waiting for another download."):
        if not target.is_dir():
            partial = cache / f"{archive.name}.partial"
            _download(archive, partial, console)
            _check(archive, partial)
            _open_to_all(partial)
            partial.rename(target)
    return target


def digest(folder: Path) -> str:
    """The SHA-256 over a folder: of each file, sorted by name, name, NUL, SHA-256 of the content.

    Names are UTF-8 and relative to the folder; the inner digests are their 32 bytes.
    """
    whole = hashlib.sha256()
    files = {path.relative_to(folder).as_posix(): path for path in _files(folder)}
    for name in sorted(files):
        with files[name].open("rb") as file:
            content = hashlib.file_digest(file, "sha256").digest()
        whole.update(name.encode() + b"\0" + content)
    return whole.hexdigest()


def _download(archive: Archive, partial: Path, console: Console) -> None:
    """Bring the partial folder to exactly the wanted files, keeping those that are whole."""
    entries = archive.wanted(list_entries(archive.url))
    partial.mkdir(exist_ok=True)
    for path in list(_files(partial)):
        if path.relative_to(partial).as_posix() not in entries:
            path.unlink()
    missing = {name: e for name, e in entries.items() if not _is_whole(partial / name, e)}
    size = sum(entry.file_size for entry in entries.values())
    done = size - sum(entry.file_size for entry in missing.values())
    with progress(f"Downloading {archive.name}", done, size, console) as advance:
        Transfer(archive.url, partial, advance).run(missing)


def _is_whole(path: Path, entry: zipfile.ZipInfo) -> bool:
    if not path.is_file() or path.stat().st_size != entry.file_size:
        return False
    return zlib.crc32(path.read_bytes()) == entry.CRC


def _check(archive: Archive, partial: Path) -> None:
    if (found := digest(partial)) != archive.sha256:
        shutil.rmtree(partial)
        raise StackError(
            f"What was downloaded from {archive.url} has the SHA-256 {found} instead of "
            f"{archive.sha256}; it was removed and nothing of it was run."
        )


def _open_to_all(folder: Path) -> None:
    """Let the server's user read it, whatever the umask and the modes in the archive are."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if not path.is_dir())
