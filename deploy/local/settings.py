"""Settings of the local stack, and the folders that follow from them.

Two folders: the home, of this clone alone (data, logs and keys of its servers), and the cache,
shared by all clones (what was downloaded). Both are kept out of the checkout and out of root's
home, since Elasticsearch refuses to run as root and its other user has to reach them.
"""

import hashlib
import os
import re
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, StringConstraints
from pydantic_settings import BaseSettings, SettingsConfigDict

from deploy.local.errors import StackError
from services.errors import SettingsError
from services.settings import load

CLONE: Final = Path(__file__).resolve().parents[2]
PROJECT: Final = "recordings-search"
Port = Annotated[int, Field(ge=1, le=65_535)]


class LocalSettings(BaseSettings):
    """How the servers of the local stack are found and started.

    home: the state folder of this stack, by default one for each clone.
    cache: where downloads are kept.
    java_home: the JDK (21 or newer) to use, else one is looked for.
    maven_url: a mirror of Maven Central to download Elasticsearch from.
    elasticsearch_port, redis_port: fixed ports; by default free ones are taken.
    elasticsearch_heap: the heap of Elasticsearch as the JVM writes it, `1g` for example.
    """

    model_config = SettingsConfigDict(
        env_prefix="RECORDINGS_LOCAL_", env_ignore_empty=True, extra="ignore", frozen=True
    )

    home: Path | None = None
    cache: Path | None = None
    java_home: Path | None = None
    maven_url: Annotated[str, StringConstraints(pattern="^https?://")] | None = None
    elasticsearch_port: Port | None = None
    redis_port: Port | None = None
    elasticsearch_heap: Annotated[str, StringConstraints(pattern="^[1-9][0-9]*[kmgKMG]$")] = "1g"

    @property
    def cache_folder(self) -> Path:
        if self.cache:
            return self.cache.absolute()
        return _root("XDG_CACHE_HOME", ".cache", Path("/var/cache"))


class GivenSettings(BaseSettings):
    """What the environment says already; it wins over what the local stack would say.

    The same variables as those of the programs, kept as they are written.
    """

    model_config = SettingsConfigDict(
        env_prefix="RECORDINGS_", env_ignore_empty=True, extra="ignore", frozen=True
    )

    elasticsearch_url: str | None = None
    elasticsearch_api_key: str | None = None
    redis_url: str | None = None
    auth_jwks_url: str | None = None
    auth_public_key: str | None = None
    auth_issuer: str = "recordings-local"
    auth_audience: str = "recordings-api"


def local_settings() -> LocalSettings:
    """Read RECORDINGS_LOCAL_*. Raises StackError with the name of the first wrong setting."""
    try:
        return load(LocalSettings)
    except SettingsError as error:
        raise StackError(f"{error}.") from None


def default_home() -> Path:
    """The state folder of this clone: RECORDINGS_LOCAL_HOME, else one named after the clone."""
    home = local_settings().home
    if home:
        return home.absolute()
    digest = hashlib.sha256(os.fsencode(CLONE)).hexdigest()[:8]
    # The name ends up in Java options, where a blank separates arguments.
    name = re.sub(r"[^A-Za-z0-9._-]", "_", CLONE.name)
    return state_root() / f"{name}-{digest}"


def state_root() -> Path:
    """The folder that holds the homes of all clones."""
    return _root("XDG_STATE_HOME", ".local/state", Path("/var/lib"))


def _root(variable: str, in_home: str, of_root: Path) -> Path:
    if os.geteuid() == 0:
        return of_root / PROJECT
    base = os.environ.get(variable)
    return (Path(base) if base else Path.home() / in_home) / PROJECT
