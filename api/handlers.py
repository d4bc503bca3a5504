"""The endpoint: authenticate, validate, compile, one search, present."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import orjson
from aiohttp import web

from api import query_string
from api.audit import RECORDING, ROLE, SHOWN, Shown
from api.auth import Authenticator
from api.cursors import Cursors, SortValues, walk_of
from api.facets import aggregations
from api.filters import compile_filters, compile_words, refuse_wide_prefixes
from api.highlights import highlight_request, text_fields
from api.orders import order_of
from api.parameters import ListParameters
from api.presenter import present, present_page
from api.search import RecordingSearch
from api.values import Limits
from api.wire import Page, Search
from services.acl import Principal, may_ask_for
from services.errors import CallerError
from services.es_client import TooManyClausesError
from services.pseudonyms import Pseudonyms
from services.settings import PhoneSettings


@dataclass(frozen=True, slots=True)
class Handlers:
    """The handlers and what they need."""

    authenticator: Authenticator
    search: RecordingSearch
    phones: PhoneSettings
    cursors: Cursors
    max_quantity: int
    pseudonyms: Pseudonyms

    async def list_recordings(self, request: web.Request) -> web.Response:
        """`GET /v1/recordings`."""
        principal = await self._principal(request)
        limits = Limits(self.max_quantity, self.phones.region_of(principal.tenant_id))
        asked = query_string.read(_query_string(request), limits)
        await self._refuse_others(principal, asked)
        after = self._after(principal, asked)
        try:
            page = await self.search.page(principal, _search_for(asked, after))
        except TooManyClausesError:
            refuse_wide_prefixes(asked)
            raise
        request[SHOWN] = Shown(page.total, min(len(page.hits), asked.quantity))
        next_cursor = self._next_cursor(principal, asked, page)
        if asked.highlight:
            # A thousand long calls are half a second's work: others are answered meanwhile.
            return _json(await asyncio.to_thread(present_page, page, asked, next_cursor))
        return _json(present_page(page, asked, next_cursor))

    async def one_recording(self, request: web.Request) -> web.Response:
        """`GET /v1/recordings/{id}`: the same answer for what is not there and what is hidden."""
        principal = await self._principal(request)
        query_string.refuse_all(_query_string(request))
        recording_id = _id_in_path(request)
        request[RECORDING] = self.pseudonyms.word_for(recording_id)
        source = await self.search.one(principal, recording_id)
        request[SHOWN] = Shown(int(source is not None), int(source is not None))
        if source is None:
            raise _no_such_recording()
        return _json(present(source))

    async def alive(self, _: web.Request) -> web.Response:
        """`/healthz`: the process answers."""
        return _json({"status": "ok"})

    async def ready(self, _: web.Request) -> web.Response:
        """`/readyz`: the index can be searched."""
        await self.search.check()
        return _json({"status": "ready"})

    async def _principal(self, request: web.Request) -> Principal:
        """Who asks; lines of the log name the tenant from then on."""
        principal = await self.authenticator.principal(request.headers.get("Authorization"))
        self.pseudonyms.bind(tenant=principal.tenant_id)
        request[ROLE] = principal.role
        return principal

    async def _refuse_others(self, principal: Principal, asked: ListParameters) -> None:
        """403 for asking by name for somebody outside the caller's sight."""
        if asked.users is None or not asked.users.include:
            return
        supervised = await self.search.supervised_by(principal)
        if not all(may_ask_for(principal, user, supervised) for user in asked.users.ids):
            detail = "users names somebody whom you may not see"
            raise CallerError("forbidden", detail, parameter="users")

    def _after(self, principal: Principal, asked: ListParameters) -> SortValues | None:
        """Where a walk goes on. Raises CallerError."""
        if asked.cursor is None:
            return None
        return self.cursors.read(asked.cursor, walk_of(principal, asked))

    def _next_cursor(self, principal: Principal, asked: ListParameters, page: Page) -> str | None:
        """Where to go on; None on the last page, which is known by the one hit more."""
        if asked.cursor is None or len(page.hits) <= asked.quantity:
            return None
        last = page.hits[asked.quantity - 1]
        return self.cursors.write(last.sort, walk_of(principal, asked))


def _search_for(asked: ListParameters, after: SortValues | None) -> Search:
    highlight = highlight_request(asked) if asked.highlight else {}
    return Search(
        # One more than a page of a walk shows tells whether there is a next one.
        size=asked.quantity + (asked.cursor is not None),
        start=asked.from_,
        filters=compile_filters(asked),
        words=compile_words(asked),
        order=order_of(asked),
        after=after,
        aggregations=aggregations(asked.facets or ()),
        highlight=highlight,
        extra_fields=text_fields(highlight),
    )


def _id_in_path(request: web.Request) -> str:
    """The id as it was sent: the framework's own reading leaves bytes that are not UTF-8."""
    try:
        return unquote(request.rel_url.raw_path.rpartition("/")[2], errors="strict")
    except UnicodeDecodeError:
        raise _no_such_recording() from None


def _no_such_recording() -> CallerError:
    return CallerError("not_found", "there is no such recording in your sight")


def _query_string(request: web.Request) -> str:
    """As it was sent: the framework's own reading passes over bytes that are not UTF-8."""
    return request.raw_path.partition("?")[2]


def _json(body: Mapping[str, Any]) -> web.Response:
    return web.Response(body=orjson.dumps(body), content_type="application/json")
