"""What the API measures: rate, errors and duration of the requests, by route."""

import time
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import CONTENT_TYPE_LATEST, Histogram, generate_latest

REQUESTS: Final = Histogram(
    "recordings_api_request_seconds",
    "Time to answer a request, in seconds",
    ["route", "status"],
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
)


@web.middleware
async def measure(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Time the request under its route's pattern: never under the path, which has ids."""
    began = time.perf_counter()
    response = await handler(request)
    REQUESTS.labels(route_of(request), str(response.status)).observe(time.perf_counter() - began)
    return response


def route_of(request: web.Request) -> str:
    """The pattern of the request's path, which has no ids; "unknown" where there is none."""
    resource = request.match_info.route.resource
    return resource.canonical if resource else "unknown"


async def show(_: web.Request) -> web.Response:
    """`/metrics`."""
    return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})
