"""The sources of the product's: what is read of a file and of pages, and what is refused."""

import contextlib
import gzip
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from indexer.reducer import RecordingState
from indexer.sources import Page, SourceError
from indexer.sources.file import LINES, EventFile
from indexer.sources.http import HttpPages

OWNER = "1efc024d-0000-4000-8000-00000000000a"


def saved(recording: str, version: int = 1) -> dict[str, Any]:
    return {
        "type": "recording.saved",
        "tenantId": "acme",
        "recordingId": recording,
        "version": version,
        "occurredAt": "2026-04-25T10:30:00Z",
        "recording": {"ownerId": OWNER},
    }


def ids(pages: Mapping[str, Iterator[Page]]) -> list[str]:
    states = [found.state for part in pages.values() for page in part for found in page.read()]
    return [state.recording_id for state in states if isinstance(state, RecordingState)]


@pytest.fixture(params=["plain", "gz"])
def write(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[bytes], Path]:
    def make(text: bytes) -> Path:
        file = tmp_path / ("events.ndjson.gz" if request.param == "gz" else "events.ndjson")
        file.write_bytes(gzip.compress(text) if request.param == "gz" else text)
        return file

    return make


@pytest.fixture
def serve() -> Iterator[Callable[..., HttpPages]]:
    """A source whose pages a function makes: of `after` (None at first) the status and the body."""
    with contextlib.ExitStack() as servers:

        def make(answer: Callable[[str | None], tuple[int, str]]) -> HttpPages:
            class Handler(BaseHTTPRequestHandler):
                def do_GET(self) -> None:
                    query = parse_qs(urlsplit(self.path).query)
                    status, body = answer(query.get("after", [None])[0])
                    self.send_response_only(status)
                    self.end_headers()
                    self.wfile.write(body.encode())

                def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                    """Not on the console."""

            server = servers.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            servers.callback(server.shutdown)
            return HttpPages(f"http://127.0.0.1:{server.server_address[1]}/events", limit=10)

        yield make


def lines(count: int) -> bytes:
    return b"".join(json.dumps(saved(f"r-{n}")).encode() + b"\n" for n in range(count))


def test_a_file_is_read_from_any_of_its_positions(write: Callable[[bytes], Path]) -> None:
    count = 2 * LINES + 7
    source = EventFile(write(b"\n" + lines(count)))
    pages = list(source.parts(source.beginning())["lines"])
    assert ids({"lines": iter(pages)}) == [f"r-{n}" for n in range(count)]
    assert sum(page.amount for page in pages) == source.total
    for number, page in enumerate(pages, start=1):
        left = ids(source.parts({"lines": page.position}))
        assert left == [f"r-{n}" for n in range(number * LINES, count)]


def test_of_one_page_a_recording_is_one_state(write: Callable[[bytes], Path]) -> None:
    events = [saved("a", 1), saved("b"), saved("a", 3), saved("a", 2)]
    source = EventFile(write("\n".join(map(json.dumps, events)).encode()))
    (page,) = source.parts(source.beginning())["lines"]
    versions = [
        (found.state.recording_id, found.state.recording.version)
        for found in page.read()
        if isinstance(found.state, RecordingState) and found.state.recording
    ]
    assert versions == [("a", 3), ("b", 1)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(lines(3)[:-20], "line 3: not JSON", id="cut off in a line"),
        pytest.param(b'{"type": "recording.saved"}', "line 1: not a valid event", id="no event"),
    ],
)
def test_what_is_wrong_in_a_file_is_said_with_its_line(
    write: Callable[[bytes], Path], text: bytes, said: str
) -> None:
    source = EventFile(write(text))
    with pytest.raises(SourceError, match=said):
        ids(source.parts(source.beginning()))


def test_a_compressed_file_that_is_cut_off(tmp_path: Path) -> None:
    file = tmp_path / "events.ndjson.gz"
    file.write_bytes(gzip.compress(lines(100))[:-30])
    source = EventFile(file)
    with pytest.raises(SourceError, match="cut off"):
        ids(source.parts(source.beginning()))


@pytest.mark.parametrize(
    "page",
    ["[]", '{"events": []}', '{"events": {}, "next": null}', '{"events": [], "next": 5}', "<html>"],
)
def test_what_is_no_page_is_refused(serve: Callable[..., HttpPages], page: str) -> None:
    source = serve(lambda _: (200, page))
    with pytest.raises(SourceError, match="the first page is not"):
        ids(source.parts(source.beginning()))


def test_a_page_that_comes_next_itself_is_refused(serve: Callable[..., HttpPages]) -> None:
    source = serve(lambda _: (200, '{"events": [], "next": "x"}'))
    with pytest.raises(SourceError, match="comes next itself"):
        ids(source.parts(source.beginning()))


def test_an_error_for_the_moment_is_tried_again(serve: Callable[..., HttpPages]) -> None:
    answers = iter([(503, ""), (429, ""), (500, "")])
    good = json.dumps({"events": [saved("a")], "next": None})
    source = serve(lambda _: next(answers, (200, good)))
    assert ids(source.parts(source.beginning())) == ["a"]


def test_an_error_for_good_is_said_with_its_page(serve: Callable[..., HttpPages]) -> None:
    first = json.dumps({"events": [saved("a")], "next": "second"})
    source = serve(lambda after: (200, first) if after is None else (403, ""))
    with pytest.raises(SourceError, match=r"page after .second. .* answered 403"):
        ids(source.parts(source.beginning()))
