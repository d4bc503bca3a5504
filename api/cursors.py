"""Cursors: how a walk over everything goes on from page to page.

A walk continues after the sort values of the last recording shown (Elasticsearch's `search_after`)
over the live data; there is no point in time. Why:

- What does not change keeps its sort values, and its place in the order: whatever else is written
  meanwhile, it is neither skipped nor repeated. That holds for relevance too, because the score of
  a recording depends on that recording alone (`services.schema`).
- A point in time would go on showing what was deleted, or given to another owner, since the walk
  began. Here the access rule of this moment decides about each page.
- Nothing is kept on the server: a walk costs nothing between pages and survives restarts, a
  reindex, and a change of replica. So many walks can be open, for as long as cursors are valid.

A page is known for the last by asking for one recording more than it shows; so the one after it is
only ever empty when all that was left has been deleted, moved or hidden in between.

What a caller gets is opaque and signed: base64url of a MAC (HMAC-SHA-256) and of the expiry and the
sort values. The MAC also covers the tenant, the subject and the query, so that a cursor is good for
the walk that it was made for only. It is no permission: the access rule is applied all the same.
"""

import hmac
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import orjson

from api.parameters import ListParameters
from services.acl import Principal
from services.errors import CallerError

SortValues = list[Any]

_MAC_BYTES: Final = 32
# What may differ from page to page: these say how a page looks, not which recordings come when.
_NOT_THE_QUERY: Final = frozenset({"quantity", "from_", "cursor", "highlight", "facets"})


def walk_of(principal: Principal, asked: ListParameters) -> bytes:
    """What a cursor is bound to: who asks, and for which recordings in which order."""
    names = sorted(set(ListParameters.model_fields) - _NOT_THE_QUERY)
    query = [(name, getattr(asked, name)) for name in names]
    return repr((principal.tenant_id, principal.user_id, query)).encode()


@dataclass(frozen=True, slots=True)
class Cursors:
    """Writes and reads cursors; replicas that share `key` read each other's."""

    key: bytes
    lifetime: float
    """How long a cursor is good, in seconds."""
    clock: Callable[[], float] = time.time

    def write(self, after: SortValues, walk: bytes) -> str:
        """The cursor that goes on after these sort values."""
        payload = orjson.dumps([self.clock() + self.lifetime, after])
        return _encoded(self._mac(payload, walk) + payload)

    def read(self, cursor: str, walk: bytes) -> SortValues | None:
        """The sort values to go on after; None for the empty cursor, which starts a walk.

        Raises CallerError for a cursor that is altered, expired, or of another walk.
        """
        if not cursor:
            return None
        raw = _decoded(cursor)
        mac, payload = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(payload, walk)):
            raise _wrong("is not a cursor of this query and caller")
        expires_at, after = orjson.loads(payload)
        if self.clock() >= expires_at:
            raise _wrong("has expired; start the walk again with an empty cursor")
        values: SortValues = after
        return values

    def _mac(self, payload: bytes, walk: bytes) -> bytes:
        # The walk has its length before it, so that no two pairs are the same bytes.
        return hmac.digest(self.key, b"%d:%b%b" % (len(walk), walk, payload), "sha256")


def _encoded(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decoded(cursor: str) -> bytes:
    """Raises CallerError for all but the one text that these bytes are encoded as."""
    try:
        raw = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
    except ValueError:
        raw = b""
    if _encoded(raw) != cursor:
        raise _wrong("is not a cursor of this query and caller")
    return raw


def _wrong(detail: str) -> CallerError:
    return CallerError("invalid_parameter", f"cursor {detail}", parameter="cursor")
