"""`make demo` on the stack of the run: what it shows is true, and so is the README's example."""

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from elasticsearch import Elasticsearch

from deploy.local.processes import marked
from deploy.local.settings import state_root
from services.indices import IndexNames

CLONE = Path(__file__).parents[2]
PREFIX = "e2e-demo"


@pytest.fixture(scope="module")
def environment(elasticsearch_url: str, redis_url: str) -> Iterator[dict[str, str]]:
    home = state_root() / f"demo-test-{os.getpid()}"
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    environment = dict(os.environ) | {
        "RECORDINGS_ELASTICSEARCH_URL": elasticsearch_url,
        "RECORDINGS_REDIS_URL": f"{redis_url.rpartition('/')[0]}/15",
        "RECORDINGS_INDEX_PREFIX": PREFIX,
        "RECORDINGS_API_PORT": str(port),
        "RECORDINGS_LOCAL_HOME": str(home),
        "COLUMNS": "120",
    }
    yield environment
    run("demo-down", environment)
    shutil.rmtree(home)
    with Elasticsearch(elasticsearch_url) as client:
        client.indices.delete(index=IndexNames(PREFIX).first_indices)


@pytest.fixture(scope="module")
def screen(environment: dict[str, str]) -> str:
    return run("demo", environment)


def run(command: str, environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "deploy.local", *command.split()],
        cwd=CLONE,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def ask(curl: str, base: str, token: str = "") -> requests.Response:
    """What this curl command does: -G, -H (also @file), -d and --data-urlencode."""
    words = shlex.split(curl.replace("\\\n", " ").replace("$TOKEN", token))
    headers: dict[str, str] = {}
    parameters = {}
    for option, value in pairwise(words):
        if option == "-H":
            header = Path(value[1:]).read_text() if value.startswith("@") else value
            name, _, content = header.partition(": ")
            headers[name] = content
        elif option in ("-d", "--data-urlencode"):
            name, _, content = value.partition("=")
            parameters[name] = content
    (url,) = (word for word in words if word.startswith("http"))
    path = re.sub(r"http://[^/]+", "", url)
    return requests.get(base + path, params=parameters, headers=headers, timeout=30)


def test_every_request_on_the_screen_can_be_repeated(
    screen: str, environment: dict[str, str]
) -> None:
    base = f"http://127.0.0.1:{environment['RECORDINGS_API_PORT']}"
    shown = re.findall(r"^(curl .*)\n(\d+), \d+ ms\n  (.*)$", screen, re.MULTILINE)
    assert len(shown) >= 8
    for curl, status, line in shown:
        answer = ask(curl, base)
        assert answer.status_code == int(status)
        if status == "200":
            assert line == f"total: {answer.json()['total']}"
            assert answer.json()["total"] > 0
    assert [status for _, status, _ in shown].count("403") == 1


def test_it_ends_with_an_address_a_token_and_how_to_stop(
    screen: str, environment: dict[str, str]
) -> None:
    address, token, stop = re.search(
        r"answers at (\S+), .*\n\n(\S+)\n\nStop it all with: (.*)\n$", screen
    ).groups()  # type: ignore[union-attr]
    assert address == f"http://127.0.0.1:{environment['RECORDINGS_API_PORT']}"
    assert stop == "make demo-down"
    answer = requests.get(
        f"{address}/v1/recordings?quantity=1&from=0",
        headers={"Authorization": f"Bearer {token}"},
        timeout=30,
    )
    assert answer.status_code == 200


def test_the_readme_tells_the_truth(screen: str, environment: dict[str, str]) -> None:
    assert screen
    readme = (CLONE / "README.md").read_text()
    (example,) = re.findall(r"```sh\n(TOKEN=.*?)```", readme, re.DOTALL)
    (expected,) = re.findall(r"```json\n(.*?)```", readme, re.DOTALL)
    token_command, curl = re.match(r"TOKEN=\$\((.*?)\)\n(curl.*)", example, re.DOTALL).groups()  # type: ignore[union-attr]
    python, *arguments = shlex.split(token_command.replace("\\\n", " "))
    assert (python, arguments[:2]) == (".venv/bin/python", ["-m", "deploy.local"])
    token = run(shlex.join(arguments[2:]), environment).strip()
    answer = ask(curl, f"http://127.0.0.1:{environment['RECORDINGS_API_PORT']}", token)
    assert answer.json() == json.loads(expected)


def test_a_second_demo_changes_nothing_and_the_end_leaves_no_process(
    screen: str, environment: dict[str, str], eventually: Callable[..., Any]
) -> None:
    again = run("demo", environment)
    assert totals(again) == totals(screen)
    home = Path(environment["RECORDINGS_LOCAL_HOME"])
    assert all(marked(home / "demo" / name) for name in ("api", "worker-1", "worker-2"))
    run("demo-down", environment)
    eventually(lambda: not [p for p in psutil.process_iter() if belongs(p, home)])


def totals(screen: str) -> list[str]:
    return re.findall(r"total: \d+|\d+ recordings are to be found", screen)


def belongs(process: psutil.Process, home: Path) -> bool:
    try:
        return process.environ().get("RECORDINGS_LOCAL_STACK", "").startswith(str(home))
    except psutil.Error:
        return False
