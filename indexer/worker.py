"""The worker: what is wired to what, from the queue to Elasticsearch.

A worker is one process without a pool: more workers are more processes, and a stop has nobody to
wait for but the batch at hand.
"""

import warnings

import redis
from celery.platforms import SecurityWarning

from indexer import celery_app, health, tasks
from indexer.broker import refuse_untrusted
from indexer.celery_app import stopping
from indexer.consumer import consumer_with
from indexer.deliveries import Deliveries
from indexer.settling import Settler
from indexer.sink import Sink
from services import traces
from services.es_client import TIMEOUT_SECONDS, connect
from services.indices import IndexNames
from services.observability import configure_logging
from services.pseudonyms import Pseudonyms
from services.schema_version import refuse_another_version
from services.settings import (
    ElasticsearchSettings,
    IndexSettings,
    LogSettings,
    PhoneSettings,
    RedisSettings,
    TracesSettings,
    WorkerSettings,
    load,
)

ARGUMENTS = (
    "--quiet",
    "worker",
    f"--queues={celery_app.QUEUE}",
    "--pool=solo",
    "--without-gossip",
    "--without-mingle",
    "--loglevel=WARNING",
)


def run() -> int:
    """Work until told to stop; returns the exit status. Raises SettingsError; SchemaVersionError;
    BackendError when Elasticsearch or Redis cannot be trusted, or Elasticsearch refuses us.
    """
    configure_logging()
    traces.start(load(TracesSettings), "recordings-worker")
    worker, broker = load(WorkerSettings), load(RedisSettings)
    refuse_untrusted(broker.redis_url)
    settler = _settler(worker, broker)
    app = celery_app.make_app(broker, worker)
    app.conf.worker_consumer = consumer_with(settler)
    tasks.register(app, settler)
    if worker.metrics_port:
        health.serve(
            worker.metrics_port,
            host=worker.metrics_host,
            deadline=broker.deadline,
            redis_url=broker.redis_url,
            queue=celery_app.QUEUE,
        )
    # Celery warns root because of pickle, which this worker refuses.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    app.worker_main(list(ARGUMENTS))
    return stopping.exit_status


def _settler(worker: WorkerSettings, broker: RedisSettings) -> Settler:
    client = connect(load(ElasticsearchSettings), min(broker.deadline, TIMEOUT_SECONDS))
    names = IndexNames(load(IndexSettings).prefix)
    refuse_another_version(client, names)
    sink = Sink(
        client=client,
        names=names,
        region_of=load(PhoneSettings).region_of,
        stopping=stopping,
        bulk_count=worker.bulk_count,
        bulk_bytes=worker.bulk_bytes,
        max_document_bytes=worker.max_document_bytes,
        deadline=broker.deadline,
        pseudonyms=Pseudonyms.of(load(LogSettings)),
    )
    return Settler(
        sink,
        Deliveries(redis.Redis.from_url(broker.redis_url)),
        stopping,
        lot_events=worker.bulk_count,
        budget_exit_status=worker.budget_exit_status,
    )
