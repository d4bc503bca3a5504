"""Which JDK is taken, from folders that look like JDKs."""

import io
import subprocess
from pathlib import Path

import pytest
from rich.console import Console

from deploy.local import jdk
from deploy.local.accounts import Account
from deploy.local.errors import StackError
from deploy.local.settings import LocalSettings

FULL = "java.base jdk.jdi jdk.jlink jdk.incubator.vector"
CONSOLE = Console(file=io.StringIO())


def make(home: Path, version: str, modules: str = FULL, exit_status: int = 0) -> Path:
    (home / "bin").mkdir(parents=True)
    java = home / "bin" / "java"
    java.write_text(f"#!/bin/sh\nexit {exit_status}\n")
    java.chmod(0o755)
    (home / "release").write_text(f'IMPLEMENTOR="X"\nJAVA_VERSION="{version}"\nMODULES="{modules}"')
    return home


@pytest.mark.parametrize(
    ("version", "modules", "fits"),
    [
        pytest.param("25.0.3", FULL, True, id="a newer one"),
        pytest.param("21", FULL, True, id="the oldest that fits, without a point"),
        pytest.param("22-ea", FULL, True, id="an early access build"),
        pytest.param("17.0.15", FULL, False, id="too old"),
        pytest.param("1.8.0_402", FULL, False, id="a version of the old kind"),
        pytest.param("21.0.2", "java.base java.logging", False, id="a runtime without the tools"),
        pytest.param("21.0.2", "java.base jdk.jlink", False, id="without jdk.jdi"),
    ],
)
def test_the_release_file_decides(
    version: str, modules: str, *, fits: bool, tmp_path: Path
) -> None:
    found = jdk.read(make(tmp_path / "jdk", version, modules))
    assert found is not None
    assert found.fits is fits


@pytest.mark.parametrize(
    "release",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b'JAVA_VERSION="unknown"', id="no number"),
        pytest.param(b"\xff\xfe", id="not text"),
    ],
)
def test_a_release_file_that_says_nothing_is_no_jdk(release: bytes, tmp_path: Path) -> None:
    home = make(tmp_path / "jdk", "21")
    (home / "release").write_bytes(release)
    assert jdk.read(home) is None


def test_a_jdk_without_a_release_file_is_asked(tmp_path: Path) -> None:
    home = make(tmp_path / "jdk", "21")
    (home / "release").unlink()
    (home / "bin" / "java").write_text("#!/bin/sh\nprintf 'java.base@21.0.2\\njdk.jdi@21.0.2\\n'\n")
    assert jdk.read(home) == jdk.Jdk(home, 21, frozenset({"java.base", "jdk.jdi"}))


@pytest.fixture
def only_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine whose JDKs are all in one folder."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.setattr(jdk, "USUAL", ((str(tmp_path / "jvm"), "*"),))
    return tmp_path / "jvm"


def test_the_first_that_fits_and_runs_is_taken(only_here: Path) -> None:
    make(only_here / "z-old", "17.0.1")
    make(only_here / "y-broken", "25.0.1", exit_status=1)
    good = make(only_here / "x-good", "21.0.1")
    assert jdk.find(LocalSettings(), None, CONSOLE).home == good


def test_java_home_comes_before_path(only_here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = make(only_here / "on-path", "25")
    monkeypatch.setenv("PATH", str(other / "bin"))
    assert jdk.find(LocalSettings(), None, CONSOLE).home == other
    chosen = make(only_here.parent / "chosen", "21")
    monkeypatch.setenv("JAVA_HOME", str(chosen))
    assert jdk.find(LocalSettings(), None, CONSOLE).home == chosen


def test_the_one_in_the_settings_is_never_replaced(only_here: Path) -> None:
    make(only_here / "good", "21")
    wrong = make(only_here.parent / "wrong", "17")
    with pytest.raises(StackError, match="RECORDINGS_LOCAL_JAVA_HOME"):
        jdk.find(LocalSettings(java_home=wrong), None, CONSOLE)


def test_without_any_the_message_says_what_to_install(
    only_here: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # An address where nothing listens: nothing can be fetched.
    monkeypatch.setenv("CJDK_INDEX_URL", "https://127.0.0.1:9/index.json")
    with pytest.raises(StackError, match="install one"):
        jdk.find(LocalSettings(cache=tmp_path / "cache"), None, CONSOLE)


def test_a_jdk_that_the_account_cannot_reach_does_not_count(tmp_path: Path) -> None:
    if subprocess.run(["id", "-u"], capture_output=True, check=True).stdout != b"0\n":
        pytest.skip("only root can start a program as somebody else")
    found = jdk.read(make(tmp_path / "jdk", "21"))
    assert found is not None
    assert found.runs(None)
    # pytest's folders are closed to others.
    assert not found.runs(Account("nobody", 65534, 65534))
