"""Every metric and every log event of the programs: what it means, and what to do.

The page in deploy/README.md and the dashboard are made from here (deploy.pages). A test reads the
code and fails on what is here or there alone.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Panel:
    """A graph of the dashboard: PromQL expressions and what a line is called."""

    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric by its name in code; Prometheus shows a counter with `_total` behind it."""

    name: str
    meaning: str
    action: str
    panels: tuple[Panel, ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """A line of the log by its `event`."""

    name: str
    meaning: str
    action: str


def _quantiles(metric: str, by: str = "") -> tuple[tuple[str, str], ...]:
    labels, legend = (f"le, {by}", f" {{{{{by}}}}}") if by else ("le", "")
    rate = f"sum by ({labels}) (rate({metric}_bucket[5m]))"
    return tuple(
        (f"histogram_quantile({quantile}, {rate})", f"{name}{legend}")
        for quantile, name in ((0.5, "median"), (0.99, "99 of 100"))
    )


API: Final = (
    Metric(
        "recordings_api_request_seconds",
        "Requests: how many, with which `status`, how long; `route` is the pattern of the path.",
        "Many 503: look at Elasticsearch, then at `backend_failed`. Slow: compare with"
        " `recordings_elasticsearch_request_seconds`; when that is fast, more replicas help.",
        (
            Panel(
                "Requests a second",
                "reqps",
                (
                    (
                        "sum by (route, status) (rate(recordings_api_request_seconds_count[5m]))",
                        "{{route}} {{status}}",
                    ),
                ),
            ),
            Panel(
                "Share of requests answered with 5xx",
                "percentunit",
                (
                    (
                        'sum(rate(recordings_api_request_seconds_count{status=~"5.."}[5m]))'
                        " / sum(rate(recordings_api_request_seconds_count[5m]))",
                        "5xx",
                    ),
                ),
            ),
            Panel("Time to answer", "s", _quantiles("recordings_api_request_seconds", "route")),
        ),
    ),
)

ELASTICSEARCH: Final = (
    Metric(
        "recordings_elasticsearch_request_seconds",
        "Calls of Elasticsearch by both programs: `operation`, how long, and `outcome`: ok, refused"
        " (4xx, also what is not there), overloaded (429), failed (5xx), timeout, unreachable,"
        " cancelled (the caller went away).",
        "refused with `_bulk` or `_search`: the API key or the index (the runbook, A lost index)."
        " overloaded: fewer workers or more nodes. timeout, unreachable: the cluster's health.",
        (
            Panel(
                "Calls of Elasticsearch a second",
                "reqps",
                (
                    (
                        "sum by (job, operation, outcome)"
                        " (rate(recordings_elasticsearch_request_seconds_count[5m]))",
                        "{{job}} {{operation}} {{outcome}}",
                    ),
                ),
            ),
            Panel(
                "Time of calls of Elasticsearch",
                "s",
                _quantiles("recordings_elasticsearch_request_seconds", "operation"),
            ),
        ),
    ),
)

INDEXER: Final = (
    Metric(
        "recordings_indexer_events",
        "Events by `type` and `outcome`: done (written), superseded (a newer version was there),"
        " dead (in the dead letters).",
        "dead rises: `recordings-indexer dead-letters list` says why (the runbook, Dead letters).",
        (
            Panel(
                "Events a second",
                "ops",
                (
                    (
                        "sum by (outcome) (rate(recordings_indexer_events_total[5m]))",
                        "{{outcome}}",
                    ),
                ),
            ),
        ),
    ),
    Metric(
        "recordings_indexer_queue_messages",
        "Messages waiting in the queue, as every worker sees it (so take the maximum, not the sum);"
        " NaN when Redis does not answer. Those that a worker holds are not counted.",
        "It grows: more workers, unless Elasticsearch is what is slow.",
        (
            Panel(
                "Messages waiting",
                "short",
                (("max(recordings_indexer_queue_messages)", "waiting"),),
            ),
        ),
    ),
    Metric(
        "recordings_indexer_published_lag_seconds",
        "From a message's publication to its being settled; a search finds it one refresh (1 s)"
        " later. Only of messages that say when they were published.",
        "High with a short queue: Elasticsearch is slow. High with a long one: more workers.",
        (
            Panel(
                "From publication to written",
                "s",
                _quantiles("recordings_indexer_published_lag_seconds"),
            ),
        ),
    ),
    Metric(
        "recordings_indexer_lag_seconds",
        "From an event's `occurredAt` to its being written: also what the product takes to publish,"
        " and years in a replay of old events.",
        "High while the lag from publication is low: the product publishes late.",
        (
            Panel(
                "From the change itself to written",
                "s",
                _quantiles("recordings_indexer_lag_seconds"),
            ),
        ),
    ),
    Metric(
        "recordings_indexer_batch_seconds",
        "Time to settle the events that were applied together.",
        "Near a quarter of RECORDINGS_VISIBILITY_TIMEOUT: batches are given back; Elasticsearch.",
        (Panel("Time of a batch", "s", _quantiles("recordings_indexer_batch_seconds")),),
    ),
    Metric(
        "recordings_indexer_batch_events",
        "Events applied together: 1 when the queue is short, up to RECORDINGS_WORKER_BULK_COUNT.",
        "None: it says how busy workers are.",
    ),
    Metric(
        "recordings_indexer_retries",
        "Documents tried again by `reason`: conflict (another worker was faster), trouble (429,"
        " 5xx, no answer), refused (halved to find the event to blame), split (413).",
        "trouble: look at Elasticsearch. conflict at a high rate: many events of the same recording"
        " are in different messages; harmless. split: lower RECORDINGS_WORKER_BULK_BYTES.",
        (
            Panel(
                "Documents tried again a second",
                "ops",
                (
                    (
                        "sum by (reason) (rate(recordings_indexer_retries_total[5m]))",
                        "{{reason}}",
                    ),
                ),
            ),
        ),
    ),
    Metric(
        "recordings_indexer_given_back_events",
        "Events given back to the queue unsettled: Elasticsearch was away for longer than a message"
        " is tried, or the worker was stopped. Nothing is lost.",
        "It rises without a stop: Elasticsearch cannot be reached or takes nothing.",
        (
            Panel(
                "Events given back a second",
                "ops",
                (("sum(rate(recordings_indexer_given_back_events_total[5m]))", "given back"),),
            ),
        ),
    ),
    Metric(
        "recordings_indexer_budget_spent",
        "1 from when a worker stops because most events failed for good until its process ends.",
        "See the event `budget_spent`: it is what stays to be seen.",
    ),
)

METRICS: Final = (*API, *ELASTICSEARCH, *INDEXER)

EVENTS: Final = (
    Event(
        "events_applied",
        "A batch is settled; the fields are how many events were done, superseded, dead.",
        "None.",
    ),
    Event(
        "event_failed",
        "Our own code failed on an event: `kind` of the exception and `place`, no values, `tenant`"
        " hashed. The event is in the dead letters as `unexpected ...`.",
        "A defect: report kind, place and version; replay when it is mended.",
    ),
    Event(
        "message_buried",
        "A message took its worker down three times (out of memory?) and is in the dead letters;"
        " `count` of its events.",
        "Look at what ended the workers (`kubectl describe pod`); replay with more memory.",
    ),
    Event(
        "messages_given_back",
        "Messages went back to the queue unsettled; `reason` is what Elasticsearch or Redis did.",
        "Mend what the reason names; the messages come again by themselves.",
    ),
    Event(
        "budget_spent",
        "Most events of a window failed for good, so the worker stops with"
        " RECORDINGS_WORKER_BUDGET_EXIT_STATUS instead of filling the dead letters.",
        "Usually the product sends a new form, or the index has another mapping. Look at the dead"
        " letters' reasons, mend, then replay.",
    ),
    Event(
        "backend_failed",
        "A request was answered with 503 (or 500) because of Elasticsearch or the keys; `reason`.",
        "401 or 403 in the reason: the API key. 404 index_not_found: `init`. Else its health.",
    ),
    Event(
        "elasticsearch_key_renewed",
        "Elasticsearch refused the API key, and its file holds another one, which is used from now"
        " on. The request at hand was sent again.",
        "None, after a rotation (the runbook, Change a key or a certificate).",
    ),
    Event(
        "elasticsearch_authority_renewed",
        "The certificate of Elasticsearch was not trusted, and RECORDINGS_ELASTICSEARCH_CA_FILE"
        " holds something new, which is trusted from now on. The request was sent again.",
        "None, after a rotation.",
    ),
    Event(
        "request_failed",
        "A request was answered with 500 by a fault of ours: `kind`, `place`.",
        "A defect: report kind, place and version.",
    ),
    Event(
        "jwks_failed",
        "The keys of tokens could not be fetched (`kind`). Known keys are used for an hour more.",
        "Within that hour: let the API reach RECORDINGS_AUTH_JWKS_URL again.",
    ),
    Event(
        "cursor_key_is_not_set",
        "Each process signs cursors with a key of its own: replicas refuse each other's.",
        "Set RECORDINGS_API_CURSOR_KEY, the same for all replicas.",
    ),
    Event(
        "log_hash_key_is_not_set",
        "Each process hashes tenants and users with a key of its own: the same one is another word"
        " in the lines of each.",
        "Set RECORDINGS_LOG_HASH_KEY, the same for all programs.",
    ),
    Event("listening", "The API takes requests, at `host` and `port`.", "None."),
    Event(
        "request_answered",
        "A request was answered: `route`, `status`, `seconds`. Only with RECORDINGS_API_ACCESS_LOG,"
        " and not for probes that succeed.",
        "None.",
    ),
    Event(
        "search_audited",
        "The audit log (The audit log, above): who asked, with which `parameters`, and how much was"
        " `found` and `returned`. Only with RECORDINGS_API_AUDIT_LOG.",
        "None.",
    ),
)
