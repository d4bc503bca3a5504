"""The local stack with its real servers, as processes, in a home of its own.

The home is beside the default one: pytest's folders are closed to the user that Elasticsearch runs
as when the tests run as root.
"""

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import psutil
import pytest
import redis
from elasticsearch import Elasticsearch
from rich.console import Console

from deploy.local.accounts import unprivileged
from deploy.local.download import fetch
from deploy.local.elasticsearch import archive
from deploy.local.processes import MARK, marked
from deploy.local.servers import wait
from deploy.local.settings import local_settings, state_root
from deploy.local.stack import Addresses, Stack, environment

CHECKOUT = Path(__file__).parents[2]
USER = str(uuid.uuid4())


@pytest.fixture(scope="module", autouse=True)
def own_settings() -> Iterator[None]:
    """No given servers and no Docker engine: what is tested here is the processes."""
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            kept = ("RECORDINGS_LOCAL_CACHE", "RECORDINGS_LOCAL_MAVEN_URL")
            if name.startswith("RECORDINGS_") and name not in kept:
                patch.delenv(name)
        patch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
        patch.setenv("RECORDINGS_LOCAL_ELASTICSEARCH_HEAP", "512m")
        yield


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    yield from a_home()


@pytest.fixture
def fresh_home() -> Iterator[Path]:
    yield from a_home()


def a_home() -> Iterator[Path]:
    home = state_root() / f"test-{uuid.uuid4().hex[:8]}"
    home.mkdir(parents=True)
    yield home
    Stack(home).down()
    shutil.rmtree(home)


def run(
    home: Path,
    *arguments: str,
    interpreter: str | Path = sys.executable,
    settings: dict[str, str] | None = None,
    **identity: Any,
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [interpreter, "-m", "deploy.local", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=CHECKOUT,
        env=os.environ | {"RECORDINGS_LOCAL_HOME": str(home)} | (settings or {}),
        timeout=150,
        **identity,
    )


def begin(home: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "deploy.local", "up"],
        cwd=CHECKOUT,
        env=os.environ | {"RECORDINGS_LOCAL_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def left_over(home: Path) -> list[psutil.Process]:
    """Every process that belongs to the home, by its mark or by its command line."""
    found = []
    for process in psutil.process_iter(["environ", "cmdline"]):
        mark = (process.info["environ"] or {}).get(MARK, "")
        if mark.startswith(str(home)) or str(home) in " ".join(process.info["cmdline"] or ()):
            found.append(process)
    return found


def count(addresses: Addresses) -> int:
    with Elasticsearch(addresses.elasticsearch_url) as client:
        client.indices.refresh(index="kept")
        return int(client.count(index="kept")["count"])


def stopped_while_starting(home: Path) -> None:
    """What Elasticsearch leaves when it is stopped while it makes its keystore."""
    conf = home / "elasticsearch" / "conf"
    conf.mkdir(parents=True)
    (conf / "elasticsearch.keystore.tmp").touch()


def test_the_stack_from_up_to_down(home: Path) -> None:
    stopped_while_starting(home)
    first = run(home, "up")
    assert first.returncode == 0, first.stderr
    assert first.stdout == ""
    status = run(home, "status")
    assert status.returncode == 0
    assert status.stdout.count("process") == 2

    began = time.monotonic()
    again = run(home, "up")
    assert (again.returncode, again.stderr.count("running already")) == (0, 2)
    assert time.monotonic() - began < 5

    settings = environment(home)
    script = f"eval \"$('{sys.executable}' -m deploy.local env)\" && env -0"
    shell = subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        text=True,
        check=True,
        cwd=CHECKOUT,
        env=os.environ | {"RECORDINGS_LOCAL_HOME": str(home)},
    )
    read = dict(entry.split("=", 1) for entry in shell.stdout.split("\0") if entry)
    assert read.items() >= settings.items()

    token = run(home, "token", "--tenant", "acme", "--user", USER, "--role", "user").stdout.strip()
    key = settings["RECORDINGS_AUTH_PUBLIC_KEY"]
    audience, issuer = settings["RECORDINGS_AUTH_AUDIENCE"], settings["RECORDINGS_AUTH_ISSUER"]
    assert jwt.decode(token, key, ["ES256"], audience=audience, issuer=issuer)["sub"] == USER

    # The environment names our own servers now, as after evaluating `env`: they are stopped still.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECORDINGS_ELASTICSEARCH_URL", settings["RECORDINGS_ELASTICSEARCH_URL"])
        patch.setenv("RECORDINGS_REDIS_URL", settings["RECORDINGS_REDIS_URL"])
        assert run(home, "status").stdout.count("given") == 2
        down = run(home, "down")
    assert (down.returncode, down.stderr) == (0, "Elasticsearch and Redis stopped.\n")
    assert not left_over(home)
    assert run(home, "down").stderr == "Nothing was running.\n"
    assert run(home, "status").returncode == 1


def test_data_and_ports_stay_over_kill_and_restart(home: Path) -> None:
    stack = Stack(home)
    addresses = stack.up()
    with Elasticsearch(addresses.elasticsearch_url) as client:
        client.index(index="kept", document={"text": "one"})
    with redis.Redis.from_url(addresses.redis_url) as client:
        client.set("kept", "two")

    assert stack.elasticsearch.kill()
    assert stack.elasticsearch.running() is None
    assert stack.redis.running() is not None
    assert stack.elasticsearch.start() == addresses.elasticsearch_url
    assert count(addresses) == 1

    stack.down()
    assert stack.up() == addresses
    assert count(addresses) == 1
    with redis.Redis.from_url(addresses.redis_url) as client:
        assert client.get("kept") == b"two"
    stack.down()


def test_a_port_that_was_taken_meanwhile_is_replaced(fresh_home: Path) -> None:
    server = Stack(fresh_home).redis
    url = server.start()
    port = int(url.rpartition(":")[2].removesuffix("/0"))
    server.stop()
    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        thief.bind(("127.0.0.1", port))
        thief.listen()
        assert server.start() != url
    server.stop()


def test_killing_up_at_any_moment_leaves_nothing_after_down(fresh_home: Path) -> None:
    chance = random.Random(7)
    for moment in ("Redis", "launcher", "server", "any"):
        process = begin(fresh_home)
        elasticsearch = fresh_home / "elasticsearch"
        arrived = {
            "Redis": lambda: bool(marked(fresh_home / "redis")),
            "launcher": lambda: len(marked(elasticsearch)) >= 1,  # noqa: B023
            "server": lambda: len(marked(elasticsearch)) >= 2,  # noqa: B023
            "any": lambda: False,
        }[moment]
        wait(arrived, 60 if moment != "any" else chance.uniform(0.5, 4))
        process.kill()
        process.communicate()
        assert run(fresh_home, "down").returncode == 0
        assert not left_over(fresh_home), moment


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C reaches what is started here, also where a shell in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_stops_what_was_started(fresh_home: Path) -> None:
    process = begin(fresh_home)
    assert wait(lambda: len(marked(fresh_home / "elasticsearch")) >= 2, 60)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert output == ""
    assert errors.splitlines()[-1] == "Interrupted."
    assert "Elasticsearch answers" not in errors  # at once, not when it has started
    assert "Traceback" not in errors
    assert not left_over(fresh_home)


def test_a_server_that_cannot_start_shows_the_end_of_its_log(
    fresh_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECORDINGS_LOCAL_ELASTICSEARCH_HEAP", "1k")
    result = run(fresh_home, "up")
    assert result.returncode == 1
    assert "heap" in result.stderr
    assert "Traceback" not in result.stderr
    assert not left_over(fresh_home)


def open_python(folder: Path) -> Path:
    """A copy of this interpreter that every user can run: the original may be in root's home."""
    library = Path(sysconfig.get_path("stdlib"))
    unneeded = shutil.ignore_patterns("site-packages", "test", "__pycache__", "idlelib", "*.a")
    shutil.copytree(library, folder / "lib" / library.name, ignore=unneeded)
    for shared in library.parent.glob("libpython*.so*"):
        shutil.copy(shared, folder / "lib")
    (folder / "bin").mkdir()
    return Path(shutil.copy(Path(sys.executable).resolve(), folder / "bin"))


def test_another_user_than_root_can_use_it(fresh_home: Path) -> None:
    account = unprivileged()
    if account is None:
        pytest.skip("the other tests run as another user than root already")
    # The cache belongs to root: filled beforehand, it is only read.
    fetch(archive(local_settings()), local_settings().cache_folder, Console(quiet=True))
    python = open_python(fresh_home / "python")
    account.own(fresh_home)
    settings = {
        "RECORDINGS_LOCAL_CACHE": str(local_settings().cache_folder),
        "PYTHONHOME": str(python.parents[1]),
        "PYTHONPATH": str(Path(pytest.__file__).parents[1]),
        "LD_LIBRARY_PATH": str(python.parents[1] / "lib"),
        "HOME": "/nonexistent",
    }

    def as_other(command: str) -> subprocess.CompletedProcess[str]:
        identity = account.identity()
        return run(fresh_home, command, interpreter=python, settings=settings, **identity)

    up = as_other("up")
    assert up.returncode == 0, up.stderr
    assert {process.uids().real for process in left_over(fresh_home)} == {account.user}
    assert as_other("status").returncode == 0
    assert as_other("down").returncode == 0
    assert not left_over(fresh_home)
