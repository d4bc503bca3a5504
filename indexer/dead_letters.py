"""Events that can never be applied, kept in Elasticsearch with the reason until somebody decides.

One document for each distinct event: the same event again raises `attempts` and `lastAt`. The
event is kept as text that is not searchable; only its type and ids can be listed.
"""

import json
import time
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any, Final

from elasticsearch import Elasticsearch

from services import instants
from services.errors import BackendError
from services.es_client import failures_as_ours

_KEYWORD: Final = {"type": "keyword", "ignore_above": 1024}
MAPPING: Final[dict[str, Any]] = {
    "dynamic": "strict",
    "properties": {
        "reason": _KEYWORD,
        "type": _KEYWORD,
        "tenantId": _KEYWORD,
        "recordingId": _KEYWORD,
        "noteId": _KEYWORD,
        "event": {"type": "keyword", "index": False, "doc_values": False},
        "firstAt": {"type": "date"},
        "lastAt": {"type": "date"},
        "attempts": {"type": "integer"},
    },
}
_LISTED: Final = ("type", "tenantId", "recordingId", "noteId")
_AGAIN: Final = """
ctx._source.attempts += 1; ctx._source.lastAt = params.lastAt; ctx._source.reason = params.reason
"""


def write(client: Elasticsearch, index: str, letters: Iterable[tuple[object, str]]) -> None:
    """Keep these (event, reason) pairs. Raises BackendError when one could not be kept."""
    operations: list[dict[str, Any]] = []
    for event, reason in letters:
        letter = _letter(event, reason)
        identity = blake2b(letter["event"].encode(), digest_size=16).hexdigest()
        script = {"source": _AGAIN, "params": {"lastAt": letter["lastAt"], "reason": reason}}
        operations += [
            {"update": {"_id": identity, "retry_on_conflict": 5}},
            {"script": script, "upsert": letter},
        ]
    if not operations:
        return
    with failures_as_ours():
        answer = client.bulk(index=index, operations=operations)
    if answer["errors"]:
        raise BackendError("a dead letter could not be written", retryable=True)


def _letter(event: object, reason: str) -> dict[str, Any]:
    now = instants.render(time.time_ns() // 1_000_000)
    known = event if isinstance(event, Mapping) else {}
    names = {name: known[name] for name in _LISTED if _is_text(known.get(name))}
    text = json.dumps(event, sort_keys=True)  # escapes whatever UTF-8 cannot hold
    return {"reason": reason, "event": text, "firstAt": now, "lastAt": now, "attempts": 1} | names


def _is_text(value: object) -> bool:
    """Whether it is text that UTF-8 can hold (JSON may carry half of a surrogate pair)."""
    return isinstance(value, str) and not any(
        "\ud800" <= character <= "\udfff" for character in value
    )
