"""The programs over TLS, with keys and authorities as files that change while they run."""

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
import redis
from pydantic import AnyHttpUrl

from api.backend import Backend
from services.errors import BackendError
from services.es_client import UntrustedError, connect, failures_as_ours
from services.settings import ElasticsearchSettings
from tests.deploy.secured import PRIVILEGES, Role, Secured
from tests.e2e.conftest import PEM, Deployment, eventually
from tests.tls import Authority, TlsRelay

DATABASE: Final = 10  # of Redis; the others are of tests/e2e
PREFIX: Final = "tls"
OWNER: Final = "1efc024d-0000-4000-8000-00000000000a"
KEY_FILE: Final = "RECORDINGS_ELASTICSEARCH_API_KEY"

COMMANDS: Final = {
    "init": ("recordings-indexer", "init"),
    "worker": ("recordings-indexer", "worker"),
    "api": ("recordings-api", "serve"),
}


@dataclass(frozen=True)
class Place:
    """The programs' own secrets, as folders of files, and what they are on."""

    server: Secured
    deployment: Deployment
    folder: Path
    broker: redis.Redis

    def grant(self, program: str, role: Role | None = None) -> str:
        """A new key for this program, put where it finds it; returns the id of the key."""
        folder = self.secrets(program)
        folder.mkdir(exist_ok=True)
        key = self.server.key(role or PRIVILEGES[program], PREFIX)
        (folder / "new").write_text(key)
        (folder / "new").replace(folder / KEY_FILE)
        return base64.b64decode(key).decode().partition(":")[0]

    def secrets(self, program: str) -> Path:
        return self.folder / program

    def of(self, program: str) -> dict[str, str]:
        return {"RECORDINGS_SECRETS_DIR": str(self.secrets(program))}

    def run(
        self, command: tuple[str, ...], changes: dict[str, str], given: bytes = b""
    ) -> subprocess.CompletedProcess[str]:
        changed = Deployment(self.deployment.environment | changes, self.deployment.logs)
        return changed.run(*command, given=given)

    def publish(self, *recordings: str) -> None:
        lines = "\n".join(json.dumps(saved(one)) for one in recordings).encode()
        done = self.deployment.run("recordings-indexer", "publish", "-", given=lines)
        assert done.returncode == 0, done.stderr


def saved(recording: str) -> dict[str, Any]:
    return {
        "type": "recording.saved",
        "tenantId": "acme",
        "recordingId": recording,
        "version": 1,
        "occurredAt": "2026-04-25T10:30:00Z",
        "recording": {"ownerId": OWNER},
    }


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("tls") / "of-redis")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Has signed nothing here."""
    return Authority.make(tmp_path_factory.mktemp("tls") / "stranger")


@pytest.fixture(scope="module")
def place(
    secured_elasticsearch: Secured,
    redis_url: str,
    authority: Authority,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Place]:
    server, address = secured_elasticsearch, urlsplit(redis_url)
    relay = TlsRelay((address.hostname or "", address.port or 6379))
    relay.show(authority)
    database = f"{redis_url.rpartition('/')[0]}/{DATABASE}"
    with relay.running(), redis.Redis.from_url(database) as broker:
        environment = {
            "PATH": os.environ["PATH"],
            "RECORDINGS_ELASTICSEARCH_URL": server.url,
            "RECORDINGS_ELASTICSEARCH_CA_FILE": str(server.ca_file),
            "RECORDINGS_REDIS_URL": f"rediss://127.0.0.1:{relay.port}/{DATABASE}"
            f"?ssl_ca_certs={authority.ca_file}",
            "RECORDINGS_INDEX_PREFIX": PREFIX,
            "RECORDINGS_AUTH_PUBLIC_KEY": PEM,
            "RECORDINGS_AUTH_ISSUER": "tests",
            "RECORDINGS_AUTH_AUDIENCE": "recordings-api",
        }
        deployment = Deployment(environment, tmp_path_factory.mktemp("logs"))
        made = Place(server, deployment, tmp_path_factory.mktemp("secrets"), broker)
        for program in ("init", "worker", "api"):
            made.grant(program)
        try:
            done = made.run(COMMANDS["init"], made.of("init"))
            assert done.returncode == 0, done.stderr
            yield made
        finally:
            deployment.stop()
            broker.flushdb()
            found = server.administrator.indices.get(index=f"{PREFIX}-*")
            server.administrator.indices.delete(index=list(found))


def test_keys_change_while_worker_and_api_work(place: Place) -> None:
    """Everything over TLS; the old key is invalidated, and no request fails."""
    deployment = place.deployment
    old = [place.grant(program) for program in ("worker", "api")]
    worker = deployment.start("recordings-indexer", "worker", **place.of("worker"))
    api = deployment.serve(**place.of("api"))
    place.publish("before")
    eventually(lambda: deployment.total() == 1)
    for program in ("worker", "api"):
        place.grant(program)
    assert deployment.total() == 1
    place.server.administrator.security.invalidate_api_key(ids=old)
    assert deployment.total() == 1
    place.publish("after")
    eventually(lambda: deployment.total() == 2)
    for process in (worker, api):
        assert process.poll() is None
        log = deployment.log_of(process)
        assert log.count('"event": "elasticsearch_key_renewed"') == 1
        assert "messages_given_back" not in log
        assert "backend_failed" not in log
        process.kill()
        process.wait()


def sentence(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """It ended with one sentence, in which these are."""
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    text = " ".join(done.stderr.split())  # lines are broken where a terminal ends
    assert all(word in text for word in words), text


@pytest.mark.parametrize("program", COMMANDS)
def test_an_elasticsearch_that_is_not_trusted(
    place: Place, stranger: Authority, program: str
) -> None:
    changes = {"RECORDINGS_ELASTICSEARCH_CA_FILE": str(stranger.ca_file)} | place.of(program)
    done = place.run(COMMANDS[program], changes)
    sentence(done, "certificate is not trusted", "RECORDINGS_ELASTICSEARCH_CA_FILE")


@pytest.mark.parametrize("command", [("worker",), ("publish", "-")], ids=lambda one: one[0])
def test_a_redis_that_is_not_trusted(
    place: Place, stranger: Authority, command: tuple[str, ...]
) -> None:
    address = place.deployment.environment["RECORDINGS_REDIS_URL"].partition("?")[0]
    changes = place.of("worker") | {
        "RECORDINGS_REDIS_URL": f"{address}?ssl_ca_certs={stranger.ca_file}"
    }
    line = json.dumps(saved("r-1")).encode()
    done = place.run(("recordings-indexer", *command), changes, line)
    sentence(done, "certificate is not trusted", "RECORDINGS_REDIS_URL")


@pytest.mark.parametrize("program", ["worker", "api"])
def test_a_key_that_may_not_see_the_schema_version(place: Place, program: str) -> None:
    """Else the program would run on an index of any version."""
    role = json.loads(json.dumps(PRIVILEGES[program]).replace('"view_index_metadata"', '"monitor"'))
    place.grant(program, role)
    done = place.run(COMMANDS[program], place.of(program))
    sentence(done, "403 security_exception", "view_index_metadata")


@pytest.fixture
def relay(elasticsearch_url: str, authority: Authority) -> Iterator[TlsRelay]:
    address = urlsplit(elasticsearch_url)
    made = TlsRelay((address.hostname or "", address.port or 9200))
    made.show(authority)
    with made.running():
        yield made


def settings_of(relay: TlsRelay, file: Path) -> ElasticsearchSettings:
    return ElasticsearchSettings(url=AnyHttpUrl(f"https://127.0.0.1:{relay.port}"), ca_file=file)


def test_another_authority_while_a_worker_works(
    relay: TlsRelay, authority: Authority, stranger: Authority, tmp_path: Path
) -> None:
    file = tmp_path / "ca.crt"
    file.write_bytes(authority.ca_file.read_bytes())
    with connect(settings_of(relay, file)) as client:
        client.info()
        relay.show(stranger)
        with pytest.raises(BackendError), failures_as_ours():
            client.info()  # on the connection of before, which is closed
        with pytest.raises(UntrustedError), failures_as_ours():
            client.info()
        file.write_bytes(stranger.ca_file.read_bytes())
        client.info()


async def test_another_authority_while_the_api_works(
    relay: TlsRelay, authority: Authority, stranger: Authority, tmp_path: Path
) -> None:
    file = tmp_path / "ca.crt"
    file.write_bytes(authority.ca_file.read_bytes())
    backend = Backend.of(settings_of(relay, file))
    question = ("/_search", {"size": 0}, 10.0)
    await backend.ask(*question)
    relay.show(stranger)
    with pytest.raises(UntrustedError):
        await backend.ask(*question)
    file.write_bytes(stranger.ca_file.read_bytes())
    await backend.ask(*question)
    backend.close()
