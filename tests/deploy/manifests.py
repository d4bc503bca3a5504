"""The manifests as a cluster would get them, and what is in them."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from pydantic_settings import BaseSettings

from deploy.local.settings import local_settings
from services import settings as every_setting

TOP: Final = Path(__file__).resolve().parents[2]
OVERLAYS: Final = ("dev", "production")
KUSTOMIZE: Final = "sigs.k8s.io/kustomize/kustomize/v5@v5.7.1"
PROGRAMS: Final = ("recordings-api", "recordings-indexer")
# Kinds that others than Kubernetes define: schemas/ has what is used of them.
FOREIGN: Final = frozenset(path.stem for path in (Path(__file__).parent / "schemas").glob("*.json"))

Resource = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Container:
    """A container of ours; `environment` as it starts, with a secret's reference as its value."""

    where: str
    component: str
    command: tuple[str, ...]
    environment: Mapping[str, str | Mapping[str, str]]
    spec: Resource
    pod: Resource


def kustomize() -> Path:
    """The pinned kustomize, built once and kept outside of the checkout."""
    folder = local_settings().cache_folder / KUSTOMIZE.rpartition("/")[2]
    binary = folder / "kustomize"
    if binary.exists():
        return binary
    if not shutil.which("go"):
        reason = "Go is missing: kustomize cannot be built, so the manifests are not checked"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    build = folder.with_name(f"{folder.name}.{os.getpid()}")
    subprocess.run(
        ["go", "install", KUSTOMIZE],
        env=os.environ | {"GOBIN": str(build), "GOFLAGS": "-mod=mod"},
        cwd="/",
        check=True,
    )
    folder.mkdir(exist_ok=True)
    (build / "kustomize").replace(binary)
    build.rmdir()
    return binary


@cache
def resources(overlay: str) -> tuple[Resource, ...]:
    """What `kubectl apply -k` would send."""
    return built_from(TOP / "deploy/k8s" / overlay)


def built_from(folder: Path) -> tuple[Resource, ...]:
    """What kustomize makes of this folder."""
    built = subprocess.run([kustomize(), "build", folder], capture_output=True, check=False)
    assert built.returncode == 0, built.stderr.decode()
    return tuple(yaml.safe_load_all(built.stdout))


def of_kind(overlay: str, kind: str) -> dict[str, Resource]:
    return {one["metadata"]["name"]: one for one in resources(overlay) if one["kind"] == kind}


def templates(overlay: str) -> Iterator[tuple[str, Resource]]:
    """The pod templates: (kind and name, template)."""
    for one in resources(overlay):
        spec = one.get("spec", {})
        if one["kind"] == "CronJob":
            spec = spec["jobTemplate"]["spec"]
        if "template" in spec:
            yield f"{one['kind']} {one['metadata']['name']}", spec["template"]


def containers(overlay: str) -> list[Container]:
    """Our containers of an overlay."""
    maps = of_kind(overlay, "ConfigMap")
    return [
        Container(
            f"{overlay}: {where}",
            template["metadata"]["labels"]["app.kubernetes.io/component"],
            tuple(one["args"]),
            _environment(one, maps) | _secret_files(one, template["spec"]),
            one,
            template["spec"],
        )
        for where, template in templates(overlay)
        for one in template["spec"]["containers"]
        if one.get("args", [""])[0] in PROGRAMS
    ]


def _environment(container: Resource, maps: Mapping[str, Resource]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for source in container.get("envFrom", ()):
        found |= maps[source["configMapRef"]["name"]]["data"]
    for one in container.get("env", ()):
        found[one["name"]] = one["value"] if "value" in one else one["valueFrom"]["secretKeyRef"]
    return found


def _secret_files(container: Resource, pod: Resource) -> dict[str, Any]:
    """The settings that are files of a mounted secret, as references to it."""
    volumes = {one["name"]: one for one in pod.get("volumes", ())}
    secrets = [
        volumes[mount["name"]]["secret"]
        for mount in container.get("volumeMounts", ())
        if mount["mountPath"] == str(every_setting.SecretsSettings().dir)
    ]
    return {
        item["path"]: {"name": secret["secretName"], "key": item["key"]}
        for secret in secrets
        for item in secret["items"]
    }


@cache
def compose() -> Resource:
    """deploy/compose.yaml."""
    loaded: Resource = yaml.safe_load((TOP / "deploy/compose.yaml").read_text())
    return loaded


def compose_containers() -> list[Container]:
    """The same of deploy/compose.yaml; what it takes from outside is set to something."""
    return [
        Container(f"compose: {name}", name, tuple(one["command"]), _given(one), one, {})
        for name, one in compose()["services"].items()
        if one.get("command", [""])[0] in PROGRAMS
    ]


def _given(service: Resource) -> dict[str, str | Mapping[str, str]]:
    return {
        name: {"name": "outside", "key": name} if re.match(r"\$\{.*:\?", value) else value
        for name, value in service["environment"].items()
        if not re.match(r"\$\{.*:-\}", value)
    }


def setting_classes() -> list[type[BaseSettings]]:
    """All groups of settings of services/settings.py."""
    return [
        one
        for one in vars(every_setting).values()
        if isinstance(one, type) and issubclass(one, BaseSettings) and one is not BaseSettings
    ]


def variables() -> set[str]:
    """The environment variables that are settings."""
    return {
        f"{one.model_config.get('env_prefix', '')}{name}".upper()
        for one in setting_classes()
        for name in one.model_fields
    }
