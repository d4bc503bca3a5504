"""The endpoint: authenticate, validate, compile, one search, present."""

from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from api import parameters
from api.auth import Authenticator
from api.filters import compile_filters
from api.parameters import ListParameters
from api.presenter import present, present_page
from api.search import RecordingSearch
from api.values import Limits
from services.acl import Principal, may_ask_for
from services.errors import CallerError
from services.settings import PhoneSettings


@dataclass(frozen=True, slots=True)
class Handlers:
    """The handlers and what they need."""

    authenticator: Authenticator
    search: RecordingSearch
    phones: PhoneSettings
    max_quantity: int

    async def list_recordings(self, request: web.Request) -> web.Response:
        """`GET /v1/recordings`."""
        principal = await self._principal(request)
        limits = Limits(self.max_quantity, self.phones.region_of(principal.tenant_id))
        asked = parameters.read(_query_string(request), limits)
        await self._refuse_others(principal, asked)
        page = await self.search.page(
            principal, compile_filters(asked), start=asked.from_, size=asked.quantity
        )
        return _json(present_page(page))

    async def one_recording(self, request: web.Request) -> web.Response:
        """`GET /v1/recordings/{id}`: the same answer for what is not there and what is hidden."""
        principal = await self._principal(request)
        source = await self.search.one(principal, request.match_info["id"])
        if source is None:
            raise CallerError("not_found", "there is no such recording in your sight")
        return _json(present(source))

    async def alive(self, _: web.Request) -> web.Response:
        """`/healthz`: the process answers."""
        return _json({"status": "ok"})

    async def ready(self, _: web.Request) -> web.Response:
        """`/readyz`: the index can be searched."""
        await self.search.check()
        return _json({"status": "ready"})

    async def _principal(self, request: web.Request) -> Principal:
        return await self.authenticator.principal(request.headers.get("Authorization"))

    async def _refuse_others(self, principal: Principal, asked: ListParameters) -> None:
        """403 for asking by name for somebody outside the caller's sight."""
        if asked.users is None or not asked.users.include:
            return
        supervised = await self.search.supervised_by(principal)
        if not all(may_ask_for(principal, user, supervised) for user in asked.users.ids):
            detail = "users names somebody whom you may not see"
            raise CallerError("forbidden", detail, parameter="users")


def _query_string(request: web.Request) -> str:
    """As it was sent: the framework's own reading passes over bytes that are not UTF-8."""
    return request.raw_path.partition("?")[2]


def _json(body: dict[str, Any]) -> web.Response:
    return web.Response(body=orjson.dumps(body), content_type="application/json")
