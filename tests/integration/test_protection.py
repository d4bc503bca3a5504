"""What keeps one caller from harming the others, on a search that is really slow."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from elasticsearch import Elasticsearch
from yarl import URL

from api import handlers
from api.protection import Gate
from indexer.sink import Sink
from services.acl import Principal, Role
from services.errors import BackendError
from services.indices import IndexNames
from tests.endpoint import Answer, Endpoint, serve, token

ADA = str(uuid.UUID(int=1))
BOSS = Principal("acme", ADA, Role.ADMINISTRATOR)
COUNT = 6_000
# About a millisecond for each recording: no query of the API could be that slow.
LOOP = "long sum = 0; for (int i = 0; i < 900000; ++i) { sum += i % 7 } return sum > 0;"
SLOW = {"script": {"script": {"source": LOOP}}}


@pytest.fixture(scope="module", autouse=True)
def _corpus(sink: Sink, elasticsearch: Elasticsearch, names: IndexNames) -> None:
    for start in range(0, COUNT, 500):
        assert sink.apply(
            [
                {
                    "type": "recording.saved",
                    "tenantId": "acme",
                    "recordingId": f"r-{n}",
                    "version": 1,
                    "occurredAt": "2026-01-01T00:00:00Z",
                    "recording": {"ownerId": ADA},
                }
                for n in range(start, start + 500)
            ]
        )
    elasticsearch.indices.forcemerge(index=names.recordings, max_num_segments=1)


@pytest.fixture
async def endpoint(elasticsearch_url: str, names: IndexNames) -> AsyncIterator[Endpoint]:
    async with serve(elasticsearch_url, names, max_searches="2") as served:
        yield served


@pytest.fixture
def _slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handlers, "compile_filters", lambda _: [SLOW])


@pytest.fixture
def searches(elasticsearch: Elasticsearch, names: IndexNames) -> Callable[[], list[dict[str, Any]]]:
    """The searches of this index that Elasticsearch works on."""

    def running() -> list[dict[str, Any]]:
        nodes = elasticsearch.tasks.list(actions="indices:data/read/search", detailed=True)["nodes"]
        tasks = [task for node in nodes.values() for task in node["tasks"].values()]
        return [task for task in tasks if names.recordings in task["description"]]

    return running


async def until(check: Callable[[], Any], seconds: float = 30.0) -> Any:
    async with asyncio.timeout(seconds):
        while not (result := await asyncio.to_thread(check)):  # noqa: ASYNC110 (of another process)
            await asyncio.sleep(0.02)
    return result


@pytest.mark.usefixtures("_slow")
async def test_a_client_that_goes_away_takes_its_search_along(
    endpoint: Endpoint, searches: Callable[[], list[dict[str, Any]]]
) -> None:
    asking = asyncio.create_task(endpoint.get(BOSS))
    await until(searches)
    asking.cancel()
    await until(lambda: any(task["cancelled"] for task in searches()))
    await until(lambda: not searches())
    # Its place is free again.
    assert (await endpoint.get(BOSS, "/v1/recordings/r-1")).status == 200


@pytest.mark.usefixtures("_slow")
async def test_more_searches_than_places(
    endpoint: Endpoint, searches: Callable[[], list[dict[str, Any]]]
) -> None:
    asking = [asyncio.create_task(endpoint.get(BOSS)) for _ in range(2)]
    await until(lambda: len(searches()) == 2)
    refused = await endpoint.get(BOSS, "/v1/recordings/r-1")
    assert unavailable(refused)
    for task in asking:
        task.cancel()
    await until(lambda: not searches())


@pytest.mark.usefixtures("_slow")
async def test_a_search_that_takes_too_long(
    elasticsearch_url: str, names: IndexNames, searches: Callable[[], list[dict[str, Any]]]
) -> None:
    async with serve(elasticsearch_url, names, search_timeout="0.3") as endpoint:
        asking = asyncio.create_task(endpoint.get(BOSS))
        # Elasticsearch is told the time, and does not learn it from a closed connection alone.
        (task,) = await until(searches)
        assert '"timeout":"300ms"' in task["description"]
        assert unavailable(await asking)
    await until(lambda: not searches())


def unavailable(answer: Answer) -> bool:
    assert (answer.status, answer.body["code"]) == (503, "unavailable"), answer
    return int(answer.headers["Retry-After"]) > 0


async def test_the_gate_lets_in_so_many_and_frees_every_place() -> None:
    gate = Gate(2, patience=0.01)
    async with gate, gate:
        with pytest.raises(BackendError, match="too many"):
            async with gate:
                pytest.fail("a third came in")
    with pytest.raises(ZeroDivisionError):
        async with gate:
            raise ZeroDivisionError
    async with gate, gate:
        pass


async def test_who_waits_gets_the_next_place() -> None:
    gate, order = Gate(1, patience=10), list[int]()

    async def enter(number: int) -> None:
        async with gate:
            order.append(number)
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        for number in range(5):
            group.create_task(enter(number))
    assert order == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "data",
    [pytest.param(b"{}", id="a length"), pytest.param(iter([b"{}"]), id="chunks")],
)
async def test_a_body_is_refused(endpoint: Endpoint, data: Any) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"{}"

    sent = data if isinstance(data, bytes) else chunks()
    headers = {"Authorization": f"Bearer {token(BOSS)}"}
    url = f"{endpoint.base}/v1/recordings?quantity=1&from=0"
    async with endpoint.session.get(url, data=sent, headers=headers) as answer:
        body = await answer.json(content_type=None)
    assert (answer.status, body["code"]) == (400, "unexpected_body")


async def test_a_huge_body_is_not_waited_for(endpoint: Endpoint) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(endpoint.base[-5:].strip(":")))
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n")
    began = time.monotonic()
    line = await asyncio.wait_for(reader.readline(), 5)
    assert b" 400 " in line
    assert time.monotonic() - began < 5
    writer.close()


async def test_the_longest_request_line(endpoint: Endpoint) -> None:
    """A thousand users with everything percent-encoded, and nearly 64 KiB in all."""
    zeros = "%30" * 9
    others = "%2C".join(f"{n:08x}%2D0000%2D4000%2D8000%2D000{zeros}" for n in range(999))
    asked = f"/v1/recordings?quantity=1&from=0&users=include%3A{others}%2C{ADA}"
    assert 65_000 < len(f"GET {asked} HTTP/1.1") <= 65_536
    async with endpoint.session.get(
        URL(endpoint.base + asked, encoded=True),
        headers={"Authorization": f"Bearer {token(BOSS)}"},
    ) as answer:
        assert (answer.status, (await answer.json())["total"]) == (200, COUNT)


async def test_a_supervisor_of_as_many_groups_as_a_token_may_name(endpoint: Endpoint) -> None:
    groups = tuple(str(uuid.UUID(int=n)) for n in range(200))
    answer = await endpoint.get(Principal("acme", ADA, Role.SUPERVISOR, groups))
    assert (answer.status, answer.body["total"]) == (200, COUNT)
