"""The API's map: what is wired to what, the middlewares and the routes."""

import secrets
from collections.abc import AsyncIterator

import structlog
from aiohttp import web
from aiohttp.typedefs import Middleware
from aiohttp.web_protocol import RequestHandler

from api import metrics
from api.access_log import log_access
from api.audit import audit
from api.auth import Authenticator
from api.backend import Backend
from api.cors import Cors
from api.cursors import Cursors
from api.docs import Docs
from api.handlers import Handlers
from api.keys import keys_from
from api.problems import answer_every_request, answer_what_is_no_request
from api.protection import Gate, refuse_bodies
from api.search import RecordingSearch
from api.tracing import trace_requests
from services import traces
from services.indices import IndexNames
from services.pseudonyms import Pseudonyms
from services.settings import (
    ApiSettings,
    AuthSettings,
    ElasticsearchSettings,
    IndexSettings,
    LogSettings,
    PhoneSettings,
    TracesSettings,
    load,
)

log = structlog.get_logger("api")


def create_app(api: ApiSettings) -> web.Application:
    """The application; the other settings are read here too. Raises SettingsError."""
    auth = load(AuthSettings)
    traces.start(load(TracesSettings), "recordings-api")
    backend = Backend.of(load(ElasticsearchSettings))
    names = IndexNames(load(IndexSettings).prefix)
    pseudonyms = Pseudonyms.of(load(LogSettings))
    handlers = Handlers(
        authenticator=Authenticator(keys_from(auth), auth.issuer, auth.audience, pseudonyms),
        search=RecordingSearch(backend, names, api.search_timeout, Gate(api.max_searches)),
        phones=load(PhoneSettings),
        cursors=Cursors(_cursor_key(api), api.cursor_lifetime),
        max_quantity=api.max_quantity,
        pseudonyms=pseudonyms,
    )

    docs = Docs.of(api)

    async def close_connections(_: web.Application) -> AsyncIterator[None]:
        yield
        backend.close()

    # The framework has no other place to say how such errors look.
    RequestHandler.handle_error = answer_what_is_no_request  # type: ignore[assignment,method-assign]
    app = web.Application(middlewares=_middlewares(api))
    app.cleanup_ctx.append(close_connections)
    if api.cors_origins:
        Cors(frozenset(api.cors_origins.split(",")), f"{api.base_path}/v1/recordings").install(app)
    app.add_routes(
        [
            web.get(f"{api.base_path}/v1/recordings", handlers.list_recordings),
            web.get(f"{api.base_path}/v1/recordings/{{id:[^/]+}}", handlers.one_recording),
            web.get("/healthz", handlers.alive),
            web.get("/readyz", handlers.ready),
            web.get("/metrics", metrics.show),
            web.get("/openapi.json", docs.show_document),
            web.get("/docs", docs.show_page),
        ]
    )
    return app


def _middlewares(api: ApiSettings) -> list[Middleware]:
    """The outermost first."""
    return [
        metrics.measure,
        *([trace_requests] if traces.are_on() else []),
        *([log_access] if api.access_log else []),
        *([audit] if api.audit_log else []),
        answer_every_request,
        refuse_bodies,
    ]


def _cursor_key(api: ApiSettings) -> bytes:
    """The key of the settings, else a new one: then cursors are good for this process alone."""
    if api.cursor_key:
        return api.cursor_key.get_secret_value().encode()
    log.warning("cursor_key_is_not_set", setting="RECORDINGS_API_CURSOR_KEY")
    return secrets.token_bytes(32)
