"""How long to wait before a request is sent again."""

from collections.abc import Callable
from datetime import UTC
from email.utils import parsedate_to_datetime

JITTER = Callable[[float, float], float]


def backoff(attempt: int, base: float, cap: float, draw: JITTER) -> float:
    """Draw a wait after the attempt-th failure (from 1), in seconds: full jitter.

    Between 0 and base · 2^(attempt − 1), and at most `cap`, so that many senders don't come back
    together.

    >>> [backoff(k, 0.5, 3.0, lambda low, high: high) for k in (1, 2, 3, 4)]
    [0.5, 1.0, 2.0, 3.0]
    """
    return draw(0.0, min(cap, base * 2.0 ** min(attempt - 1, 60)))


def retry_after(header: str | None, now: float) -> float:
    """Read a Retry-After header, seconds or an HTTP date; 0 where there is none or it is past.

    `now` is in unix seconds. A date without a zone, as asctime writes it, is in UTC.

    >>> retry_after("120", 0.0), retry_after("Thu, 01 Jan 1970 00:01:00 GMT", 45.0)
    (120.0, 15.0)
    >>> retry_after("Thu Jan  1 00:01:00 1970", 45.0)
    15.0
    >>> retry_after("soon", 0.0), retry_after(None, 0.0)
    (0.0, 0.0)
    """
    text = (header or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])
    try:
        date = parsedate_to_datetime(text)
        if date.tzinfo is None:
            date = date.replace(tzinfo=UTC)
        return max(date.timestamp() - now, 0.0)
    except (ValueError, OverflowError):
        return 0.0
