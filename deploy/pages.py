"""What is made from the code: the settings' table, the catalogue's page, the dashboard.

`python -m deploy.pages` (`make pages`) writes them; a test compares what is there.
"""

import inspect
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from annotated_types import Ge, Gt, Le, Lt
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from deploy.catalogue import API, ELASTICSEARCH, EVENTS, INDEXER, METRICS, Metric
from services import settings

TOP: Final = Path(__file__).resolve().parents[1]
README: Final = TOP / "README.md"
RUNBOOK: Final = TOP / "deploy/README.md"
DASHBOARD: Final = TOP / "deploy/grafana/recordings.json"


def pages() -> dict[Path, str]:
    """Every file with something made in it, as it should be. Raises ValueError without marks."""
    return {
        README: replaced(README.read_text("utf-8"), "settings", settings_table()),
        RUNBOOK: replaced(RUNBOOK.read_text("utf-8"), "catalogue", catalogue_page()),
        DASHBOARD: json.dumps(dashboard(), indent=2) + "\n",
    }


def replaced(text: str, name: str, made: str) -> str:
    """The text with this between its marks `<!-- name -->` and `<!-- /name -->`."""
    begin, end = f"<!-- {name}: made by `make pages` -->\n", f"<!-- /{name} -->"
    before, mark, rest = text.partition(begin)
    if not mark or end not in rest:
        raise ValueError(f"no marks of {name}")
    return f"{before}{begin}\n{made}\n{end}{rest.partition(end)[2]}"


def settings_table() -> str:
    """All settings of the programs."""
    rows = [
        (f"`{name}`", _default(field), _bounds(field), meaning)
        for group in _groups()
        for name, field, meaning in _described(group)
    ]
    return _table(("variable", "default", "values", "meaning"), rows)


def catalogue_page() -> str:
    """What each metric and each line of the log means, and what to do."""
    parts = [("Of the API", API), ("Of both programs", ELASTICSEARCH), ("Of a worker", INDEXER)]
    tables = [f"### {title}\n\n{_metrics(metrics)}" for title, metrics in parts]
    rows = [(f"`{one.name}`", one.meaning, one.action) for one in EVENTS]
    events = _table(("`event`", "meaning", "what to do"), rows)
    return "\n".join([*tables, f"### Lines of the log\n\n{events}"])


def dashboard() -> dict[str, Any]:
    """A Grafana dashboard: a graph for each panel of the catalogue, two in a row."""
    panels = [panel for metric in METRICS for panel in metric.panels]
    source = {"type": "prometheus", "uid": "${source}"}
    return {
        "title": "Recording search",
        "uid": "recordings",
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {
            "list": [
                {"name": "source", "label": "Source", "type": "datasource", "query": "prometheus"}
            ]
        },
        "panels": [
            {
                "id": number + 1,
                "type": "timeseries",
                "title": panel.title,
                "datasource": source,
                "gridPos": {"h": 8, "w": 12, "x": 12 * (number % 2), "y": 8 * (number // 2)},
                "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
                "targets": [
                    {
                        "refId": chr(ord("A") + place),
                        "datasource": source,
                        "expr": query,
                        "legendFormat": name,
                    }
                    for place, (query, name) in enumerate(panel.queries)
                ],
            }
            for number, panel in enumerate(panels)
        ],
    }


def _metrics(metrics: Iterable[Metric]) -> str:
    rows = [(f"`{one.name}`", one.meaning, one.action) for one in metrics]
    return _table(("metric", "meaning", "what to do"), rows)


def _groups() -> list[type[BaseSettings]]:
    return [
        one
        for one in vars(settings).values()
        if inspect.isclass(one) and issubclass(one, BaseSettings) and one is not BaseSettings
    ]


def _described(group: type[BaseSettings]) -> Iterator[tuple[str, FieldInfo, str]]:
    """Variable, field and meaning. Raises ValueError for a field that has none."""
    meanings = _meanings(inspect.getdoc(group) or "", group.model_fields)
    for name, field in group.model_fields.items():
        variable = f"{group.model_config.get('env_prefix', '')}{name}".upper()
        if name not in meanings:
            raise ValueError(f"the docstring of {group.__name__} says nothing of {name}")
        meaning = meanings[name].removesuffix(".")
        yield variable, field, f"{meaning[0].upper()}{meaning[1:]}."


def _meanings(doc: str, fields: Iterable[str]) -> dict[str, str]:
    """The docstring's entries: `name, name: text` and the lines after it."""
    known, found, current = set(fields), dict[str, str](), list[str]()
    for line in doc.splitlines():
        head, colon, text = line.partition(": ")
        names = head.split(", ") if colon else []
        if names and set(names) <= known:
            current = names
            found |= dict.fromkeys(names, text)
        elif current and line.strip():
            found |= {name: f"{found[name]} {line.strip()}" for name in current}
    return found


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.default
    if isinstance(value, bool):
        return f"`{value}`".lower()
    return "" if value is None or value in ("", {}) else f"`{value}`"


def _bounds(field: FieldInfo) -> str:
    """What the types allow, in short."""
    bounds = {type(one): one for one in field.metadata}
    least = next((f"{one.ge}" for one in bounds.values() if isinstance(one, Ge)), "")
    least = next((f"above {one.gt}" for one in bounds.values() if isinstance(one, Gt)), least)
    most = next((f"{one.le}" for one in bounds.values() if isinstance(one, Le)), "")
    most = next((f"below {one.lt}" for one in bounds.values() if isinstance(one, Lt)), most)
    if least or most:
        return f"{least} to {most}" if most else f"{least} or more"
    return "secret" if _is_secret(field.annotation) else _kind(field.annotation)


def _is_secret(annotation: Any) -> bool:
    return annotation is SecretStr or SecretStr in _parts(annotation)


def _kind(annotation: Any) -> str:
    names: Mapping[str, str] = {
        "AnyHttpUrl": "http(s) address",
        "Path": "file",
        "dict": "JSON object",
        "bool": "true or false",
    }
    text = str(annotation)
    return next((word for name, word in names.items() if name in text), "text")


def _parts(annotation: Any) -> list[Any]:
    inner = getattr(annotation, "__args__", ())
    return [*inner, *(part for one in inner for part in _parts(one))]


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines
    )


def main() -> None:
    """Write what has changed."""
    DASHBOARD.parent.mkdir(exist_ok=True)
    for path, text in pages().items():
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
