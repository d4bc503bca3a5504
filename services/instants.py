"""Points in time: ISO 8601 text in, whole milliseconds since 1970 (UTC) and text out.

Milliseconds are what Elasticsearch's `date` keeps; finer parts are cut off, a zone that is not
named is UTC. Integers rather than datetimes, so that no calendar border can overflow.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

DAY = 86_400_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

# What a four-digit year can say.
EARLIEST_MS = (datetime(1, 1, 1, tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)
LATEST_MS = (datetime(9999, 12, 31, 23, 59, 59, 999000, tzinfo=UTC) - _EPOCH) // timedelta(
    milliseconds=1
)


@dataclass(frozen=True, slots=True)
class Instant:
    """A time in microseconds since 1970; `whole_day` when only a date was written."""

    microseconds: int
    whole_day: bool

    @property
    def floor_ms(self) -> int:
        return self.microseconds // 1000

    @property
    def ceil_ms(self) -> int:
        """The first whole millisecond that is not before: right for `gte` and for `lt`."""
        return -(-self.microseconds // 1000)


def parse(text: str) -> Instant:
    """Read an ISO 8601 date or date and time. Raises ValueError, without the text."""
    try:
        if "T" not in text:
            day = datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)
            return Instant((day - _EPOCH) // _MICROSECOND, whole_day=True)
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("not an ISO 8601 date or date and time") from None
    offset = moment.utcoffset() or timedelta()
    local = moment.replace(tzinfo=UTC) - _EPOCH
    return Instant((local - offset) // _MICROSECOND, whole_day=False)


def render(milliseconds: int) -> str:
    """The instant as ISO 8601 in UTC; milliseconds are written only where there are some."""
    moment = _EPOCH + timedelta(milliseconds=milliseconds)
    precision = "milliseconds" if milliseconds % 1000 else "seconds"
    return moment.replace(tzinfo=None).isoformat(timespec=precision) + "Z"
