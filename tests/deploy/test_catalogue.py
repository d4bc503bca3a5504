"""The catalogue says of every metric and log event of the code what it is, and of nothing else."""

import ast
import re
from collections.abc import Iterator
from typing import Any, Final

import pytest

from deploy.catalogue import EVENTS, METRICS
from tests.deploy.manifests import TOP, of_kind

PACKAGES: Final = ("services", "indexer", "api")
SUFFIXES: Final = {
    "Counter": ("_total",),
    "Gauge": ("",),
    "Histogram": ("_bucket", "_sum", "_count"),
}
KINDS: Final = {*SUFFIXES, "Summary", "Info", "Enum"}
LEVELS: Final = {"debug", "info", "warning", "error", "exception", "critical"}
# Of Prometheus itself, and of kube-state-metrics (docs/metrics/workload/pod-metrics.md).
OTHERS: Final = {"up", "kube_pod_container_status_restarts_total"}


def calls() -> Iterator[tuple[str, ast.Call, set[str]]]:
    """Every call in the code of the programs: its place, itself, and which kinds of metrics its
    module knows by name.
    """
    for package in PACKAGES:
        for path in sorted((TOP / package).rglob("*.py")):
            tree = ast.parse(path.read_text())
            kinds = {
                alias.asname or alias.name
                for node in ast.walk(tree)
                if isinstance(node, ast.ImportFrom) and node.module == "prometheus_client"
                for alias in node.names
            }
            for node in ast.walk(tree):
                if isinstance(node, ast.Call):
                    yield f"{path.relative_to(TOP)}:{node.lineno}", node, kinds


def metrics() -> dict[str, tuple[str, list[str]]]:
    """The metrics of the code: name to kind and labels."""
    found = {}
    for where, call, kinds in calls():
        if isinstance(call.func, ast.Name) and call.func.id in kinds & KINDS:
            assert call.func.id in SUFFIXES, f"{where}: no kind that the catalogue knows"
            name, _, *rest = map(ast.literal_eval, call.args)
            found[name] = (call.func.id, rest[0] if rest else [])
    return found


def events() -> set[str]:
    """The `event` of every line that the code logs by structlog."""
    found = set()
    for where, call, _ in calls():
        if isinstance(call.func, ast.Attribute) and call.func.attr in LEVELS:
            if not (isinstance(call.func.value, ast.Name) and call.func.value.id == "log"):
                continue
            event = call.args[0]
            assert isinstance(event, ast.Constant), f"{where}: an event without a fixed name"
            found.add(str(event.value))
    return found


def test_loggers_are_called_log_so_that_their_events_are_found() -> None:
    for package in PACKAGES:
        for path in (TOP / package).rglob("*.py"):
            for line in path.read_text().splitlines():
                if "structlog.get_logger" in line:
                    assert line.startswith("log = "), path


def test_every_metric_is_in_the_catalogue_and_exists() -> None:
    assert sorted(one.name for one in METRICS) == sorted(metrics())


def test_every_event_is_in_the_catalogue_and_exists() -> None:
    assert sorted(one.name for one in EVENTS) == sorted(events())


def test_labels_are_told() -> None:
    """A label that is not named in the meaning would be a riddle; no label can hold an id."""
    known = metrics()
    for one in METRICS:
        for label in known[one.name][1]:
            assert f"`{label}`" in one.meaning, f"{one.name}: {label}"
    allowed = {"route", "status", "operation", "outcome", "type", "reason"}
    assert {label for _, labels in known.values() for label in labels} <= allowed


def alerts() -> list[dict[str, Any]]:
    rules = of_kind("overlays/production", "PrometheusRule")["recordings"]
    return [one for group in rules["spec"]["groups"] for one in group["rules"]]


def queries() -> list[Any]:
    return [
        pytest.param(query, id=f"{one.name}: {panel.title}")
        for one in METRICS
        for panel in one.panels
        for query, _ in panel.queries
    ]


@pytest.mark.parametrize("query", queries())
def test_a_panel_asks_for_what_exists(query: str) -> None:
    check(query)


def test_alerts_ask_for_what_exists() -> None:
    found = alerts()
    assert len({one["alert"] for one in found}) == len(found)
    for one in found:
        check(one["expr"])


def test_a_name_that_does_not_exist_is_found() -> None:
    with pytest.raises(AssertionError, match="recordings_indexer_events_bucket"):
        check("rate(recordings_indexer_events_bucket[5m])")
    with pytest.raises(AssertionError, match="tenant"):
        check("sum by (tenant) (recordings_indexer_queue_messages)")


def check(query: str) -> None:
    """Every name of a metric exists in that form, and every label is one of its metric."""
    known = metrics()
    shown = {
        f"{name}{suffix}": labels
        for name, (kind, labels) in known.items()
        for suffix in SUFFIXES[kind]
    }
    text = re.sub(r'"[^"]*"', '""', query)
    names = set(re.findall(r"\b(?:recordings_\w+|kube_\w+|up)\b", text))
    assert names, query
    assert names <= {*shown, *OTHERS}, f"{names - {*shown, *OTHERS}} of {query}"
    grouped = {
        label.strip() for by in re.findall(r"by \(([^)]*)\)", text) for label in by.split(",")
    }
    matched = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", text))
    labels = {label for name in names for label in shown.get(name, ())}
    outside = {"le", "job", "container", "namespace"}
    assert grouped | matched <= labels | outside, f"{grouped | matched} of {query}"
    assert text.count("(") == text.count(")"), query


def test_every_alert_leads_to_a_section_of_the_runbook() -> None:
    text = (TOP / "deploy/README.md").read_text()
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    anchors = {re.sub(r"[^\w-]", "", one.lower().replace(" ", "-")) for one in titles}
    for one in alerts():
        page, _, anchor = one["annotations"]["runbook"].partition("#")
        assert page == "deploy/README.md"
        assert anchor in anchors, one["alert"]
