"""How often a message has taken its worker down.

A message that comes back was given back in order, or its worker was lost with it. Only the latter
counts: the number goes up in Redis before a redelivered message is applied, and is forgotten when
applying it ends in any way at all.
"""

from dataclasses import dataclass
from typing import Final

import redis

from services.errors import BackendError

DEATHS_ALLOWED: Final = 3
KEPT_SECONDS: Final = 24 * 3600


@dataclass(frozen=True, slots=True)
class Deliveries:
    """Counts redeliveries of messages by their ids."""

    client: redis.Redis

    def begin(self, message_id: str) -> int:
        """Count one more beginning; returns how many workers were lost with it so far.

        The first delivery is not counted, so that it costs nothing: it is one that was lost.
        Raises BackendError.
        """
        key = _key(message_id)
        try:
            with self.client.pipeline() as pipe:
                pipe.incr(key)
                pipe.expire(key, KEPT_SECONDS)
                begun, _ = pipe.execute()
        except redis.RedisError as error:
            raise BackendError("Redis does not count", retryable=True) from error
        return int(begun)

    def end(self, message_id: str) -> None:
        """Forget it: it was applied, buried or given back. Raises BackendError."""
        try:
            self.client.delete(_key(message_id))
        except redis.RedisError as error:
            raise BackendError("Redis does not count", retryable=True) from error


def _key(message_id: str) -> str:
    return f"recordings:begun:{message_id}"
