"""The least that aiohttp can do: `GET /N` sends request N of a file on, and its answer back.

`python -m tests.bench.forwarder PORT FILE`. No token, no parameter, no check: what stands between
this and the service is what the service does.
"""

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import uvloop
from aiohttp import web

Forward = Callable[[web.Request], Awaitable[web.Response]]


def _app(url: str, requests: list[dict[str, Any]]) -> web.Application:
    async def forward(request: web.Request) -> web.Response:
        one = requests[int(request.match_info["number"])]
        async with request.app[_SESSION].post(
            url + one["target"], data=one["body"], headers=one["headers"]
        ) as answer:
            return web.Response(body=await answer.read(), content_type="application/json")

    app = web.Application()
    app.cleanup_ctx.append(_session)
    app.add_routes([web.get("/{number}", forward)])
    return app


_SESSION = web.AppKey("session", aiohttp.ClientSession)


async def _session(app: web.Application) -> AsyncIterator[None]:
    async with aiohttp.ClientSession() as app[_SESSION]:
        yield


if __name__ == "__main__":
    port, file = sys.argv[1:]
    given = orjson.loads(Path(file).read_bytes())
    web.run_app(
        _app(given["url"], given["requests"]),
        host="127.0.0.1",
        port=int(port),
        loop=uvloop.new_event_loop(),
        access_log=None,
        print=None,
    )
