"""`/openapi.json` and `/docs`: the document, and a page of it that can call the endpoint.

The page is one file and loads nothing but the document, so it works without a network. Its content
policy allows its own script and style, by their digests, and requests to this service: what stands
in a recording could do nothing even if it were taken for markup.
"""

import re
from base64 import b64encode
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final, Self

import orjson
from aiohttp import web

from api import openapi
from services.settings import ApiSettings

_PAGE: Final = Path(__file__).with_name("docs.html")


@dataclass(frozen=True, slots=True)
class Docs:
    """Both as they are sent."""

    document: bytes
    page: bytes

    @classmethod
    def of(cls, api: ApiSettings) -> Self:
        """Those of the service with these settings."""
        return cls(orjson.dumps(openapi.document(api)), _PAGE.read_bytes())

    async def show_document(self, _: web.Request) -> web.Response:
        """`/openapi.json`."""
        return web.Response(body=self.document, content_type="application/json")

    async def show_page(self, _: web.Request) -> web.Response:
        """`/docs`."""
        headers = {"Content-Security-Policy": _policy(self.page.decode())}
        return web.Response(
            body=self.page, content_type="text/html", charset="utf-8", headers=headers
        )


def _policy(page: str) -> str:
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src {_digest(page, 'script')}",
            f"style-src {_digest(page, 'style')}",
            "img-src data:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    )


def _digest(page: str, element: str) -> str:
    (content,) = re.findall(f"<{element}>(.*?)</{element}>", page, re.DOTALL)
    return f"'sha256-{b64encode(sha256(content.encode()).digest()).decode()}'"
