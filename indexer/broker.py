"""Redis as a broker that loses nothing: kombu's transport with four things mended.

- Taking is one step. kombu pops a message (BRPOP) and only then notes it as unacknowledged; a
  worker killed between the two loses it, and while a worker is busy a popped message waits in its
  socket all the time. Here a worker waits without taking (BLMOVE from the queue's end to the same
  end) and then takes and notes in one script: as many messages as it has room for.
- What is held in memory is bounded by bytes as well as by count, and so is a single message.
- What is given back in order is put back as it was. Only what a lost worker held comes back marked
  `redelivered`.
- What is no message, or too large for one, is handed over as a message without a task that says
  why (header `unreadable`).
"""

import ssl
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic, time
from typing import Any, Final

import orjson
import redis as redis_client
from kombu.message import Message
from kombu.transport import TRANSPORT_ALIASES, redis
from kombu.transport.redis import Empty

from services.errors import BackendError

UNREADABLE: Final = "unreadable"
ANSWER_SECONDS: Final = 5.0
UNTRUSTED: Final = (
    "the broker (Redis): its certificate is not trusted: it has to be for the host of"
    " RECORDINGS_REDIS_URL, and signed by the authority that `?ssl_ca_certs=FILE` in it names"
)

# What is noted is what kombu notes: the message, its exchange (the default one) and its routing
# key, under its delivery tag. A tag cannot be mistaken: within a JSON text its quotes would be
# escaped. KEYS: unacked, unacked index, the queue's lists. ARGV: now, most messages, bytes after
# which no more are taken, bytes of the largest message that is returned, end of a note, tag for
# what has none. Returns tag, size and message of each; the message is empty when it is too large.
TAKE: Final = """
local taken, count, size, list = {}, 0, 0, 3
while list <= #KEYS and count < tonumber(ARGV[2]) and size < tonumber(ARGV[3]) do
  local message = redis.call('RPOP', KEYS[list])
  if message then
    local tag = string.match(message, '"delivery_tag"%s*:%s*"([^"]+)"') or ARGV[6] .. count
    redis.call('HSET', KEYS[1], tag, '[' .. message .. ARGV[5])
    redis.call('ZADD', KEYS[2], ARGV[1], tag)
    count, size = count + 1, size + #message
    table.insert(taken, tag)
    table.insert(taken, #message)
    table.insert(taken, #message <= tonumber(ARGV[4]) and message or '')
  else
    list = list + 1
  end
end
return taken
"""
# KEYS: queue, unacked, unacked index. ARGV: the command that puts them in, then tag and message of
# each.
PUT_BACK: Final = """
for n = 2, #ARGV, 2 do
  if redis.call('HDEL', KEYS[2], ARGV[n]) == 1 then
    redis.call('ZREM', KEYS[3], ARGV[n])
    redis.call(ARGV[1], KEYS[1], ARGV[n + 1])
  end
end
"""


def refuse_untrusted(redis_url: str) -> None:
    """Raises BackendError when Redis answers with a certificate that is not trusted: waiting for it
    is no use. A Redis that does not answer is waited for.
    """
    client = redis_client.Redis.from_url(redis_url, socket_connect_timeout=ANSWER_SECONDS)
    with client, suppress(redis_client.RedisError):
        try:
            client.ping()
        except redis_client.ConnectionError as error:
            if is_untrusted(error):
                raise BackendError(UNTRUSTED, retryable=False) from error


def is_untrusted(error: BaseException | None) -> bool:
    """Whether a certificate that is not trusted is the reason."""
    while error:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


def lists_of(queue: str) -> list[str]:
    """The lists in which Celery puts a queue's messages: one for each step of priority."""
    return [queue, *(f"{queue}{redis.Channel.sep}{step}" for step in redis.PRIORITY_STEPS[1:])]


def acknowledge(messages: Sequence[Message]) -> None:
    """These messages, which came by one channel, are done with."""
    if messages:
        messages[0].channel.qos.settle([message.delivery_tag for message in messages])


def give_back(messages: Sequence[Message]) -> None:
    """These messages, which came by one channel, are for another attempt."""
    if messages:
        messages[0].channel.qos.give_back([message.delivery_tag for message in messages])


class QoS(redis.QoS):  # type: ignore[misc]  # the library has no types
    """What is held: at most so many messages, and no more once they have so many bytes."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sizes: dict[str, int] = {}

    def room(self) -> tuple[int, int]:
        """How many more messages and bytes may be held."""
        count = self.can_consume_max_estimate()
        held = sum(self.sizes.values())
        return 1 if count is None else count, self.channel.prefetch_bytes - held

    def can_consume(self) -> bool:
        return min(self.room()) > 0

    def append(self, message: Any, delivery_tag: str) -> None:
        """Nothing is written: the step that took the message noted it."""
        super(redis.QoS, self).append(message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        self.settle([delivery_tag])

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        (self.give_back if requeue else self.settle)([delivery_tag])

    def settle(self, tags: Sequence[str]) -> None:
        """These are done with: one step for all."""
        with self.channel.conn_or_acquire() as client, client.pipeline() as pipe:
            pipe.zrem(self.unacked_index_key, *tags)
            pipe.hdel(self.unacked_key, *tags)
            pipe.execute()
        self._forget(tags)

    def give_back(self, tags: Sequence[str]) -> None:
        """These are for another attempt, behind what waits: so they hold nobody up."""
        self._put_back(tags, "LPUSH", lambda message: message)
        self._forget(tags)

    def restore_unacked(self, *_: Any) -> None:
        """At the end of a channel: what is still held was not lost."""
        self.give_back(list(self._delivered))
        self._delivered.clear()

    def restore_by_tag(self, tag: Any, *_: Any, **__: Any) -> None:
        """A lost worker held this; it is the next one to be taken."""
        self._put_back([tag], "RPUSH", _marked)

    def _put_back(self, tags: Sequence[str], push: str, change: Callable[[bytes], bytes]) -> None:
        if not tags:
            return
        channel = self.channel
        keys = (channel.queue, self.unacked_key, self.unacked_index_key)
        with channel.conn_or_acquire() as client:
            notes = zip(tags, client.hmget(self.unacked_key, tags), strict=True)
            held = [(tag, change(_noted(note, channel.queue))) for tag, note in notes if note]
            arguments = [part for one in held for part in one]
            client.eval(PUT_BACK, len(keys), *keys, push, *arguments)

    def _forget(self, tags: Sequence[str]) -> None:
        for tag in tags:
            self.sizes.pop(tag, None)
            self._dirty.add(tag)


class Channel(redis.Channel):  # type: ignore[misc]
    """A channel that takes from one queue, in one step."""

    QoS = QoS
    prefetch_bytes = 1
    max_message_bytes = 1
    queue = "celery"
    from_transport_options = (
        *redis.Channel.from_transport_options,
        "prefetch_bytes",
        "max_message_bytes",
        "queue",
    )

    def decode_body(self, body: Any, encoding: str | None = None) -> Any:
        """What is not encoded as it says is left as it is: nobody will be able to read it."""
        try:
            return super().decode_body(body, encoding)
        except (ValueError, TypeError, AttributeError):
            return body

    def _brpop_start(self, timeout: float | None = None) -> None:
        self._in_poll = self.client.connection
        self._brpop_sent_at = monotonic()
        seconds = self.brpop_timeout if timeout is None else timeout
        ends = (self.queue, self.queue, "RIGHT", "RIGHT")
        self.client.connection.send_command("BLMOVE", *ends, seconds or 0)

    def _brpop_read(self, **options: Any) -> bool:
        try:
            self._answer(**options)  # also where nothing came: with a priority it lies elsewhere
            taken = self._take() if not self._closing else []
            if not taken:  # nothing came, another worker was faster, or we are leaving
                raise Empty
            for tag, size, raw in taken:
                self.qos.sizes[tag] = size
                self.connection._deliver(self._message(tag, size, raw), self.queue)
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

    def _take(self) -> list[tuple[str, int, bytes]]:
        """Tag, bytes and text of each message that there is room for."""
        keys = (self.unacked_key, self.unacked_index_key, *lists_of(self.queue))
        bounds = (time(), *self.qos.room(), self.max_message_bytes)
        names = (_note_end(self.queue), f"untagged-{uuid.uuid4()}-")
        with self.conn_or_acquire() as client:
            flat = client.eval(TAKE, len(keys), *keys, *bounds, *names)
        tags = (tag.decode(errors="replace") for tag in flat[::3])
        return list(zip(tags, flat[1::3], flat[2::3], strict=True))

    def _message(self, tag: str, size: int, raw: bytes) -> dict[str, Any]:
        """The message as kombu wants it."""
        if not raw:
            reason = f"a message of {size} bytes, more than {self.max_message_bytes}"
            return _unreadable(tag, f"message {tag}, not read", reason)
        message = _read(raw)
        if message and message["properties"].get("delivery_tag") == tag:
            return message
        return _unreadable(tag, raw.decode(errors="replace"), "not a message of Celery")


class Transport(redis.Transport):  # type: ignore[misc]
    """kombu's Redis transport with our channel."""

    Channel = Channel


def install() -> None:
    """Let redis:// and rediss:// addresses mean this transport, in this process."""
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = f"{__name__}:Transport"


def _unreadable(tag: str, text: str, reason: str) -> dict[str, Any]:
    return {
        "body": text,
        "content-type": "text/plain",
        "content-encoding": "utf-8",
        "headers": {UNREADABLE: reason},
        "properties": {"delivery_tag": tag},
    }


def _note_end(queue: str) -> str:
    """How the note of a message ends, after the message itself."""
    return f',"","{queue}"]'


def _noted(note: bytes, queue: str) -> bytes:
    """The message of which this is the note, whatever it is."""
    return note.removeprefix(b"[").removesuffix(_note_end(queue).encode())


def _marked(raw: bytes) -> bytes:
    """The message with kombu's mark; what is none comes back as it is."""
    message = _read(raw)
    if message is None:
        return raw
    message["properties"]["delivery_info"]["redelivered"] = True
    return orjson.dumps(message)


def _read(raw: bytes) -> dict[str, Any] | None:
    """The message with the three objects that it must have; None for anything else."""
    try:
        message: dict[str, Any] = orjson.loads(raw)
        properties = message["properties"]
        parts = (message, properties, message["headers"], properties["delivery_info"])
    except (ValueError, TypeError, KeyError):
        return None
    return message if all(isinstance(part, dict) for part in parts) else None
