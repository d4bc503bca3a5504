"""`recordings-indexer`: the worker and the operator's commands."""

import gzip
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, BinaryIO, NoReturn, cast

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from indexer import (
    admin,
    celery_app,
    check_cli,
    dead_letters_cli,
    publisher,
    purge_cli,
    reindex_cli,
    worker,
)
from services.errors import BackendError, SettingsError
from services.es_client import connect
from services.indices import IndexNames, Layout
from services.schema_version import SchemaVersionError
from services.settings import (
    ElasticsearchSettings,
    IndexSettings,
    RedisSettings,
    load,
)

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(dead_letters_cli.app, name="dead-letters")
app.add_typer(reindex_cli.app, name="reindex")
app.command()(purge_cli.purge)
app.command()(check_cli.check)
console = Console()
errors = Console(stderr=True)


@app.command()
def init() -> None:
    """Create the indices and aliases that are missing, and add to mappings what is new. Safe to
    repeat.
    """
    settings = load(IndexSettings)
    names, layout = IndexNames(settings.prefix), Layout(settings.shards, settings.replicas)
    with connect(load(ElasticsearchSettings)) as client:
        created = admin.create_missing(client, names, layout)
    console.print(f"created {', '.join(created)}" if created else "nothing is missing")


@app.command("worker")
def run_worker() -> None:
    """Apply the change events of the queue until stopped (SIGTERM or Ctrl-C)."""
    raise typer.Exit(worker.run())


@app.command()
def publish(
    file: Annotated[
        typer.FileBinaryRead, typer.Argument(help="One JSON event a line; .gz too; - is stdin")
    ],
) -> None:
    """Send the events of a file to the queue."""
    application = celery_app.make_app(load(RedisSettings))
    with _unzipped(file) as lines, _progress(file) as progress:
        report = publisher.publish(application, lines, progress)
    console.print(f"published {report.events} events in {report.messages} messages")
    for number, reason in report.refused:
        errors.print(f"line {number}: not JSON: {reason}", markup=False, highlight=False)
    if report.refused:
        raise typer.Exit(1)


@contextmanager
def _unzipped(raw: BinaryIO) -> Iterator[BinaryIO]:
    if raw.name.endswith(".gz"):
        with gzip.open(raw) as lines:
            yield cast(BinaryIO, lines)
    else:
        yield raw


@contextmanager
def _progress(raw: BinaryIO) -> Iterator[Callable[[publisher.Report], None]]:
    """A bar over the bytes of the file, or only a count where the length is not known."""
    total = os.fstat(raw.fileno()).st_size if raw.seekable() else None
    columns = (
        TextColumn("publishing"),
        BarColumn(),
        TextColumn("{task.fields[events]} events"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=errors, transient=True) as bar:
        task = bar.add_task("", total=total or None, events=0)
        yield lambda report: bar.update(
            task, events=report.events, completed=raw.tell() if total else 0
        )


def main() -> None:
    """The console script: our errors as one sentence, never as a stack trace."""
    try:
        app()
    except (SettingsError, SchemaVersionError) as error:
        _stop(str(error), 2)
    except BackendError as error:
        _stop(str(error), 1)
    except KeyboardInterrupt:
        _stop("stopped", 130)


def _stop(message: str, status: int) -> NoReturn:
    errors.print(message, markup=False, highlight=False)
    sys.exit(status)


if __name__ == "__main__":
    main()
