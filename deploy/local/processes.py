"""A server as processes of this machine, found again by a mark in their environment.

The mark is RECORDINGS_LOCAL_STACK=<state folder of the server>. Every child inherits it, so that
no file with a process id can be out of date, whenever the program that started it was killed.
"""

import os
import signal
import subprocess
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import psutil

from deploy.local.errors import StackError
from deploy.local.ports import LOOPBACK, free_port, is_free
from deploy.local.servers import Program, Recipe, Running, wait

MARK: Final = "RECORDINGS_LOCAL_STACK"
TERM_SECONDS: Final = 30.0
KILL_SECONDS: Final = 10.0
START_ATTEMPTS: Final = 3
TAIL_LINES: Final = 15
LOG: Final = "server.log"
# No more of the environment: JAVA_TOOL_OPTIONS and the like would change the server, secrets do
# not belong in it. The locale says how paths are encoded.
INHERITED: Final = ("PATH", "LANG", "LC_ALL", "LC_CTYPE")

# Those that this program started itself: the system keeps their end for it, as zombies, until it
# is asked for.
_children: dict[Path, subprocess.Popen[bytes]] = {}


def marked(folder: Path) -> list[psutil.Process]:
    """The processes of the server whose state folder this is, the oldest first."""
    found = [process for process in psutil.process_iter() if _mark(process) == str(folder)]
    return sorted(found, key=lambda process: (process.create_time(), process.pid))


def spawn(program: Program, folder: Path) -> None:
    """Start it with the folder's mark, its output in the folder's log.

    It has a session of its own, so that Ctrl-C in the terminal does not reach it.
    """
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    with (folder / LOG).open("wb") as log:
        _children[folder] = subprocess.Popen(
            program.command,
            env={**inherited, **program.environment, MARK: str(folder)},
            cwd=program.folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **(program.account.identity() if program.account else {}),
        )


def end(folder: Path, patience_seconds: float = TERM_SECONDS) -> bool:
    """End the processes with the folder's mark; whether there were any. Raises StackError.

    Those that do not end in time when asked to are killed; without patience, all at once.
    """
    try:
        return _end(folder, patience_seconds)
    finally:
        if child := _children.pop(folder, None):
            child.kill()
            child.wait()


def _end(folder: Path, patience_seconds: float) -> bool:
    if not marked(folder):
        return False
    asked: set[psutil.Process] = set()

    def gone(number: signal.Signals) -> bool:
        # A launcher may start a child while it is being stopped: look again, ask it as well.
        left = set(marked(folder))
        for process in left - asked:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        asked.update(left)
        return not left

    if patience_seconds and wait(lambda: gone(signal.SIGTERM), patience_seconds):
        return True
    asked.clear()
    if not wait(lambda: gone(signal.SIGKILL), KILL_SECONDS):
        raise StackError(f"The processes of {folder} cannot be stopped.")
    return True


def _mark(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(MARK)
    except (psutil.Error, OSError):
        # Ended meanwhile, or another user's: not ours.
        return None


class ProcessServer:
    """A server of this machine, with its data, log and port in the state folder."""

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        self.recipe = recipe
        self._folder = folder
        self._port_file = folder / "port"

    def running(self) -> Running | None:
        processes = marked(self._folder)
        port = self._last_port()
        if not processes or port is None:
            return None
        since = datetime.fromtimestamp(processes[0].create_time(), UTC)
        return Running("process", self.recipe.url(LOOPBACK, port), processes[0].pid, since)

    def start(self) -> str:
        if (found := self.running()) and self._answers(found.url):
            return found.url
        for attempt in range(1, START_ATTEMPTS + 1):
            url = self._spawn()
            if self._answers(url):
                return url
            # Another program may have taken the port since it was found free.
            lost_port = "address already in use" in self._log().lower()
            if not lost_port or self.recipe.port or attempt == START_ATTEMPTS:
                break
        raise self._failed("ended before it answered")

    def stop(self) -> bool:
        return end(self._folder)

    def kill(self) -> bool:
        return end(self._folder, patience_seconds=0)

    def _spawn(self) -> str:
        end(self._folder, patience_seconds=0)
        self._folder.mkdir(parents=True, exist_ok=True)
        port = self._choose_port()
        program = self.recipe.program(self._folder, port)
        self._port_file.write_text(f"{port}\n", "utf-8")
        spawn(program, self._folder)
        return self.recipe.url(LOOPBACK, port)

    def _choose_port(self) -> int:
        fixed = self.recipe.port
        if fixed and not is_free(fixed):
            raise StackError(f"Port {fixed} of the settings is taken; {self.recipe.name} needs it.")
        last = self._last_port()
        return fixed or (last if last and is_free(last) else free_port())

    def _last_port(self) -> int | None:
        try:
            return int(self._port_file.read_text("utf-8"))
        except (FileNotFoundError, ValueError):
            return None

    def _answers(self, url: str) -> bool:
        """Wait for the answer; False when the server ended instead. Raises at the deadline."""
        fault: str | None = None

        def settled() -> bool:
            nonlocal fault
            fault = self.recipe.fault(url, self._folder)
            return fault is None or not marked(self._folder)

        if wait(settled):
            return fault is None
        raise self._failed(f"does not answer ({fault})")

    def _failed(self, what: str) -> StackError:
        last = "\n".join(self._log().splitlines()[-TAIL_LINES:])
        return StackError(f"{self.recipe.name} {what}; its log ends with:\n{last}")

    def _log(self) -> str:
        try:
            return (self._folder / LOG).read_text("utf-8", errors="replace")
        except FileNotFoundError:
            return ""
