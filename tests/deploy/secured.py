"""An Elasticsearch with security, TLS and API keys, as a process of this machine for a test."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from elasticsearch import ApiError, Elasticsearch, TransportError
from pydantic import AnyHttpUrl, SecretStr
from rich.console import Console

from deploy.local.accounts import unprivileged
from deploy.local.elasticsearch import ElasticsearchRecipe
from deploy.local.processes import ProcessServer
from deploy.local.servers import Program
from deploy.local.settings import local_settings
from services.es_client import connect
from services.settings import ElasticsearchSettings
from tests.tls import Authority

PRIVILEGES: Final = json.loads(
    (Path(__file__).resolve().parents[2] / "deploy/elasticsearch/privileges.json").read_text()
)
SHIPPED_PREFIX: Final = "voice"
ADMINISTRATOR: Final = ("administrator", "for-tests-only")
# bcrypt of it, as `elasticsearch-users` would write it.
HASHED: Final = "$2a$04$QcbEhZmIqEZrlG7/CYs9n.NZSNMvZQM7J6/avRSlfOMEBW2.tJjUe"

Role = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Secured:
    """Such a server: its address, the file of its authority, and its administrator."""

    url: str
    ca_file: Path
    administrator: Elasticsearch

    def key(self, role: Role, prefix: str) -> str:
        """A new API key with these privileges on the indices of this prefix."""
        text = json.dumps(role).replace(f"{SHIPPED_PREFIX}-", f"{prefix}-")
        answer = self.administrator.security.create_api_key(
            name="test", role_descriptors={"role": json.loads(text)}
        )
        encoded: str = answer["encoded"]
        return encoded

    def settings(self, key: str) -> ElasticsearchSettings:
        return ElasticsearchSettings(
            url=AnyHttpUrl(self.url), api_key=SecretStr(key), ca_file=self.ca_file
        )

    def client(self, key: str) -> Elasticsearch:
        return connect(self.settings(key))


@dataclass(frozen=True, slots=True)
class SecuredRecipe(ElasticsearchRecipe):
    """The server of the local stack with security, TLS and one administrator."""

    authority: Authority | None = None

    def url(self, host: str, port: int) -> str:
        return f"https://{host}:{port}"

    def fault(self, url: str, folder: Path | None) -> str | None:  # noqa: ARG002
        assert self.authority
        try:
            with administrator(url, self.authority) as client:
                # The index of the keys has to be there as well, which takes a moment.
                client.options(request_timeout=5).security.get_api_key()
        except (ApiError, TransportError) as error:
            return type(error).__name__
        return None

    def program(self, folder: Path, port: int) -> Program:
        program = ElasticsearchRecipe.program(self, folder, port)
        assert self.authority
        conf = folder / "conf"
        for file in self.authority.server_files():
            shutil.copy(file, conf)
        settings = (conf / "elasticsearch.yml").read_text("utf-8")
        off = 'xpack.security.enabled: "false"'
        on = {
            "xpack.security.enabled": "true",
            "xpack.security.http.ssl.enabled": "true",
            "xpack.security.http.ssl.certificate": "server.crt",
            "xpack.security.http.ssl.key": "server.key",
        }
        assert off in settings
        lines = "\n".join(f"{name}: {json.dumps(value)}" for name, value in on.items())
        (conf / "elasticsearch.yml").write_text(settings.replace(off, lines), "utf-8")
        name, _ = ADMINISTRATOR
        (conf / "users").write_text(f"{name}:{HASHED}\n")
        (conf / "users_roles").write_text(f"superuser:{name}\n")
        if account := unprivileged():
            account.own(conf)
        return program


def administrator(url: str, authority: Authority) -> Elasticsearch:
    """May do everything."""
    return Elasticsearch(
        url, basic_auth=ADMINISTRATOR, ca_certs=str(authority.ca_file), max_retries=0
    )


@contextmanager
def secured(folder: Path, authority: Authority) -> Iterator[Secured]:
    """Such a server, whose state is in this folder."""
    folder.mkdir(parents=True, exist_ok=True)
    os.chmod(folder, 0o755)  # noqa: PTH101, S103 (the server's own account has to reach it)
    recipe = SecuredRecipe(local_settings(), Console(stderr=True), authority=authority)
    server = ProcessServer(recipe, folder)
    try:
        url = server.start()
        with administrator(url, authority) as client:
            yield Secured(url, authority.ca_file, client)
    finally:
        server.stop()
