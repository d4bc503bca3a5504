"""The commands of `python -m deploy.local`: Elasticsearch and Redis on this machine.

What is meant for programs (`env`, `token`) goes to standard output, everything else to the other.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final

import truststore
import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Column, Table

from deploy.local import demo, interrupts, keys
from deploy.local.errors import StackError
from deploy.local.stack import Stack, default_home, environment

GUID: Final = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
INTERRUPTED: Final = 130

app = typer.Typer(
    help="Elasticsearch and Redis on this machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class Role(StrEnum):
    """The roles that the service knows."""

    ADMINISTRATOR = "administrator"
    CONTROLLER = "controller"
    SUPERVISOR = "supervisor"
    USER = "user"


@app.callback()
def prepare() -> None:
    # A server's own account has to reach what is made here.
    os.umask(0o022)
    # The certificates that this machine trusts, a company's own for example, hold for downloads.
    truststore.inject_into_ssl()


@app.command()
def up() -> None:
    """Start what does not run; return when both answer."""
    with reporting():
        Stack(default_home()).up()


@app.command()
def down() -> None:
    """Stop what was started here; data and keys stay."""
    with reporting():
        Stack(default_home()).down()


@app.command("demo")
def run_demo() -> None:
    """Publish invented recordings, run worker and API, show requests; leave it running."""
    with reporting():
        demo.start(default_home(), Console(soft_wrap=True))


@app.command("demo-down")
def end_demo() -> None:
    """Stop everything that the demo started."""
    with reporting():
        demo.stop_programs(default_home(), Console(stderr=True))
        Stack(default_home()).down()


@app.command()
def status() -> None:
    """Show what runs; exit status 0 when both do."""
    with reporting():
        servers = Stack(default_home()).status()
    table = Table("server", "kind", Column("address", no_wrap=True), "pid", "since", box=SIMPLE)
    for name, running in servers.items():
        if running:
            pid = str(running.pid) if running.pid else ""
            table.add_row(name, running.kind, running.url, pid, _local(running.since))
        else:
            table.add_row(name, "not running")
    Console().print(table)
    if not all(servers.values()):
        raise typer.Exit(1)


@app.command()
def env() -> None:
    """Print the settings of programs that use the stack, for a shell to evaluate."""
    with reporting():
        for name, value in environment(default_home()).items():
            typer.echo(f"export {name}={quoted(value)}")


@app.command()
def token(
    tenant: Annotated[str, typer.Option(help="The tenant's id.")],
    user: Annotated[str, typer.Option(help="The user's GUID.")],
    role: Annotated[Role, typer.Option(help="What the user is.")],
    group: Annotated[
        list[str] | None, typer.Option(help="A group that the user supervises; repeatable.")
    ] = None,
) -> None:
    """Print a token that the local stack accepts, good for seven days."""
    if not GUID.fullmatch(user):
        raise typer.BadParameter("it is not a GUID", param_hint="--user")
    if not tenant:
        raise typer.BadParameter("it is empty", param_hint="--tenant")
    with reporting():
        typer.echo(
            keys.token(default_home(), tenant=tenant, user=user, role=role, groups=group or ())
        )


@app.command("public-key")
def public_key() -> None:
    """Print what such tokens are verified with (PEM), and nothing else."""
    with reporting():
        typer.echo(keys.public_key(default_home()))


@contextmanager
def reporting() -> Iterator[None]:
    """Turn what ends a command early into one line and an exit status."""
    try:
        with interrupts.noted():
            yield
    except StackError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        typer.echo("Interrupted.", err=True)
        raise typer.Exit(INTERRUPTED) from None


def quoted(value: str) -> str:
    """A value as one word of a POSIX shell."""
    return "'" + value.replace("'", "'\\''") + "'"


def _local(moment: datetime | None) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S}" if moment else ""
