"""An Elasticsearch with its security on, as a process of this machine for a test."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from elasticsearch import ApiError, Elasticsearch, TransportError
from rich.console import Console

from deploy.local.accounts import unprivileged
from deploy.local.elasticsearch import ElasticsearchRecipe
from deploy.local.processes import ProcessServer
from deploy.local.servers import Program
from deploy.local.settings import local_settings

ADMINISTRATOR: Final = ("administrator", "for-tests-only")
# bcrypt of it, as `elasticsearch-users` would write it.
HASHED: Final = "$2a$04$QcbEhZmIqEZrlG7/CYs9n.NZSNMvZQM7J6/avRSlfOMEBW2.tJjUe"


class SecuredRecipe(ElasticsearchRecipe):
    """The server of the local stack with security, plain HTTP and one administrator."""

    def fault(self, url: str, folder: Path | None) -> str | None:  # noqa: ARG002
        try:
            with Elasticsearch(url, basic_auth=ADMINISTRATOR, max_retries=0) as client:
                # The index of the keys has to be there as well, which takes a moment.
                client.options(request_timeout=5).security.get_api_key()
        except (ApiError, TransportError) as error:
            return type(error).__name__
        return None

    def program(self, folder: Path, port: int) -> Program:
        program = ElasticsearchRecipe.program(self, folder, port)
        conf = folder / "conf"
        settings = (conf / "elasticsearch.yml").read_text("utf-8")
        off, on = ('xpack.security.enabled: "false"', 'xpack.security.enabled: "true"')
        assert off in settings
        (conf / "elasticsearch.yml").write_text(settings.replace(off, on), "utf-8")
        name, _ = ADMINISTRATOR
        (conf / "users").write_text(f"{name}:{HASHED}\n")
        (conf / "users_roles").write_text(f"superuser:{name}\n")
        if account := unprivileged():
            account.own(conf)
        return program


@contextmanager
def secured(folder: Path) -> Iterator[str]:
    """The address of such a server, whose state is in this folder."""
    folder.mkdir(parents=True)
    os.chmod(folder, 0o755)  # noqa: PTH101, S103 (the server's own account has to reach it)
    server = ProcessServer(SecuredRecipe(local_settings(), Console(stderr=True)), folder)
    try:
        yield server.start()
    finally:
        server.stop()
