"""What the local stack's commands print for programs: settings for a shell, and tokens."""

import os
import subprocess
import time
import uuid
from pathlib import Path

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from deploy.local import keys
from deploy.local.cli import app, quoted
from deploy.local.errors import StackError
from deploy.local.settings import default_home

USER = str(uuid.uuid4())
TOKEN = ["token", "--tenant", "acme", "--user", USER, "--role"]
RUNNER = CliRunner()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in os.environ:
        if name.startswith("RECORDINGS_"):
            monkeypatch.delenv(name)
    # No Docker engine, whatever this machine has.
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    monkeypatch.setenv("RECORDINGS_LOCAL_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))))
def test_bash_reads_back_what_was_quoted(values: list[str]) -> None:
    words = " ".join(quoted(value) for value in values)
    script = f"printf '%s\\0' {words}" if values else ":"
    done = subprocess.run(["bash", "-c", script], capture_output=True, check=True)
    assert done.stdout == b"".join(value.encode() + b"\0" for value in values)


@pytest.mark.parametrize("role", ["administrator", "controller", "supervisor", "user"])
def test_a_token_has_the_claims_of_the_contract(role: str, home: Path) -> None:
    result = RUNNER.invoke(app, [*TOKEN, role])
    assert result.exit_code == 0
    claims = jwt.decode(
        result.stdout.strip(),
        keys.public_key(home),
        ["ES256"],
        audience="recordings-api",
        issuer="recordings-local",
    )
    assert (claims["sub"], claims["tenant"], claims["role"]) == (USER, "acme", role)
    assert "groups" not in claims
    assert claims["exp"] - claims["iat"] == 7 * 24 * 3600
    assert claims["nbf"] == claims["iat"] <= time.time()


def test_a_token_has_the_groups_and_the_names_of_the_environment(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECORDINGS_AUTH_ISSUER", "theirs")
    monkeypatch.setenv("RECORDINGS_AUTH_AUDIENCE", "also theirs")
    result = RUNNER.invoke(app, [*TOKEN, "supervisor", "--group", "g-1", "--group", "g-2"])
    claims = jwt.decode(
        result.stdout.strip(),
        keys.public_key(home),
        ["ES256"],
        audience="also theirs",
        issuer="theirs",
    )
    assert claims["groups"] == ["g-1", "g-2"]


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param([*TOKEN, "owner"], id="an unknown role"),
        pytest.param(["token", "--tenant", "acme", "--user", "me", "--role", "user"], id="no GUID"),
        pytest.param(["token", "--user", USER, "--role", "user"], id="no tenant"),
        pytest.param(["token", "--tenant", "", "--user", USER, "--role", "user"], id="no letters"),
    ],
)
def test_a_wrong_argument_makes_no_token(arguments: list[str]) -> None:
    result = RUNNER.invoke(app, arguments)
    assert result.exit_code == 2
    assert result.stdout == ""


def test_the_key_is_made_once_and_is_its_owners_only(home: Path) -> None:
    first = keys.public_key(home)
    assert (home / keys.KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert keys.public_key(home) == first
    assert [path.name for path in home.iterdir()] == [keys.KEY_FILE]


def test_a_spoilt_key_is_told_and_kept(home: Path) -> None:
    home.mkdir()
    (home / keys.KEY_FILE).write_text("no key")
    with pytest.raises(StackError, match=keys.KEY_FILE):
        keys.public_key(home)
    assert (home / keys.KEY_FILE).read_text() == "no key"


def test_nothing_runs() -> None:
    for command in ("env", "status"):
        result = RUNNER.invoke(app, [command])
        assert result.exit_code == 1
    result = RUNNER.invoke(app, ["env"])
    assert result.stdout == ""
    assert "not running" in result.stderr
    result = RUNNER.invoke(app, ["down"])
    assert (result.exit_code, result.stderr) == (0, "Nothing was running.\n")


def test_what_the_environment_says_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {
        "RECORDINGS_ELASTICSEARCH_URL": "https://search.example:9200/a'b",
        "RECORDINGS_REDIS_URL": "rediss://broker.example/3",
        "RECORDINGS_AUTH_ISSUER": "theirs",
        "RECORDINGS_AUTH_PUBLIC_KEY": "line one\nline two\n",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    result = RUNNER.invoke(app, ["env"])
    assert result.exit_code == 0
    script = f"{result.stdout}\nenv -0"
    done = subprocess.run(["bash", "-c", script], capture_output=True, check=True, env={})
    read = dict(entry.split("=", 1) for entry in done.stdout.decode().split("\0") if entry)
    assert read.items() >= (given | {"RECORDINGS_AUTH_AUDIENCE": "recordings-api"}).items()


def test_an_address_of_keys_in_the_environment_replaces_the_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RECORDINGS_ELASTICSEARCH_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("RECORDINGS_REDIS_URL", "redis://127.0.0.1:9/0")
    monkeypatch.setenv("RECORDINGS_AUTH_JWKS_URL", "https://keys.example/jwks")
    result = RUNNER.invoke(app, ["env"])
    assert "export RECORDINGS_AUTH_JWKS_URL='https://keys.example/jwks'\n" in result.stdout
    assert "PUBLIC_KEY" not in result.stdout


def test_a_given_server_that_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECORDINGS_REDIS_URL", "redis://127.0.0.1:9/0")
    result = RUNNER.invoke(app, ["up"])
    assert result.exit_code == 1
    assert "RECORDINGS_REDIS_URL" in result.stderr


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("RECORDINGS_LOCAL_REDIS_PORT", "70000"),
        ("RECORDINGS_LOCAL_ELASTICSEARCH_HEAP", "much"),
        ("RECORDINGS_LOCAL_MAVEN_URL", "ftp://x"),
    ],
)
def test_a_wrong_setting_is_told_by_its_name(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    result = RUNNER.invoke(app, ["up"])
    assert result.exit_code == 1
    assert variable in result.stderr
    assert "Traceback" not in result.output


def test_each_clone_has_a_home_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RECORDINGS_LOCAL_HOME")
    assert default_home().parent.name == "recordings-search"
    here = default_home().name
    monkeypatch.setattr("deploy.local.settings.CLONE", Path("/elsewhere/with a blank"))
    assert default_home().name != here
    assert " " not in default_home().name
