"""Which source an operator means."""

from pathlib import Path
from typing import Final

from elasticsearch import Elasticsearch

from indexer.patience import Stopping
from indexer.sources import Source
from indexer.sources.file import EventFile
from indexer.sources.http import HttpPages
from indexer.sources.live import LiveIndex
from services.settings import ReindexSettings

INDEX: Final = "index"


def from_the_product(text: str, settings: ReindexSettings) -> EventFile | HttpPages:
    """A file or an address."""
    if text.startswith(("http://", "https://")):
        return HttpPages(text, settings.page_size, settings.source_token)
    return EventFile(Path(text))


def source_of(
    text: str, settings: ReindexSettings, client: Elasticsearch, index: str, stopping: Stopping
) -> Source:
    """The live index (`index` is its name), a file or an address."""
    if text == INDEX:
        return LiveIndex(client, index, settings.slices, stopping)
    return from_the_product(text, settings)
