"""A half-open range of time, and the times that people type.

All times inside the toolkit are µs since the epoch, UTC, as int.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from replay.errors import BadTime, EmptySpan

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
_RELATIVE = re.compile(r"-(\d{1,6})([smhdw])")
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


@dataclass(frozen=True, order=True)
class Span:
    """Clicks with start <= ts < end; both in µs since the epoch, UTC.

    Raises EmptySpan where start >= end.

    >>> Span(0, 10).cut(4)
    [Span(start=0, end=4), Span(start=4, end=8), Span(start=8, end=10)]
    >>> Span(5, 5)
    Traceback (most recent call last):
    ...
    replay.errors.EmptySpan: --from 1970-01-01T00:00:00.000005Z is not before --to \
1970-01-01T00:00:00.000005Z. Ranges are [from, to).
    """

    start: int
    end: int

    def __post_init__(self) -> None:
        if self.start >= self.end:
            raise EmptySpan(
                f"--from {iso(self.start)} is not before --to {iso(self.end)}. "
                "Ranges are [from, to)."
            )

    @property
    def length(self) -> int:
        """end − start, µs."""
        return self.end - self.start

    def cut(self, every: int) -> list["Span"]:
        """Cut at whole multiples of `every` µs since the epoch; the pieces cover the span once.

        >>> Span(3, 9).cut(5)
        [Span(start=3, end=5), Span(start=5, end=9)]
        """
        return list(self._pieces(every))

    def _pieces(self, every: int) -> Iterator["Span"]:
        start = self.start
        while start < self.end:
            end = min((start // every + 1) * every, self.end)
            yield Span(start, end)
            start = end

    def __str__(self) -> str:
        return f"[{iso(self.start)}, {iso(self.end)})"


def to_micros(moment: datetime) -> int:
    """Return an aware datetime as µs since the epoch, exactly.

    >>> to_micros(datetime(2026, 3, 1, tzinfo=UTC))
    1772323200000000
    """
    return (moment - EPOCH) // MICROSECOND


def to_datetime(ts: int) -> datetime:
    """Return µs since the epoch as an aware UTC datetime.

    >>> to_datetime(1772323200000000).isoformat()
    '2026-03-01T00:00:00+00:00'
    """
    return EPOCH + ts * MICROSECOND


def iso(ts: int) -> str:
    """Write µs since the epoch as ISO 8601, UTC, without a needless fraction.

    >>> iso(1772323200000000), iso(1772323200000001)
    ('2026-03-01T00:00:00Z', '2026-03-01T00:00:00.000001Z')
    """
    return to_datetime(ts).isoformat().replace("+00:00", "Z")


def iso_local(ts: int) -> str:
    """Write a time as UTC and, where this machine's zone differs, local time beside it."""
    moment = to_datetime(ts)
    local = moment.astimezone()
    if not local.utcoffset():
        return iso(ts)
    return f"{iso(ts)} ({local.isoformat(sep=' ')})"


def parse_time(text: str, now: int) -> int:
    """Read ISO 8601 (UTC unless it has an offset), `now`, or `-6h` before `now`; µs.

    Raises BadTime for anything else.

    >>> parse_time("2026-03-01", 0) == parse_time("2026-03-01T01:00+01:00", 0)
    True
    >>> parse_time("-1m", 90_000_000)
    30000000
    """
    text = text.strip()
    if text == "now":
        return now
    if match := _RELATIVE.fullmatch(text):
        return now - int(match[1]) * _UNIT_SECONDS[match[2]] * 1_000_000
    try:
        moment = datetime.fromisoformat(text)
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return to_micros(aware)
    except (ValueError, OverflowError):
        raise BadTime(
            f"{text!r} is no time: write 2026-03-01T14:00, 2026-03-01T14:00+01:00, -6h or now"
        ) from None


def now_micros() -> int:
    """The present, µs since the epoch."""
    return to_micros(datetime.now(UTC))
