"""The manifests: their form, and that what they say of the programs is what the code says."""

import ast
import json
import os
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import kubernetes_validate
import pytest
import typer
import yaml
from jsonschema import Draft202012Validator

from api.app import create_app
from api.cli import GRACE_SECONDS, longest_request
from indexer.celery_app import QUEUE
from indexer.cli import app as indexer_cli
from indexer.health import MARGIN_SECONDS
from services import settings
from services.es_client import TIMEOUT_SECONDS
from services.settings import ApiSettings, RedisSettings, load
from tests.deploy import manifests
from tests.deploy.manifests import (
    FOREIGN,
    OVERLAYS,
    TOP,
    Container,
    Resource,
    compose,
    of_kind,
    resources,
    templates,
)

OLDEST, NEWEST = "1.32", "1.37"
COMMON: Final = ("ElasticsearchSettings", "IndexSettings")
# What each program reads at its start.
READ: Final = {
    ("recordings-api", "serve"): (
        *COMMON,
        "ApiSettings",
        "AuthSettings",
        "LogSettings",
        "PhoneSettings",
        "TracesSettings",
    ),
    ("recordings-indexer", "worker"): (
        *COMMON,
        "RedisSettings",
        "WorkerSettings",
        "LogSettings",
        "TracesSettings",
        "PhoneSettings",
    ),
    ("recordings-indexer", "init"): COMMON,
    ("recordings-indexer", "purge"): (*COMMON, "RetentionSettings"),
    ("recordings-indexer", "reindex"): (*COMMON, "PhoneSettings", "ReindexSettings"),
    ("recordings-indexer", "check"): (*COMMON, "PhoneSettings", "ReindexSettings"),
}
# Settings whose default is good for a program on its own machine only.
MUST_SAY: Final = {
    "api": {"RECORDINGS_API_HOST"},
    "worker": {
        "RECORDINGS_REDIS_URL",
        "RECORDINGS_WORKER_METRICS_HOST",
        "RECORDINGS_WORKER_METRICS_PORT",
    },
}
# What stands for a secret; everything else that is secret is any text.
SECRETS: Final = {
    "RECORDINGS_REDIS_URL": "redis://redis:6379/0",
    "RECORDINGS_API_CURSOR_KEY": "0123456789abcdef0123456789abcdef",
    "RECORDINGS_LOG_HASH_KEY": "0123456789abcdef0123456789abcdef",
}
# Made by the operator before the first start, see deploy/README.md.
OUTSIDE: Final = {
    "overlays/dev": {"recordings-auth", "recordings-source", "recordings-es-http-certs-public"},
    "overlays/production": {
        "recordings-elasticsearch-init",
        "recordings-elasticsearch-api",
        "recordings-elasticsearch-worker",
        "recordings-elasticsearch-operator",
        "recordings-api",
        "recordings-log",
        "recordings-redis",
        "recordings-source",
        "recordings-es-http-certs-public",  # by ECK
    },
}


@pytest.fixture(params=[f"overlays/{name}" for name in OVERLAYS])
def overlay(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(params=[*(f"overlays/{name}" for name in OVERLAYS), "compose"])
def programs(request: pytest.FixtureRequest) -> list[Container]:
    """Our containers."""
    if request.param == "compose":
        found = manifests.compose_containers()
    else:
        found = manifests.containers(request.param)
    assert found
    return found


def _is_there(container: Container) -> bool:
    program, command = container.command[:2]
    return program == "recordings-api" or command in _commands()


def _commands() -> dict[str, Any]:
    return typer.main.get_command(indexer_cli).commands  # type: ignore[attr-defined,no-any-return]


class TestForm:
    @pytest.mark.parametrize("version", [OLDEST, NEWEST])
    def test_kubernetes_takes_every_resource(self, overlay: str, version: str) -> None:
        for one in resources(overlay):
            if one["kind"] not in FOREIGN:
                kubernetes_validate.validate(one, version, strict=True)

    @pytest.mark.parametrize("kind", sorted(FOREIGN))
    def test_the_operators_take_theirs(self, kind: str) -> None:
        schema = json.loads((Path(__file__).parent / f"schemas/{kind}.json").read_text())
        found = of_kind("overlays/production", kind)
        assert found
        for one in found.values():
            Draft202012Validator(schema).validate(one)

    def test_the_pods_of_elasticsearch_are_pods(self) -> None:
        for one in of_kind("overlays/production", "Elasticsearch").values():
            for nodes in one["spec"]["nodeSets"]:
                pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "node"}}
                pod |= nodes["podTemplate"]
                kubernetes_validate.validate(pod, NEWEST, strict=True)

    def test_a_wrong_field_is_found(self) -> None:
        api = json.loads(json.dumps(of_kind("overlays/dev", "Deployment")["recordings-api"]))
        api["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = {}
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(api, NEWEST, strict=True)


class TestReferences:
    def test_every_secret_is_there_or_the_operators_to_make(self, overlay: str) -> None:
        made = set(of_kind(overlay, "Secret"))
        named = {one["name"] for one in _found(resources(overlay), "secretKeyRef")}
        named |= {one["secretName"] for one in _found(resources(overlay), "secret")}
        triggers = of_kind(overlay, "TriggerAuthentication").values()
        named |= {one["name"] for each in triggers for one in each["spec"]["secretTargetRef"]}
        assert named - made == OUTSIDE[overlay] - made
        assert overlay == "overlays/dev" or not made

    def test_every_selector_selects_pods(self, overlay: str) -> None:
        labels = [template["metadata"]["labels"] for _, template in templates(overlay)]
        services = of_kind(overlay, "Service").values()
        budgets = of_kind(overlay, "PodDisruptionBudget").values()
        selectors = [one["spec"]["selector"] for one in services]
        selectors += [one["spec"]["selector"]["matchLabels"] for one in budgets]
        for selector in selectors:
            assert any(selector.items() <= one.items() for one in labels), selector

    def test_what_scales_scales_what_is_there(self, overlay: str) -> None:
        scalers = [
            *of_kind(overlay, "HorizontalPodAutoscaler").values(),
            *of_kind(overlay, "ScaledObject").values(),
        ]
        targets = sorted(one["spec"]["scaleTargetRef"]["name"] for one in scalers)
        assert targets == sorted(of_kind(overlay, "Deployment"))
        assert all("replicas" not in one["spec"] for one in of_kind(overlay, "Deployment").values())

    def test_what_is_watched_is_a_service(self) -> None:
        services = of_kind("overlays/production", "Service").values()
        for monitor in of_kind("overlays/production", "ServiceMonitor").values():
            wanted = monitor["spec"]["selector"]["matchLabels"].items()
            (service,) = (one for one in services if wanted <= one["metadata"]["labels"].items())
            ports = {port["name"] for port in service["spec"]["ports"]}
            assert {one["port"] for one in monitor["spec"]["endpoints"]} <= ports


class TestTraces:
    def test_the_component_sends_them_past_the_policies(self, tmp_path: Path) -> None:
        """It is in no overlay, as traces are off by default; so it is added to one here."""
        kustomization = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "namespace": "recordings",
            "resources": [os.path.relpath(TOP / "deploy/k8s/overlays/production", tmp_path)],
            "components": [os.path.relpath(TOP / "deploy/k8s/components/traces", tmp_path)],
        }
        (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
        built = {
            (one["kind"], one["metadata"]["name"]): one for one in manifests.built_from(tmp_path)
        }
        for one in built.values():
            if one["kind"] not in FOREIGN:
                kubernetes_validate.validate(one, NEWEST, strict=True)
        (given,) = [
            one["data"]
            for (kind, _), one in built.items()
            if kind == "ConfigMap" and "RECORDINGS_TRACES_ENDPOINT" in one["data"]
        ]
        assert set(given) <= manifests.variables()
        endpoint = urlsplit(given["RECORDINGS_TRACES_ENDPOINT"])
        (rule,) = built["NetworkPolicy", "programs-to-collector"]["spec"]["egress"]
        assert [port["port"] for port in rule["ports"]] == [endpoint.port]
        namespace = rule["to"][0]["namespaceSelector"]["matchLabels"]
        assert list(namespace.values()) == [str(endpoint.hostname).split(".")[1]]


class TestSecurity:
    def test_pods_are_restricted(self, overlay: str) -> None:
        for where, template in templates(overlay):
            pod = template["spec"]
            assert pod["securityContext"]["runAsNonRoot"], where
            assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, where
            assert pod["automountServiceAccountToken"] is False, where
            assert pod["enableServiceLinks"] is False, where
            for one in pod["containers"]:
                context = one["securityContext"]
                assert context["allowPrivilegeEscalation"] is False, where
                assert context["capabilities"] == {"drop": ["ALL"]}, where
                assert one["resources"]["requests"].keys() == {"cpu", "memory"}, where
                assert "memory" in one["resources"]["limits"], where

    def test_our_file_systems_are_read_only(self, overlay: str) -> None:
        for one in manifests.containers(overlay):
            assert one.spec["securityContext"]["readOnlyRootFilesystem"], one.where
        assert all(compose()["services"][name]["read_only"] for name in ("init", "worker", "api"))

    def test_the_namespace_enforces_it(self, overlay: str) -> None:
        (namespace,) = of_kind(overlay, "Namespace").values()
        assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"

    def test_everything_is_denied_that_is_not_allowed(self, overlay: str) -> None:
        denied = of_kind(overlay, "NetworkPolicy")["deny-all"]["spec"]
        assert denied == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}

    def test_only_the_endpoint_is_shown_outside(self, overlay: str) -> None:
        (ingress,) = of_kind(overlay, "Ingress").values()
        hosts = [host for one in ingress["spec"]["tls"] for host in one["hosts"]]
        for rule in ingress["spec"]["rules"]:
            assert rule["host"] in hosts
            paths = {one["path"] for one in rule["http"]["paths"]}
            assert paths == {"/v1/recordings", "/openapi.json", "/docs"}


class TestSettings:
    def test_what_is_set_is_a_setting(self, programs: list[Container]) -> None:
        known = manifests.variables()
        for one in programs:
            assert set(one.environment) <= known, one.where

    def test_each_program_starts_with_what_is_set(
        self, programs: list[Container], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        for one in programs:
            _become(one, monkeypatch, tmp_path)
            for name in READ[one.command[:2]]:  # type: ignore[index]
                load(getattr(settings, name))
            assert "RECORDINGS_ELASTICSEARCH_URL" in one.environment, one.where
            assert MUST_SAY.get(one.component, set()) <= set(one.environment), one.where

    def test_replicas_share_the_key_of_cursors(self, overlay: str) -> None:
        (api,) = _of(overlay, "api")
        assert isinstance(api.environment["RECORDINGS_API_CURSOR_KEY"], dict)

    def test_programs_share_the_key_of_the_logs(self, overlay: str) -> None:
        keys = [
            one.environment["RECORDINGS_LOG_HASH_KEY"]
            for component in ("api", "worker")
            for one in _of(overlay, component)
        ]
        assert isinstance(keys[0], dict)
        assert keys == [keys[0]] * 2

    def test_secrets_are_references(self, overlay: str) -> None:
        secret = {
            name
            for name in manifests.variables()
            if name.endswith(("_API_KEY", "_CURSOR_KEY", "_HASH_KEY", "_TOKEN", "_REDIS_URL"))
        }
        for one in manifests.containers(overlay):
            for name in secret & set(one.environment):
                assert isinstance(one.environment[name], dict), f"{one.where} {name}"

    def test_each_program_has_a_key_of_its_own(self, overlay: str) -> None:
        for one in manifests.containers(overlay):
            who = one.component if one.component in {"init", "api", "worker"} else "operator"
            key = one.environment["RECORDINGS_ELASTICSEARCH_API_KEY"]
            assert key == {"name": _key_secret(overlay, who), "key": "api-key"}, one.where


class TestPrograms:
    def test_commands_are_the_programs(self, overlay: str) -> None:
        for one in manifests.containers(overlay):
            assert one.command[:2] in READ, one.where
            assert _is_there(one), one.where

    def test_options_are_the_commands(self, programs: list[Container]) -> None:
        for one in programs:
            command: Any = typer.main.get_command(
                indexer_cli if "indexer" in one.command[0] else _api_cli()
            )
            rest = list(one.command[1:])
            while rest and rest[0] in getattr(command, "commands", {}):
                command = command.commands[rest.pop(0)]
            known = {name for option in command.params for name in option.opts}
            assert {word for word in rest if word.startswith("-")} <= known, one.where

    def test_probes_ask_what_the_api_answers(
        self, overlay: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (api,) = _of(overlay, "api")
        _become(api, monkeypatch, tmp_path)
        configured = load(ApiSettings)
        monkeypatch.setenv("RECORDINGS_AUTH_JWKS_URL", "http://127.0.0.1:9/")
        monkeypatch.delenv("RECORDINGS_AUTH_PUBLIC_KEY", raising=False)
        monkeypatch.delenv("RECORDINGS_ELASTICSEARCH_CA_FILE", raising=False)
        routes = {
            one.resource.canonical for one in create_app(configured).router.routes() if one.resource
        }
        assert _probed(api) <= routes
        assert {"/metrics", "/openapi.json", "/docs", "/v1/recordings"} <= routes
        assert api.spec["ports"] == [
            {"name": "http", "containerPort": configured.port},
        ]
        assert configured.host == "0.0.0.0"  # noqa: S104 (as it must be in a pod)

    def test_probes_ask_what_a_worker_answers(self, overlay: str) -> None:
        (worker,) = _of(overlay, "worker")
        tree = ast.parse((TOP / "indexer/health.py").read_text())
        texts = {one.value for one in ast.walk(tree) if isinstance(one, ast.Constant)}
        assert _probed(worker) == {"/healthz"}
        assert {"/healthz", "/metrics"} <= texts
        port = int(str(worker.environment["RECORDINGS_WORKER_METRICS_PORT"]))
        assert worker.spec["ports"] == [{"name": "metrics", "containerPort": port}]

    def test_the_api_has_the_time_to_stop(self, overlay: str) -> None:
        (api,) = _of(overlay, "api")
        sleep = api.spec["lifecycle"]["preStop"]["sleep"]["seconds"]
        needed = sleep + longest_request(ApiSettings()) + GRACE_SECONDS
        assert api.pod["terminationGracePeriodSeconds"] > needed
        assert _seconds(compose()["services"]["api"]) > longest_request(ApiSettings())

    def test_a_worker_has_the_time_to_stop(self, overlay: str) -> None:
        (worker,) = _of(overlay, "worker")
        given = RedisSettings(
            visibility_timeout=int(str(worker.environment["RECORDINGS_VISIBILITY_TIMEOUT"]))
        )
        request = min(given.deadline, TIMEOUT_SECONDS)
        longest = 2 * given.deadline + request
        assert worker.pod["terminationGracePeriodSeconds"] > longest
        assert longest < 2 * given.deadline + MARGIN_SECONDS, "liveness would end a sound worker"
        assert _seconds(compose()["services"]["worker"]) > longest

    def test_the_queue_that_scales_is_the_workers(self) -> None:
        (scaled,) = of_kind("overlays/production", "ScaledObject").values()
        (trigger,) = scaled["spec"]["triggers"]
        assert (trigger["type"], trigger["metadata"]["listName"]) == ("redis", QUEUE)
        assert scaled["spec"]["minReplicaCount"] >= 1, "what a lost worker had would wait"


class TestCompose:
    def test_programs_wait_for_what_they_need(self) -> None:
        services = compose()["services"]
        done, healthy = "service_completed_successfully", "service_healthy"
        assert services["init"]["depends_on"] == {"elasticsearch": {"condition": healthy}}
        assert services["api"]["depends_on"] == {"init": {"condition": done}}
        assert services["worker"]["depends_on"] == {
            "init": {"condition": done},
            "redis": {"condition": healthy},
        }
        assert all("healthcheck" in one for name, one in services.items() if name != "init")

    def test_redis_keeps_what_it_has(self) -> None:
        command = compose()["services"]["redis"]["command"]
        assert command[command.index("--appendonly") + 1] == "yes"

    def test_elasticsearch_is_the_version_of_the_local_stack(self) -> None:
        from deploy.local.elasticsearch import VERSION  # noqa: PLC0415

        image = f"docker.elastic.co/elasticsearch/elasticsearch:{VERSION}"
        assert compose()["services"]["elasticsearch"]["image"] == image
        dev = of_kind("overlays/dev", "StatefulSet")["elasticsearch"]["spec"]["template"]["spec"]
        assert dev["containers"][0]["image"] == image
        production = of_kind("overlays/production", "Elasticsearch")["recordings"]
        assert production["spec"]["version"] == VERSION


def _api_cli() -> typer.Typer:
    from api.cli import app  # noqa: PLC0415

    return app


def _found(node: Any, key: str) -> list[Any]:
    """Every value of this key, at any depth."""
    if isinstance(node, dict):
        here = [node[key]] if isinstance(node.get(key), dict) else []
        return here + [one for value in node.values() for one in _found(value, key)]
    if isinstance(node, list | tuple):
        return [one for value in node for one in _found(value, key)]
    return []


def _of(overlay: str, component: str) -> list[Container]:
    return [one for one in manifests.containers(overlay) if one.component == component]


def _key_secret(overlay: str, who: str) -> str:
    """A generated Secret has a digest in its name."""
    name = f"recordings-elasticsearch-{who}"
    made = [one for one in of_kind(overlay, "Secret") if one.startswith(name)]
    return made[0] if made else name


def _become(one: Container, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Take the container's environment; a file of a mounted volume is one of this folder."""
    for name in manifests.variables():
        monkeypatch.delenv(name, raising=False)
    mounts = [mount["mountPath"] for mount in one.spec.get("volumeMounts", ())]
    for name, value in one.environment.items():
        text = value if isinstance(value, str) else SECRETS.get(name, "secret")
        if name.endswith("_FILE"):
            assert any(text.startswith(f"{mount}/") for mount in mounts), f"{one.where}: {text}"
            text = str(folder / Path(text).name)
            Path(text).touch()
        monkeypatch.setenv(name, text)
    if one.where == "compose: api":  # one of two, which compose takes from outside
        monkeypatch.setenv("RECORDINGS_AUTH_JWKS_URL", "http://127.0.0.1:9/")


def _probed(one: Container) -> set[str]:
    probes = [probe for name, probe in one.spec.items() if name.endswith("Probe")]
    ports = {port["name"] for port in one.spec["ports"]}
    assert all(probe["httpGet"]["port"] in ports for probe in probes)
    return {probe["httpGet"]["path"] for probe in probes}


def _seconds(service: Resource) -> int:
    period: str = service["stop_grace_period"]
    return int(period.removesuffix("s"))
