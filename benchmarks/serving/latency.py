"""Latencies in a histogram of high dynamic range: three digits, from 1 µs to ten minutes."""

from collections.abc import Iterable
from dataclasses import dataclass

from hdrh.histogram import HdrHistogram

LONGEST = 600_000_000  # µs
DIGITS = 3


@dataclass(frozen=True)
class Latency:
    """A distribution; all in ms but `count`."""

    count: int
    p50: float
    p90: float
    p99: float
    p999: float
    p9999: float
    most: float


def histogram(nanoseconds: Iterable[int]) -> HdrHistogram:
    """Count durations."""
    found = HdrHistogram(1, LONGEST, DIGITS)
    for duration in nanoseconds:
        found.record_value(min(max(duration // 1000, 1), LONGEST))
    return found


def latency(nanoseconds: Iterable[int]) -> Latency:
    """Sum durations up.

    >>> latency([1_000_000] * 999 + [9_000_000]).p99, latency([1_000_000, 9_000_000]).most
    (1.0, 9.0)
    """
    found = histogram(nanoseconds)
    at = (found.get_value_at_percentile(p) / 1000 for p in (50, 90, 99, 99.9, 99.99, 100))
    return Latency(found.get_total_count(), *at)
