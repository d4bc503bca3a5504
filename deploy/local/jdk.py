"""The JDK that Elasticsearch runs on: a full one, 21 or newer, from this machine or from cjdk."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cjdk
import requests
from rich.console import Console

from deploy.local.accounts import Account
from deploy.local.errors import StackError
from deploy.local.settings import LocalSettings

OLDEST: Final = 21
# Elasticsearch's own modules require them; a JRE or a cut-down JDK lacks them.
NEEDED_MODULES: Final = frozenset({"jdk.jdi", "jdk.jlink"})
VECTOR_MODULE: Final = "jdk.incubator.vector"
USUAL: Final = (
    ("/usr/lib/jvm", "*"),
    ("/opt", "*"),
    ("~/.jdks", "*"),
    ("~/.sdkman/candidates/java", "*"),
    ("/Library/Java/JavaVirtualMachines", "*/Contents/Home"),
)


@dataclass(frozen=True, slots=True)
class Jdk:
    """A JDK on this machine: its folder, its version's first number, its modules' names."""

    home: Path
    major: int
    modules: frozenset[str]

    @property
    def java(self) -> Path:
        return self.home / "bin" / "java"

    @property
    def fits(self) -> bool:
        return self.major >= OLDEST and self.modules >= NEEDED_MODULES

    def runs(self, account: Account | None) -> bool:
        """Whether the account, which may not reach every folder of ours, can start it."""
        identity = account.identity() if account else {}
        try:
            outcome = subprocess.run(
                [self.java, "-version"], capture_output=True, check=False, cwd="/", **identity
            )
        except OSError:
            return False
        return outcome.returncode == 0


def find(settings: LocalSettings, account: Account | None, console: Console) -> Jdk:
    """The first JDK that is new enough, whole, and can be run by the account.

    Raises StackError, which says what to install, when there is none and none can be fetched;
    also when the one in the settings does not fit, rather than take another.
    """
    if settings.java_home:
        jdk = read(settings.java_home)
        if jdk and jdk.fits and jdk.runs(account):
            return jdk
        raise StackError(
            f"RECORDINGS_LOCAL_JAVA_HOME ({settings.java_home}) is not a full JDK {OLDEST} "
            "or newer that can be run here."
        )
    for home in candidates():
        jdk = read(home)
        if jdk and jdk.fits and jdk.runs(account):
            return jdk
    return _fetched(settings.cache_folder / "jdk", console)


def candidates() -> Iterator[Path]:
    """Where a JDK may be, in the order of preference; existing folders, each once."""
    seen: set[Path] = set()
    for home in _places():
        resolved = home.resolve()
        if resolved not in seen and (resolved / "bin" / "java").is_file():
            seen.add(resolved)
            yield resolved


def _places() -> Iterator[Path]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home)
    if java := shutil.which("java"):
        yield Path(java).resolve().parents[1]
    for folder, pattern in USUAL:
        yield from sorted(Path(folder).expanduser().glob(pattern), reverse=True)


def read(home: Path) -> Jdk | None:
    """What the JDK's `release` file says, or the JDK itself where there is none; None: no JDK."""
    release = home / "release"
    try:
        values = _properties(release.read_text("utf-8")) if release.is_file() else _asked(home)
    except (OSError, UnicodeDecodeError):
        return None
    # Before 9 the version was written 1.8.0.
    first = values.get("JAVA_VERSION", "").split(".")[0].split("-")[0].split("+")[0]
    if not first.isdecimal():
        return None
    return Jdk(home, int(first), frozenset(values.get("MODULES", "").split()))


def _properties(text: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in text.splitlines())
    return {key.strip(): value.strip().strip('"') for key, _, value in pairs}


def _asked(home: Path) -> dict[str, str]:
    java = home / "bin" / "java"
    modules = subprocess.run([java, "--list-modules"], capture_output=True, text=True, check=False)
    names = dict(line.partition("@")[::2] for line in modules.stdout.splitlines())
    return {"JAVA_VERSION": names.get("java.base", ""), "MODULES": " ".join(names)}


def _fetched(cache: Path, console: Console) -> Jdk:
    console.print(f"No JDK {OLDEST} or newer was found here; fetching one.")
    try:
        home = cjdk.java_home(vendor="adoptium", version=str(OLDEST), cache_dir=cache)
        jdk = read(Path(home))
    except (cjdk.CjdkError, requests.RequestException, OSError):
        jdk = None
    if jdk and jdk.fits:
        return jdk
    raise StackError(
        f"Elasticsearch needs a full JDK {OLDEST} or newer, and none was found or could be "
        f"fetched: install one (Debian: apt-get install openjdk-{OLDEST}-jdk-headless, or a "
        "Temurin) or set RECORDINGS_LOCAL_JAVA_HOME."
    )
