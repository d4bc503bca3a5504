"""Redis as a broker that loses nothing: kombu's transport with two things mended.

- Taking a message is one step. kombu pops it (BRPOP) and only then notes it as unacknowledged; a
  worker killed between the two loses it, and while a worker is busy a popped message waits in its
  socket all the time. Here a worker waits without taking (BLMOVE from the queue's end to the same
  end) and then takes and notes in one script.
- What is held in memory is bounded by bytes as well as by count.
"""

from time import monotonic, time
from typing import Any, Final

from kombu.transport import TRANSPORT_ALIASES, redis
from kombu.transport.redis import Empty, bytes_to_str, loads

# KEYS: queue, unacked, unacked index. ARGV: now, routing key. What is noted is what kombu notes:
# the message, its exchange (the default one) and its routing key, under its delivery tag. A tag
# cannot be mistaken: within a JSON text its quotes would be escaped.
TAKE: Final = """
local message = redis.call('RPOP', KEYS[1])
if not message then return nil end
local tag = string.match(message, '"delivery_tag"%s*:%s*"([^"]+)"')
if tag then
  redis.call('HSET', KEYS[2], tag, '[' .. message .. ',"","' .. ARGV[2] .. '"]')
  redis.call('ZADD', KEYS[3], ARGV[1], tag)
end
return message
"""


class QoS(redis.QoS):  # type: ignore[misc]  # the library has no types
    """Counts the bytes of the messages that are held."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._sizes: dict[str, int] = {}

    def can_consume(self) -> bool:
        room: int = self.channel.prefetch_bytes
        return bool(super().can_consume()) and sum(self._sizes.values()) < room

    def append(self, message: Any, delivery_tag: str) -> None:
        self._sizes[delivery_tag] = len(message.body)
        super().append(message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        self._sizes.pop(delivery_tag, None)
        super().ack(delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        self._sizes.pop(delivery_tag, None)
        super().reject(delivery_tag, requeue)


class Channel(redis.Channel):  # type: ignore[misc]
    """A channel that takes from one queue, in one step."""

    QoS = QoS
    from_transport_options = (*redis.Channel.from_transport_options, "prefetch_bytes")
    prefetch_bytes = 32_000_000

    def _brpop_start(self, timeout: float | None = None) -> None:
        (queue,) = self._queue_cycle.consume(1)
        self._waited_for = queue
        self._in_poll = self.client.connection
        self._brpop_sent_at = monotonic()
        seconds = self.brpop_timeout if timeout is None else timeout
        self.client.connection.send_command("BLMOVE", queue, queue, "RIGHT", "RIGHT", seconds or 0)

    def _brpop_read(self, **options: Any) -> bool:
        try:
            there = self._answer(**options)
            message = self._take() if there is not None else None
            if message is None:  # nothing came, or another worker was faster
                raise Empty
            self.connection._deliver(loads(bytes_to_str(message)), self._waited_for)
            return True
        finally:
            self._in_poll = None
            self._flush_brpop_reauth()

    def _answer(self, **options: Any) -> Any:
        try:
            return self.client.parse_response(self.client.connection, "BLMOVE", **options)
        except self.connection_errors:
            self.client.connection.disconnect()
            raise

    def _take(self) -> Any:
        with self.conn_or_acquire() as client:
            return client.eval(
                TAKE,
                3,
                self._waited_for,
                self.unacked_key,
                self.unacked_index_key,
                time(),
                self._waited_for,
            )


class Transport(redis.Transport):  # type: ignore[misc]
    """kombu's Redis transport with our channel."""

    Channel = Channel


def install() -> None:
    """Let redis:// and rediss:// addresses mean this transport, in this process."""
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = f"{__name__}:Transport"
