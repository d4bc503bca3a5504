"""`recordings-indexer check`."""

import io
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Final

import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from indexer import celery_app, publisher
from indexer.check import Check
from indexer.reindex_cli import source_text
from indexer.sources import SourceError
from indexer.sources.opening import INDEX, from_the_product
from services.errors import BackendError
from services.es_client import connect
from services.indices import IndexNames
from services.settings import (
    ElasticsearchSettings,
    IndexSettings,
    RedisSettings,
    ReindexSettings,
    load,
)

TIMEOUT_SECONDS: Final = 60.0
LISTED: Final = 100
DIFFERENT: Final = 1
NOT_COMPARED: Final = 3


def _product_source(value: str) -> str:
    if value == INDEX:
        raise typer.BadParameter("must be FILE or URL: what the index is compared with")
    return source_text(value)


def check(
    *,
    source: Annotated[
        str,
        typer.Option(
            metavar="FILE|URL", parser=_product_source, help="What the product holds now."
        ),
    ],
    repair: Annotated[
        bool, typer.Option("--repair", help="Publish what is missing or stale, to the queue.")
    ] = False,
) -> None:
    """Compare the index with what the product holds.

    Exit status 0: equal; 1: there are differences, also when they are being repaired; 2: wrong
    usage or settings; 3: the two could not be compared.
    """
    opened = from_the_product(source, load(ReindexSettings))
    names = IndexNames(load(IndexSettings).prefix)
    broker = celery_app.make_app(load(RedisSettings)) if repair else None
    listed: Counter[str] = Counter()

    def report(kind: str, thing: str) -> None:
        listed[kind] += 1
        if listed[kind] <= LISTED:
            typer.echo(f"{kind}: {thing if thing.isprintable() else ascii(thing)}")

    def publish(events: list[object]) -> None:
        if broker and events:
            lines = io.BytesIO(b"\n".join(map(orjson.dumps, events)))
            publisher.publish(broker, lines, lambda _: None)

    try:
        with connect(load(ElasticsearchSettings), TIMEOUT_SECONDS) as client, _bar() as bar:
            task = bar.add_task("", total=opened.total)
            counts = Check(
                client,
                names,
                opened,
                report,
                publish if repair else None,
                lambda amount: bar.advance(task, amount),
            ).run()
    except (SourceError, BackendError) as error:
        typer.echo(f"not compared: {error}", err=True)
        raise typer.Exit(NOT_COMPARED) from None
    typer.echo(_summary(counts, repair))
    if counts:
        raise typer.Exit(DIFFERENT)


@contextmanager
def _bar() -> Iterator[Any]:
    columns = (TextColumn("check"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield bar


def _summary(counts: Counter[str], repair: bool) -> str:
    if not counts:
        return "the index holds what the product holds"
    kinds = ", ".join(f"{counts[kind]} {kind}" for kind in sorted(counts))
    published = counts["missing"] + counts["stale"]
    return f"{kinds}; {published} events published again" if repair else kinds
