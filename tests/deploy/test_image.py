"""The image: with a Docker engine it is built; its steps also run here, in a clean environment."""

import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

TOP: Final = Path(__file__).resolve().parents[2]
DOCKERFILE: Final = TOP / "deploy/Dockerfile"


def stage(name: str) -> list[tuple[str, str]]:
    """The instructions of one stage, (name, rest of the line), lines joined."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE).replace("\\\n", "")
    found, inside = [], False
    for line in filter(None, map(str.strip, text.splitlines())):
        instruction, _, rest = line.partition(" ")
        if instruction == "FROM":
            inside = rest.endswith(f" AS {name}") if name else " AS " not in rest
        elif inside:
            found.append((instruction, rest))
    return found


def test_the_build_context_has_what_is_copied_and_nothing_secret() -> None:
    allowed = [
        line[1:] for line in (TOP / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    ]
    copied = [word for kind, rest in stage("build") if kind == "COPY" for word in rest.split()[:-1]]
    assert sorted(copied) == sorted(allowed)
    assert all((TOP / name).exists() for name in copied)
    assert not any(fnmatch.fnmatch(name, ".env*") for name in copied)


def test_the_image_runs_as_nobody_in_particular() -> None:
    final = dict(stage(""))
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", final["USER"])
    assert json.loads(final["CMD"]) == ["recordings-api", "serve"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder that takes the place of /opt after the steps of the stage `build`."""
    opt, source = tmp_path_factory.mktemp("opt"), tmp_path_factory.mktemp("source")
    clean = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
    # How this machine reaches the package index is no part of the image.
    clean |= {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    clean |= {name: os.environ[name] for name in ("SSL_CERT_FILE",) if name in os.environ}
    for instruction, rest in stage("build"):
        if instruction == "COPY":
            *names, target = rest.split()
            for name in names:
                _copy(TOP / name, source / target)
        elif instruction == "RUN":
            command = rest.replace("/opt/", f"{opt}/").replace("python -m venv", _python())
            subprocess.run(["sh", "-ec", command], cwd=source, env=clean, check=True)
    yield opt / "recordings"
    shutil.rmtree(opt)
    shutil.rmtree(source)


def _python() -> str:
    """An interpreter of this machine that is no virtual environment's."""
    return f"{Path(sys.executable).resolve()} -m venv"


def _copy(what: Path, target: Path) -> None:
    if what.is_dir():
        shutil.copytree(what, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(what, target)


@pytest.mark.parametrize(
    ("command", "told"),
    [
        pytest.param(["recordings-api", "serve", "--help"], "SIGTERM", id="api"),
        pytest.param(["recordings-indexer", "worker", "--help"], "SIGTERM", id="worker"),
        pytest.param(["recordings-indexer", "init", "--help"], "Safe to repeat", id="init"),
        pytest.param(["recordings-indexer", "dead-letters", "--help"], "replay", id="dead letters"),
        pytest.param(["recordings-api", "openapi"], '"/v1/recordings"', id="openapi"),
    ],
)
def test_each_program_starts_from_what_was_installed(
    installed: Path, tmp_path: Path, command: list[str], told: str
) -> None:
    done = subprocess.run(
        [installed / "bin" / command[0], *command[1:]],
        cwd=tmp_path,  # nothing is found in a checkout
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert told in done.stdout


def test_nothing_is_in_the_image_that_only_installs_or_tests(installed: Path) -> None:
    packages = {path.name.split("-")[0] for path in installed.glob("lib/*/site-packages/*")}
    assert {"services", "indexer", "api", "aiohttp", "celery"} <= packages
    assert not packages & {"pip", "setuptools", "hatchling", "pytest", "deploy", "tests"}


def test_the_image_is_built_where_docker_is() -> None:
    docker = shutil.which("docker")
    if not docker or subprocess.run([docker, "info"], capture_output=True, check=False).returncode:
        pytest.skip("no Docker engine answers: the image is not built, only its steps run")
    build = [docker, "build", "--quiet", "-f", str(DOCKERFILE), str(TOP)]
    image = subprocess.run(build, capture_output=True, text=True, check=True).stdout.strip()
    run = [docker, "run", "--rm", "--read-only", "--cap-drop=ALL", image]
    subprocess.run([*run, "recordings-indexer", "worker", "--help"], check=True)
    who = subprocess.run([*run, "id", "-u"], capture_output=True, text=True, check=True).stdout
    assert who.strip() == "10001"
