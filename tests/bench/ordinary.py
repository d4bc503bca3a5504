"""The ordinary way to index from Celery, to compare with: one task and one request per event.

`celery -A tests.bench.ordinary worker`. It may lose what our worker must not: it does not merge,
and whoever comes last wins. Late acknowledgement is the only thing it is given besides, because
without it nobody could tell when the last event is written.
"""

from functools import cache
from typing import Any, Final

from celery import Celery
from elasticsearch import Elasticsearch

from indexer import reducer
from indexer.celery_app import QUEUE
from indexer.documents import address_of, to_source
from indexer.events import parse
from services.es_client import connect
from services.indices import IndexNames
from services.settings import ElasticsearchSettings, IndexSettings, RedisSettings, load

INDEX_ONE: Final = "bench.index_one"

app = Celery("ordinary", broker=load(RedisSettings).redis_url)
app.conf.update(
    task_default_queue=QUEUE,
    task_ignore_result=True,
    task_acks_late=True,
    broker_connection_retry_on_startup=True,
)


@cache
def _client() -> Elasticsearch:
    return connect(load(ElasticsearchSettings))


@cache
def _names() -> IndexNames:
    return IndexNames(load(IndexSettings).prefix)


def index_one(raw: dict[str, Any]) -> None:
    """Write the document of one event."""
    event = parse(raw)
    alias, identity = address_of(event, _names())
    state = reducer.apply(reducer.nothing_of(event), [event])
    _client().index(index=alias, id=identity, document=to_source(state, None))


app.task(name=INDEX_ONE)(index_one)
