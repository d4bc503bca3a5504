"""`recordings-indexer reindex`: what an operator sees and does of a reindex.

Progress and remarks go to standard error, what was asked for to standard output.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Final

import typer
from elasticsearch import Elasticsearch
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from indexer.reindex import indices, operator, transitions
from indexer.reindex.session import Session
from indexer.reindex.state import RefusedError, Reindex, Store, TakenOverError
from indexer.reindex.transitions import DifferentError, Work
from indexer.sources import SourceError
from indexer.sources.file import EventFile
from indexer.sources.opening import INDEX, from_the_product, source_of
from services.es_client import connect
from services.indices import IndexNames, Layout
from services.settings import (
    ElasticsearchSettings,
    IndexSettings,
    PhoneSettings,
    ReindexSettings,
    load,
)

TIMEOUT_SECONDS: Final = 120.0

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Rebuild the index of recordings while events keep coming and searches keep answering.",
)
errors = Console(stderr=True, soft_wrap=True)


@dataclass(frozen=True, slots=True)
class _Place:
    """This deployment."""

    client: Elasticsearch
    names: IndexNames
    layout: Layout


def source_text(value: str) -> str:
    """A source as it can be stored: a file by its whole path. Raises BadParameter."""
    if value == INDEX:
        return value
    source = from_the_product(value, load(ReindexSettings))
    if not isinstance(source, EventFile):
        return value
    if not source.path.is_file():
        raise typer.BadParameter(f"{value} is neither a file nor an HTTP address")
    return str(source.path.resolve())


@app.command()
def start(
    *,
    source: Annotated[
        str,
        typer.Option(
            metavar="index|FILE|URL",
            parser=source_text,
            help="What the product holds now: the live index itself; a file of events, one JSON"
            " object a line (.gz too), whose time of modification says when it was made; or an"
            " HTTP(S) address of pages of events.",
        ),
    ] = INDEX,
) -> None:
    """Build a new index and swap it in. Exit status 0 only when it is swapped in.

    Another one can start after `retire` or `abort`. After Ctrl-C or a kill, `resume` goes on.
    """
    with _opened() as place, _refusals():
        _run(place, lambda: operator.begin(place.client, place.names, source))


@app.command()
def resume() -> None:
    """Go on with a reindex whose process is gone, or that was refused or rolled back."""
    with _opened() as place, _refusals():
        _run(place, lambda: operator.resume(place.client, place.names))


@app.command()
def status(
    *, as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False
) -> None:
    """Show where the reindex stands, and who works on it."""
    with _opened() as place, _refusals():
        stored = Store(place.client, place.names).read()
        reading = indices.read_index(place.client, place.names)
    shown = _status(stored.reindex, stored.writes, reading)
    if as_json:
        typer.echo(json.dumps(shown, ensure_ascii=False))
        return
    for name, value in shown.items():
        typer.echo(f"{name}: {', '.join(value) if isinstance(value, list) else value}")


@app.command()
def abort() -> None:
    """Give up before the swap, or after a rollback: the new index is deleted."""
    with _opened() as place, _refusals():
        typer.echo(f"aborted: {operator.abort(place.client, place.names).new} is deleted")


@app.command()
def rollback() -> None:
    """Let searches read the old index again. The new one is written on until `abort`."""
    with _opened() as place, _refusals():
        reindex = operator.rollback(place.client, place.names)
    typer.echo(
        f"searches read {reindex.old}; `reindex abort` deletes {reindex.new},"
        " `reindex resume` compares again and swaps it in"
    )


@app.command()
def retire() -> None:
    """After the swap: the old index is not written any more, and deleted. No way back."""
    with _opened() as place, _refusals():
        typer.echo(f"retired: {operator.retire(place.client, place.names).old} is deleted")


def _run(place: _Place, take: Callable[[], Session]) -> None:
    settings = load(ReindexSettings)
    region_of = load(PhoneSettings).region_of
    session = take()
    reindex = session.reindex
    source = source_of(reindex.source, settings, place.client, reindex.old, session.stopping)
    filler = transitions.make_filler(
        place.client, place.names, session, settings, region_of=region_of
    )
    with _bar(reindex) as (bar, task):

        def show(now: Reindex) -> None:
            bar.update(task, completed=now.amount, total=now.total, documents=now.done)

        def say(line: str) -> None:
            bar.console.print(line, markup=False, highlight=False)

        transitions.run(
            Work(
                place.client,
                place.names,
                session,
                source,
                filler,
                settings.slices,
                show,
                say,
                place.layout,
            )
        )
    typer.echo(
        f"searches read {reindex.new}; `reindex rollback` goes back to {reindex.old}, which is"
        " written until `reindex retire`"
    )


class _Rate(ProgressColumn):
    """Documents a second."""

    def render(self, task: Task) -> Text:
        documents = task.fields["documents"] - task.fields["before"]
        seconds = task.elapsed or 0.0
        return Text(f"{documents / seconds:,.0f}/s" if seconds else "")


@contextmanager
def _bar(reindex: Reindex) -> Iterator[tuple[Progress, Any]]:
    columns = (
        TextColumn("reindex"),
        BarColumn(),
        TextColumn("{task.fields[documents]:,} documents"),
        _Rate(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=errors, transient=True) as bar:
        task = bar.add_task("", total=reindex.total, documents=reindex.done, before=reindex.done)
        yield bar, task


def _status(reindex: Reindex | None, writes: list[str], reading: str) -> dict[str, Any]:
    indices_ = {"reads": reading, "writes": writes}
    if reindex is None:
        return {"state": "none"} | indices_
    worker = reindex.worker if not reindex.phase.is_over else None
    return {
        "state": str(reindex.phase),
        "source": reindex.source,
        "old": reindex.old,
        "new": reindex.new,
        **indices_,
        "startedAt": reindex.started_at,
        "startedBy": reindex.started_by,
        "changedAt": reindex.changed_at,
        "documents": reindex.done,
        "progress": reindex.amount / reindex.total if reindex.total else None,
        "isWorkedOn": bool(worker and worker.is_alive and not _is_done(reindex)),
        "failure": reindex.failure,
        "rolledBackAt": reindex.rolled_back_at,
    }


def _is_done(reindex: Reindex) -> bool:
    return reindex.phase == "swapped" or reindex.rolled_back_at is not None


@contextmanager
def _opened() -> Iterator[_Place]:
    settings = load(IndexSettings)
    layout = Layout(settings.shards, settings.replicas)
    with connect(load(ElasticsearchSettings), TIMEOUT_SECONDS) as client:
        yield _Place(client, IndexNames(settings.prefix), layout)


@contextmanager
def _refusals() -> Iterator[None]:
    """What an operator has to know as a sentence, and exit status 1."""
    try:
        yield
    except (RefusedError, TakenOverError, DifferentError, SourceError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
