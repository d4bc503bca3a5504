"""`recordings-indexer dead-letters`: what an operator sees and does of the events that failed.

What was said is shown by `show` alone.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Annotated, Any, Final

import typer
from elasticsearch import Elasticsearch

from indexer import celery_app, dead_letters
from indexer.arguments import instant, text
from indexer.dead_letters import Letter, Query
from indexer.replay import replay as publish_again
from services import instants
from services.es_client import connect
from services.indices import IndexNames
from services.settings import ElasticsearchSettings, IndexSettings, RedisSettings, load

_LISTED: Final = (
    "type",
    "tenantId",
    "recordingId",
    "noteId",
    "groupId",
    "reason",
    "firstAt",
    "lastAt",
    "attempts",
)

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="The events that could not be applied: look, try again, throw away.",
)


@dataclass(frozen=True, slots=True)
class _Box:
    """The dead letters of this deployment."""

    client: Elasticsearch
    names: IndexNames

    def existing(self, ids: list[str]) -> list[Letter]:
        """The letters with these ids; when one does not exist, says which, and stops with 1."""
        wanted = list(dict.fromkeys(ids))
        found = dead_letters.read(self.client, self.names, wanted, with_event=False)
        missing = set(wanted) - {letter.id for letter in found}
        for one in (one for one in wanted if one in missing):
            _complain(f"{one}: there is no such dead letter")
        if missing:
            raise typer.Exit(1)
        return found


Ids = Annotated[list[str] | None, typer.Argument(metavar="ID...", parser=text, show_default=False)]
Reason = Annotated[
    str | None,
    typer.Option(
        "--reason", metavar="TEXT", parser=text, help="The words that the reason begins with."
    ),
]
All = Annotated[bool, typer.Option("--all", help="All that are listed.")]


@app.command("list")
def list_(
    *,
    tenant: Annotated[str | None, typer.Option(metavar="ID", parser=text)] = None,
    recording: Annotated[str | None, typer.Option(metavar="ID", parser=text)] = None,
    type_: Annotated[str | None, typer.Option("--type", metavar="TYPE", parser=text)] = None,
    reason: Reason = None,
    since: Annotated[
        instants.Instant | None,
        typer.Option(metavar="ISO8601", parser=instant, help="Last failed then or later."),
    ] = None,
    until: Annotated[
        instants.Instant | None,
        typer.Option(
            metavar="ISO8601",
            parser=instant,
            help="Last failed before; a date without a time covers that day.",
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, metavar="N")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List types, ids and reasons, the newest first; never what was said."""
    query = dead_letters.waiting(
        tenant=tenant,
        recording=recording,
        type_=type_,
        reason=reason,
        since=since.ceil_ms if since else None,
        until=_end(until) if until else None,
    )
    with _opened() as box:
        total, _ = dead_letters.counted(box.client, box.names, query)
        if not as_json and total:
            typer.echo(_HEADER)
        for letter in islice(dead_letters.find(box.client, box.names, query), limit):
            typer.echo(_as_json(letter) if as_json else _as_line(letter))
    if total > limit:
        _complain(f"{limit} of {total} dead letters are shown: --limit shows more")
    elif not as_json and not total:
        typer.echo("no dead letters")


@app.command()
def show(letter_id: Annotated[str, typer.Argument(metavar="ID", parser=text)]) -> None:
    """Show everything that is kept of one event, also what was said."""
    with _opened() as box:
        box.existing([letter_id])
        for letter in dead_letters.read(box.client, box.names, [letter_id], with_event=True):
            for line in _in_full(letter).split("\n"):
                typer.echo(_printable(line))


@app.command()
def replay(
    ids: Ids = None,
    reason: Reason = None,
    all_: All = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many.")] = False,
) -> None:
    """Send events to the queue again. One that fails again is listed again."""
    with _opened() as box:
        query = _selected(box, ids, reason, all_)
        count, query = dead_letters.counted(box.client, box.names, query)
        if dry_run:
            typer.echo(f"{_events(count)} would be replayed")
            return
        found = dead_letters.find(box.client, box.names, query)
        broker = celery_app.make_app(load(RedisSettings))
        report = publish_again(box.client, box.names, broker, found)
    typer.echo(f"{_events(report.replayed)} replayed")
    for letter_id, why in report.refused:
        _complain(f"{letter_id}: {why}")
    if report.refused:
        raise typer.Exit(1)


@app.command()
def discard(
    ids: Ids = None,
    reason: Reason = None,
    all_: All = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Throw events away for good."""
    with _opened() as box:
        query = _selected(box, ids, reason, all_)
        count, query = dead_letters.counted(box.client, box.names, query)
        if count and not yes:
            typer.confirm(f"Throw {_events(count)} away for good?", abort=True)
        done = dead_letters.discard(box.client, box.names, query)
    typer.echo(f"{_events(done)} discarded")


@contextmanager
def _opened() -> Iterator[_Box]:
    names = IndexNames(load(IndexSettings).prefix)
    with connect(load(ElasticsearchSettings)) as client:
        yield _Box(client, names)


def _selected(box: _Box, ids: list[str] | None, reason: str | None, all_: bool) -> Query:
    """What one of the three ways of saying it selects."""
    if [bool(ids), reason is not None, all_].count(True) != 1:
        raise typer.BadParameter("say which: IDs, or --reason TEXT, or --all; one of the three")
    if ids:
        return dead_letters.with_ids([letter.id for letter in box.existing(ids)])
    return dead_letters.waiting(reason=reason)


def _end(until: instants.Instant) -> int:
    return until.ceil_ms + (instants.DAY if until.whole_day else 0)


_HEADER: Final = (
    f"{'ID':<32}  {'LAST':<24}  {'FIRST':<24}  {'ATTEMPTS':>8}  {'TYPE':<17}  WHOSE  REASON"
)


def _as_line(letter: Letter) -> str:
    fields = dict.fromkeys(_LISTED) | dict(letter.source)
    names = (("tenant", "tenantId"), ("recording", "recordingId"), ("note", "noteId"))
    ids = " ".join(
        f"{name}={fields[field]}"
        for name, field in (*names, ("group", "groupId"))
        if fields[field] is not None
    )
    return _printable(
        f"{letter.id:<32}  {fields['lastAt']:<24}  {fields['firstAt']:<24}"
        f"  {fields['attempts']:>8}  {fields['type'] or '-':<17}  {ids or '-'}  {fields['reason']}"
    )


def _as_json(letter: Letter) -> str:
    fields: dict[str, Any] = {name: letter.source.get(name) for name in _LISTED}
    return _printable(json.dumps({"id": letter.id, **fields}, ensure_ascii=False))


def _in_full(letter: Letter) -> str:
    fields = {"id": letter.id, **letter.source}
    try:
        event = {"event": json.loads(fields["event"])} if "event" in fields else {}
        return json.dumps(fields | event, ensure_ascii=False, indent=2)
    except RecursionError:  # nested too deeply for that: as text
        return json.dumps(fields, ensure_ascii=False, indent=2)


def _printable(line: str) -> str:
    """An id may be any text: nothing of it may move the cursor or break the line."""
    if line.isprintable():
        return line
    return "".join(one if one.isprintable() else json.dumps(one)[1:-1] for one in line)


def _events(count: int) -> str:
    return "1 event" if count == 1 else f"{count} events"


def _complain(message: str) -> None:
    typer.echo(_printable(message), err=True)
