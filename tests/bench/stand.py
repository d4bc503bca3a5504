"""Where a section runs: the servers, indices and queues of its own, a progress bar.

The servers are those of the environment, else a stack of a home of its own that is stopped and
removed at the end. Indices have a prefix of their own and go away with the section.
"""

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from elasticsearch import Elasticsearch
from pydantic import AnyHttpUrl
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from deploy.local.stack import Addresses, Stack, default_home
from indexer import admin
from services.es_client import connect
from services.indices import IndexNames
from services.settings import ElasticsearchSettings


@dataclass(frozen=True, slots=True)
class Stand:
    """What every section is given.

    `folder` is where results and logs go, `rounds` how often each side is measured, `events` how
    many events the long run takes.
    """

    addresses: Addresses
    client: Elasticsearch
    progress: Progress
    folder: Path
    quick: bool
    rounds: int
    events: int

    @contextmanager
    def indices(self) -> Iterator[IndexNames]:
        """The indices of one round, new and empty, as `recordings-indexer init` makes them."""
        names = IndexNames(f"bench-{uuid.uuid4().hex[:8]}")
        admin.create_missing(self.client, names)
        try:
            yield names
        finally:
            self.client.indices.delete(index=names.first_indices)


@contextmanager
def stand(
    folder: Path, console: Console, *, quick: bool, rounds: int, events: int
) -> Iterator[Stand]:
    """Everything up; stopped and removed at the end, whatever happens."""
    folder.mkdir(exist_ok=True)
    for log in folder.glob("*.log"):
        log.unlink()  # of an earlier run
    with _servers(console) as addresses:
        url = AnyHttpUrl(addresses.elasticsearch_url)
        bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
        )
        with connect(ElasticsearchSettings(url=url), 60.0) as client, bar as progress:
            yield Stand(addresses, client, progress, folder, quick, rounds, events)


@contextmanager
def _servers(console: Console) -> Iterator[Addresses]:
    home = default_home().with_name(f"{default_home().name}-bench")
    stack = Stack(home, console)
    stack.down()  # what a run that was killed left
    shutil.rmtree(home, ignore_errors=True)
    try:
        yield stack.up()
    finally:
        stack.down()
        shutil.rmtree(home)
