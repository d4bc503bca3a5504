"""`recordings-indexer purge`."""

from dataclasses import dataclass
from typing import Annotated

import typer

from indexer import purge as old_things
from indexer.arguments import text
from indexer.reindex.state import RefusedError
from services.es_client import connect
from services.indices import IndexNames
from services.settings import ElasticsearchSettings, IndexSettings, RetentionSettings, load


@dataclass(frozen=True, slots=True)
class _Recording:
    tenant: str
    id: str


def _recording(value: str) -> _Recording:
    tenant, _, recording = text(value).partition("/")
    if not (tenant and recording):
        raise typer.BadParameter("must be TENANT/ID")
    return _Recording(tenant, recording)


def purge(
    *,
    older_than: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=36_500,
            metavar="DAYS",
            help="Days since the tombstones were written; without it"
            " RECORDINGS_RETENTION_TOMBSTONES_DAYS.",
        ),
    ] = None,
    recording: Annotated[
        _Recording | None,
        typer.Option(
            metavar="TENANT/ID",
            parser=_recording,
            help="Remove only this recording's tombstone, whatever its age, so that the recording"
            " can be published again. The first slash ends the tenant.",
        ),
    ] = None,
) -> None:
    """Remove the tombstones of recordings deleted long ago, and old dead letters."""
    if older_than and recording:
        raise typer.BadParameter("--older-than and --recording exclude each other")
    names, retention = IndexNames(load(IndexSettings).prefix), load(RetentionSettings)
    with connect(load(ElasticsearchSettings)) as client:
        if recording:
            try:
                there_was_one = old_things.tombstone(client, names, recording.tenant, recording.id)
            except RefusedError as error:
                typer.echo(str(error), err=True)
                raise typer.Exit(1) from None
            if not there_was_one:
                typer.echo("there is no tombstone of this recording", err=True)
                raise typer.Exit(1)
            typer.echo("1 tombstone removed")
            return
        try:
            days = older_than or retention.tombstones_days
            tombstones = old_things.tombstones(client, names, retention, days)
        except old_things.TooYoungError as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(2) from None
        except RefusedError as error:
            old_things.letters(client, names, retention)
            typer.echo(f"only dead letters were removed: {error}", err=True)
            raise typer.Exit(1) from None
        letters = old_things.letters(client, names, retention)
    typer.echo(f"{tombstones} tombstones and {letters} dead letters removed")
