"""An event that cannot be applied, as the fields of its dead letter. Pure.

The `_id` is a digest of the event's canonical JSON, so that the same event is the same letter.
Listed are type and ids, and only where they have the form of such: never what was said.
"""

import json
import re
import time
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final

from services import instants
from services.documents import document_id

MAX_EVENT_BYTES: Final = 16_000_000
LONGEST_ID: Final = 256
LONGEST_REASON: Final = 500

_IDS: Final = ("tenantId", "recordingId", "noteId", "groupId")
_TYPE: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")

Fields = dict[str, Any]


def fields_of(event: object, reason: str) -> tuple[str, Fields]:
    """The `_id` and the letter of this event, as if it failed for the first time.

    An event above MAX_EVENT_BYTES, or nested too deeply to be written, is not kept.
    """
    now = instants.render(time.time_ns() // 1_000_000)
    letter = {"firstAt": now, "lastAt": now, "attempts": 1} | _listed(event)
    reason = reason[:LONGEST_REASON]
    try:
        text = _canonical(event)
    except RecursionError:
        ids = json.dumps([letter.get(name) for name in ("type", *_IDS)])
        return _digest(ids + reason), letter | {"reason": f"{reason} (not kept: nested too deeply)"}
    size = len(text.encode())
    letter |= {"reason": reason, "size": size, "event": text}
    return _digest(text), without_event(letter) if size > MAX_EVENT_BYTES else letter


def without_event(letter: Fields) -> Fields:
    """The letter where the event is too large for it, and says so."""
    kept = {name: value for name, value in letter.items() if name != "event"}
    return kept | {"reason": f"{letter['reason']} (not kept: {letter['size']} bytes)"}


def _canonical(event: object) -> str:
    """One text for each JSON value, which UTF-8 can hold."""
    text = json.dumps(event, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    if _is_text(text):
        return text
    return json.dumps(event, sort_keys=True, separators=(",", ":"))


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=16).hexdigest()


def _listed(event: object) -> dict[str, str]:
    """Type, ids and key of the event, as far as they can be ones."""
    known = event if isinstance(event, Mapping) else {}
    texts: dict[str, str] = {name: known[name] for name in _IDS if _is_text(known.get(name))}
    listed = {name: value for name, value in texts.items() if len(value) <= LONGEST_ID}
    if isinstance(kind := known.get("type"), str) and _TYPE.fullmatch(kind):
        listed["type"] = kind
    if "tenantId" in texts and "recordingId" in texts:
        listed["recordingKey"] = document_id(texts["tenantId"], texts["recordingId"])
    return listed


def _is_text(value: object) -> bool:
    """Whether it is text that UTF-8 can hold (JSON may carry half of a surrogate pair)."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
