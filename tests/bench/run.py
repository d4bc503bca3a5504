"""The benchmarks: `python tests/bench/run.py [SECTION]...`, all sections by default.

A section is a module beside this one with `run(stand) -> Report`. Its results go to
`.bench/SECTION.json`, as tables to the screen, and as plots to `.bench/index.html`. A target that
is missed is shown and does not fail the run: a busy machine is no defect.
"""

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import orjson
import typer
from rich.console import Console

from deploy.local.errors import StackError
from services.errors import BackendError, SettingsError
from services.es_client import failures_as_ours
from tests.bench import freshness, growth, indexing, page, reindexing, searching, syncing
from tests.bench.errors import BenchError
from tests.bench.report import Report
from tests.bench.stand import Stand, stand
from tests.bench.usage import machine

SECTIONS: Final[dict[str, Callable[[Stand], Report]]] = {
    "search": searching.run,
    "indexing": indexing.run,
    "reindex": reindexing.run,
    "freshness": freshness.run,
    "growth": growth.run,
    "sync": syncing.run,
}
# Not of `--quick` unless they are asked for.
LONG: Final = ("sync",)
FOLDER: Final = Path(__file__).parents[2] / ".bench"
ROUNDS: Final = 5
QUICK_ROUNDS: Final = 3
EVENTS: Final = 1_000_000
QUICK_EVENTS: Final = 20_000

# A table wider than a file or a pipe pretends to be is no table any more.
out = Console(width=max(Console().width, 150))
errors = Console(stderr=True, soft_wrap=True, highlight=False)


def main(
    sections: Annotated[list[str] | None, typer.Argument(help=", ".join(SECTIONS))] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Less data, fewer rounds")] = False,
    events: Annotated[int | None, typer.Option(min=10_000, help="Of the long memory run")] = None,
) -> None:
    """Run the benchmarks and show what they found."""
    chosen = sections or [name for name in SECTIONS if not (quick and name in LONG)]
    if unknown := [name for name in chosen if name not in SECTIONS]:
        raise typer.BadParameter(f"no section {', '.join(unknown)}; there is {', '.join(SECTIONS)}")
    rounds = QUICK_ROUNDS if quick else ROUNDS
    many = events or (QUICK_EVENTS if quick else EVENTS)
    conditions = {"machine": machine(), "quick": quick, "rounds": rounds}
    with stand(FOLDER, errors, quick=quick, rounds=rounds, events=many) as place:
        conditions["elasticsearch"] = place.client.info()["version"]["number"]
        for name in chosen:
            with failures_as_ours():
                report = SECTIONS[name](place)
            _show(name, report, conditions)
    for name in set(LONG).difference(chosen) if not sections else ():
        out.print(f"Section {name} was left out: it takes minutes. It is run by its name.")
    out.print(f"plots and what they mean: {page.write(FOLDER).relative_to(FOLDER.parent)}")


def _show(name: str, report: Report, conditions: dict[str, Any]) -> None:
    when = datetime.now(UTC).isoformat(timespec="seconds")
    results = {"section": name, "at": when, **conditions, **report.results}
    file = FOLDER / f"{name}.json"
    file.write_bytes(orjson.dumps(results, option=orjson.OPT_INDENT_2))
    for table in report.tables:
        out.print(table)
    here = conditions["machine"]
    out.print(
        f"{here['cores']} cores, {here['memoryGiB']} GiB, {here['processor']}, "
        f"Python {here['python']}; {conditions['rounds']} rounds; {file.relative_to(FOLDER.parent)}"
    )


if __name__ == "__main__":
    try:
        typer.run(main)
    except (BenchError, StackError, BackendError, SettingsError) as error:
        errors.print(str(error), markup=False)
        sys.exit(1)
