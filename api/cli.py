"""`recordings-api`: the commands that serve and that print the OpenAPI document."""

import json
import sys
from typing import Final

import structlog
import typer
import uvloop
from aiohttp import web

from api import openapi
from api.app import create_app
from api.keys import FETCH_TIMEOUT_SECONDS
from api.protection import PATIENCE_SECONDS, SERVER_OPTIONS
from services.errors import BackendError, SettingsError
from services.es_client import connect
from services.indices import IndexNames
from services.observability import configure_logging
from services.schema_version import SchemaVersionError, refuse_another_version
from services.settings import ApiSettings, ElasticsearchSettings, IndexSettings, load

GRACE_SECONDS: Final = 2.0
# Elasticsearch is asked once which version its index has.
VERSION_SECONDS: Final = 5.0

log = structlog.get_logger("api")

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def _commands() -> None:
    """Search over call recordings and their notes."""


@app.command()
def serve() -> None:
    """Answer requests until stopped (SIGTERM or Ctrl-C)."""
    configure_logging()
    api = load(ApiSettings)
    application = create_app(api)
    with connect(load(ElasticsearchSettings), VERSION_SECONDS) as client:
        refuse_another_version(client, IndexNames(load(IndexSettings).prefix))
    web.run_app(
        application,
        host=api.host,
        port=api.port,
        loop=uvloop.new_event_loop(),
        access_log=None,
        print=lambda _: log.info("listening", host=api.host, port=api.port),
        shutdown_timeout=longest_request(api) + GRACE_SECONDS,
        **SERVER_OPTIONS,
    )


def longest_request(api: ApiSettings) -> float:
    """How long (seconds) an answer can take: so long a stop waits for those that were begun.

    The keys, a place for the groups and they themselves, a place at the deep gate and at the other,
    and the search.
    """
    groups = PATIENCE_SECONDS + api.search_timeout
    search = 2 * PATIENCE_SECONDS + api.search_timeout + 1
    return FETCH_TIMEOUT_SECONDS + groups + search


@app.command("openapi")
def print_openapi() -> None:
    """Print the OpenAPI document, as /openapi.json has it."""
    document = openapi.document(load(ApiSettings))
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))


def main() -> None:
    """The console script: a wrong setting, key or authority and a port in use are one sentence."""
    try:
        app()
    except (SettingsError, SchemaVersionError) as error:
        typer.echo(str(error), err=True)
        sys.exit(2)
    except BackendError as error:
        typer.echo(str(error), err=True)
        sys.exit(1)
    except OSError as error:
        typer.echo(f"cannot listen: {error.strerror}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
