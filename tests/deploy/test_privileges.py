"""The API keys of deploy/elasticsearch/privileges.json are enough for each program, and no more.

Each program's calls are made with its own key on an Elasticsearch with security; then with each of
the key's privileges left out, which must fail; then it tries what is not its business.
"""

import asyncio
import copy
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import pytest
from celery import Celery
from elasticsearch import AuthorizationException, Elasticsearch
from typer.testing import CliRunner

from api.backend import Backend
from api.protection import Gate
from api.search import RecordingSearch
from api.wire import Search
from indexer import admin, dead_letters
from indexer.celery_app import StopFlag, make_app
from indexer.cli import app as commands
from indexer.replay import replay
from indexer.sink import Sink
from services import schema
from services.acl import Principal, Role
from services.errors import BackendError
from services.indices import IndexNames
from services.schema_version import version_of
from services.settings import RedisSettings
from tests.deploy.secured import PRIVILEGES, Secured
from tests.deploy.secured import Role as Rights

USER: Final = "1efc024d-0000-4000-8000-00000000000a"


@dataclass(frozen=True, slots=True)
class Place(Secured):
    """An Elasticsearch with security, and a broker for what is replayed."""

    broker: Celery


@pytest.fixture(scope="module")
def place(secured_elasticsearch: Secured, redis_url: str) -> Place:
    server = secured_elasticsearch
    broker = make_app(RedisSettings(redis_url=redis_url))
    return Place(server.url, server.ca_file, server.administrator, broker)


@pytest.fixture
def names(place: Place) -> Iterator[IndexNames]:
    """Indices as `init` makes them and a worker fills them, made by the administrator."""
    names = IndexNames(f"p{uuid.uuid4().hex[:8]}")
    client = place.administrator
    admin.create_missing(client, names)
    fill(client, names, version=1)
    yield names
    client.indices.delete(index=list(client.indices.get(index=f"{names.prefix}-*")))


def event(kind: str, version: int, **content: Any) -> dict[str, Any]:
    at = "2026-04-25T10:30:00Z"
    return {"type": kind, "tenantId": "acme", "version": version, "occurredAt": at} | content


def saved(recording: str, version: int) -> dict[str, Any]:
    transcript = [{"speaker": "agent", "offset": 0, "text": "hello"}]
    content = {"ownerId": USER, "language": "en", "transcript": transcript}
    return event("recording.saved", version, recordingId=recording, recording=content)


def fill(client: Elasticsearch, names: IndexNames, version: int) -> None:
    """What a worker does: every kind of event, and one that is not valid."""
    sink = Sink(
        client=client,
        names=names,
        region_of=lambda _: "IT",
        stopping=StopFlag(),
        bulk_count=500,
        bulk_bytes=5_000_000,
        max_document_bytes=32_000_000,
        deadline=0.5,
    )
    note = {"authorId": USER, "text": "hello", "createdAt": "2026-04-25T10:30:00Z"}
    done = sink.apply(
        [
            saved("r-1", version),
            event("note.saved", version, recordingId="r-1", noteId="n-1", note=note),
            event("group.saved", version, groupId="g-1", group={"members": [USER]}),
            event("recording.deleted", version, recordingId="r-2"),
            event("group.deleted", version, groupId="g-2"),
        ]
    )
    if done["dead"]:  # an item that is refused ends there
        raise BackendError("not everything could be written", retryable=False)
    wrong = event("recording.saved", version, recordingId="r-4", recording="not one")
    sink.apply([wrong, saved("r-3", version)])


def as_init(place: Place, key: str, names: IndexNames) -> None:
    """From nothing, where an index was lost, and where one is of the release before."""
    fresh = IndexNames(f"{names.prefix}-fresh")
    with place.client(key) as client:
        admin.create_missing(client, fresh)
        place.administrator.indices.delete(index=fresh.first_recordings_index)
        admin.create_missing(client, fresh)
        place.administrator.indices.put_mapping(
            index=fresh.recordings, meta={"schema_version": schema.VERSION - 1}
        )
        admin.create_missing(client, fresh)


def as_worker(place: Place, key: str, names: IndexNames) -> None:
    """The events of the queue, and what an operator does in a worker's pod."""
    with place.client(key) as client:
        version_of(client, names.recordings)
        fill(client, names, version=2)
        waiting = list(dead_letters.find(client, names, dead_letters.waiting()))
        assert waiting
        replay(client, names, place.broker, waiting)
        dead_letters.discard(client, names, dead_letters.with_ids([one.id for one in waiting]))


def as_api(place: Place, key: str, names: IndexNames) -> None:
    with place.client(key) as client:
        version_of(client, names.recordings)
    asyncio.run(_search(place, key, names))


async def _search(place: Place, key: str, names: IndexNames) -> None:
    supervisor = Principal("acme", USER, Role.SUPERVISOR, ("g-1",))
    backend = Backend.of(place.settings(key))
    search = RecordingSearch(backend, names, timeout=10.0, gate=Gate(16))
    await search.check()
    await search.page(supervisor, Search(size=10))
    await search.one(supervisor, "r-1")
    await search.supervised_by(supervisor)
    backend.close()


def as_operator(place: Place, key: str, names: IndexNames) -> None:
    """The commands themselves."""
    environment = {
        "RECORDINGS_ELASTICSEARCH_URL": place.url,
        "RECORDINGS_ELASTICSEARCH_CA_FILE": str(place.ca_file),
        "RECORDINGS_ELASTICSEARCH_API_KEY": key,
        "RECORDINGS_INDEX_PREFIX": names.prefix,
    }
    for command in (
        "purge",
        "purge --recording acme/r-2",
        "reindex start",
        "reindex rollback",
        "reindex abort",
        "reindex start",
        "reindex status",
        "reindex retire",
    ):
        done = CliRunner().invoke(commands, command.split(), env=environment)
        if isinstance(done.exception, BackendError | AuthorizationException):
            raise done.exception
        if "security_exception" in done.output:
            raise BackendError(done.output, retryable=False)
        assert done.exit_code == 0, done.output


FLOWS: Final[dict[str, Callable[[Place, str, IndexNames], None]]] = {
    "init": as_init,
    "worker": as_worker,
    "api": as_api,
    "operator": as_operator,
}


def without_one() -> Iterator[Any]:
    """Each privilege of each key: (program, what is left without it)."""
    for program, role in PRIVILEGES.items():
        for privilege in role["cluster"]:
            rest = role | {"cluster": [one for one in role["cluster"] if one != privilege]}
            yield pytest.param(program, rest, id=f"{program} without {privilege}")
        for number, group in enumerate(role["indices"]):
            for privilege in group["privileges"]:
                rest = copy.deepcopy(role)
                rest["indices"][number]["privileges"].remove(privilege)
                rest["indices"] = [one for one in rest["indices"] if one["privileges"]]
                where = ",".join(group["names"])
                yield pytest.param(program, rest, id=f"{program} without {privilege} of {where}")


def key_of(place: Place, role: Rights, program: str, names: IndexNames) -> str:
    return place.key(role, f"{names.prefix}-fresh" if program == "init" else names.prefix)


@pytest.mark.parametrize("program", FLOWS)
def test_the_key_is_enough(place: Place, names: IndexNames, program: str) -> None:
    FLOWS[program](place, key_of(place, PRIVILEGES[program], program, names), names)


@pytest.mark.parametrize(("program", "rest"), list(without_one()))
def test_each_privilege_is_needed(
    place: Place, names: IndexNames, program: str, rest: Rights
) -> None:
    key = key_of(place, rest, program, names)
    with pytest.raises((BackendError, AuthorizationException)):
        FLOWS[program](place, key, names)


Attempt = Callable[[Elasticsearch, IndexNames], object]
ATTEMPTS: Final[dict[str, Attempt]] = {
    "search recordings": lambda es, names: es.search(index=names.recordings),
    "read dead letters": lambda es, names: es.search(index=names.dead_letters),
    "write a recording": lambda es, names: es.index(
        index=names.recordings, document={}, require_alias=True
    ),
    "delete recordings": lambda es, names: es.delete(index=names.recordings, id="x"),
    "write a group": lambda es, names: es.index(index=names.groups, document={}),
    "create an index": lambda es, names: es.indices.create(index=f"{names.recordings}-000009"),
    "delete an index": lambda es, names: es.indices.delete(index=names.first_recordings_index),
    "change a mapping": lambda es, names: es.indices.put_mapping(
        index=names.recordings, properties={"more": {"type": "keyword"}}
    ),
    "change settings": lambda es, names: es.indices.put_settings(
        index=names.recordings, settings={"refresh_interval": "1s"}
    ),
    "write another index": lambda es, _: es.index(index="another", document={}),
    "read all indices": lambda es, _: es.search(index="another"),
    "see the cluster": lambda es, _: es.cluster.stats(),
    "change the cluster": lambda es, _: es.cluster.put_settings(
        persistent={"cluster.routing.allocation.enable": "all"}
    ),
    "make a key": lambda es, _: es.security.create_api_key(name="mine"),
    "see users": lambda es, _: es.security.get_user(),
}
ALLOWED: Final = {
    "init": {"create an index", "change a mapping"},
    "worker": {"search recordings", "read dead letters", "write a recording", "write a group"},
    "api": {"search recordings"},
    "operator": {
        "search recordings",
        "read dead letters",
        "write a recording",
        "delete recordings",
        "create an index",
        "delete an index",
        "change a mapping",
        "change settings",
    },
}


@pytest.mark.parametrize("program", FLOWS)
def test_what_is_none_of_its_business_is_refused(
    place: Place, names: IndexNames, program: str
) -> None:
    place.administrator.options(ignore_status=400).indices.create(index="another")
    allowed = set()
    with place.client(place.key(PRIVILEGES[program], names.prefix)) as client:
        for what, attempt in ATTEMPTS.items():
            try:
                attempt(client.options(ignore_status=[400, 404]), names)
            except AuthorizationException:
                continue
            allowed.add(what)
    assert allowed == ALLOWED[program]
