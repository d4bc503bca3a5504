"""What a line says of an error: its kind and its place, never its text, which may hold anything."""

import json
import subprocess
import sys
from typing import Final

PROGRAM: Final = """
import asyncio, logging, aiohttp
from aiohttp import web
from api.problems import answer_every_request
from services.observability import configure_logging

async def fail(request):
    logging.getLogger("library").warning("what came: %s", request.query["words"])
    try:
        raise KeyError("zebrafish")
    except KeyError:
        logging.getLogger("library").exception("it failed")
    raise ValueError("zebrafish in the text")

async def main():
    configure_logging()
    app = web.Application(middlewares=[answer_every_request])
    app.router.add_get("/", fail)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/?words=zebrafish"
    async with aiohttp.ClientSession(headers={"X-Request-ID": "night-1"}) as session:
        async with session.get(url) as answer:
            print(answer.status, await answer.text())
    await runner.cleanup()

asyncio.run(main())
"""


def test_no_line_has_the_text_of_an_error_or_the_values_of_a_library() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, check=True, text=True
    )
    assert done.stdout.startswith("500 ")
    assert "zebrafish" not in done.stdout + done.stderr
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [one["event"] for one in lines] == ["what came: %s", "it failed", "request_failed"]
    assert [one.get("exception") for one in lines] == [None, "KeyError", None]
    assert (lines[2]["kind"], lines[2]["place"].partition(":")[0]) == ("ValueError", "<string>")
    assert {one["request_id"] for one in lines} == {"night-1"}
