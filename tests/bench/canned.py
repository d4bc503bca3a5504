"""A server that does nothing: one answer to every request, at once.

`python -m tests.bench.canned PORT FILE`, the file being the answer's body. The load is set on it to
see how fast the load itself can be.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

import uvloop

from tests.bench.wire import HEAD_END


class _Canned(asyncio.Protocol):
    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if data.endswith(HEAD_END):
            self._transport.write(self._answer)


async def _serve(port: int, body: bytes) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Canned(answer), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]), Path(sys.argv[2]).read_bytes()))
