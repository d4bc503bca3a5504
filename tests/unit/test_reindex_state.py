"""The state of a reindex: who works on it, and which indices are written in each state."""

import socket
from dataclasses import asdict

import pytest

from indexer.reindex.state import LEASE_SECONDS, Phase, Reindex, Worker, now

THIS = Worker.this()
NO_PROCESS = 2**22 + 1  # above the highest process id of Linux


@pytest.mark.parametrize(
    ("host", "pid", "seconds_ago", "alive"),
    [
        pytest.param("elsewhere", 1, 1, True, id="another machine, seen just now"),
        pytest.param("elsewhere", 1, LEASE_SECONDS + 1, False, id="another machine, silent"),
        pytest.param(THIS.host, THIS.pid, 1, True, id="this machine, running"),
        pytest.param(THIS.host, THIS.pid, LEASE_SECONDS + 1, False, id="this machine, hanging"),
        pytest.param(THIS.host, NO_PROCESS, 0, False, id="this machine, gone"),
    ],
)
def test_who_is_alive(host: str, pid: int, seconds_ago: float, alive: bool) -> None:
    seen = now() - round(seconds_ago * 1000)
    assert Worker("someone", host, pid, "token", seen).is_alive == alive


def reindex(phase: Phase) -> Reindex:
    return Reindex(phase, "index", "old", "new", "then", "someone", "then", THIS)


@pytest.mark.parametrize("phase", list(Phase))
def test_the_state_is_kept_as_it_is(phase: Phase) -> None:
    assert Reindex.of(asdict(reindex(phase))) == reindex(phase)


@pytest.mark.parametrize(
    ("phase", "written"),
    [
        (Phase.CREATED, ["old"]),
        (Phase.DUAL_WRITING, ["old", "new"]),
        (Phase.BACKFILLING, ["old", "new"]),
        (Phase.VERIFIED, ["old", "new"]),
        (Phase.SWAPPED, ["old", "new"]),
        (Phase.RETIRED, ["new"]),
        (Phase.ABORTED, ["old"]),
    ],
)
def test_what_is_written_in_each_state(phase: Phase, written: list[str]) -> None:
    assert reindex(phase).written() == written


def test_this_process_is_named() -> None:
    assert str(THIS) == f"{THIS.user} on {socket.gethostname()} (process {THIS.pid})"
