"""Clicks in log order, hour by hour, with the sequence numbers that the live store would give.

A chunk is some hours long. How long, and how many threads draw, changes no row.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar, cast

import numpy as np

from replay.span import Span
from simulator.columns import HOUR, SPILL_HOURS, Clicks, concatenate
from simulator.draw import Ints, mix
from simulator.world import CLICK_SALT, World

CHUNK_CLICKS = 500_000

Item = TypeVar("Item")


@dataclass(frozen=True)
class Chunk:
    """The clicks of a few whole hours of one UTC day, in log order."""

    span: Span
    clicks: Clicks
    seq: Ints


def chunks(world: World, chunk_hours: int | None = None, threads: int = 2) -> Iterator[Chunk]:
    """Yield the scenario's clicks; `chunk_hours` is by itself about half a million clicks long.

    Sessions that began in the hour before the start are drawn too, so that it is no cold one.
    """
    pending: list[Clicks] = []
    last_seq = 0
    with ThreadPoolExecutor(threads) as pool:
        for span in chunk_spans(world, chunk_hours):
            first = span.start // HOUR
            warm_up = 0 if pending else SPILL_HOURS - 1
            hours = range(first - warm_up, span.end // HOUR)
            units = [(population, hour) for hour in hours for population in world.populations]
            drawn = pool.map(lambda unit: world.draw(*unit), units)
            clicks, later = _cut(world, concatenate([*pending, *drawn]), span)
            pending = [later]
            seq = sequence(clicks.ts, last_seq)
            last_seq = int(seq[-1]) if len(seq) else last_seq
            yield Chunk(span, clicks, seq)


def _cut(world: World, drawn: Clicks, span: Span) -> tuple[Clicks, Clicks]:
    """Return the clicks of a span in log order, and those that come after it."""
    inside = np.flatnonzero((drawn.ts >= span.start) & (drawn.ts < span.end))
    ties = mix(drawn.number[inside] ^ world.key(CLICK_SALT))
    order = np.lexsort((ties, drawn.ts[inside]))
    return drawn.take(inside[order]), drawn.take(drawn.ts >= span.end)


def ahead(items: Iterator[Item]) -> Iterator[Item]:
    """Yield items in order, each made in a thread while the one before is being used.

    >>> list(ahead(iter("abc")))
    ['a', 'b', 'c']
    """
    end = object()
    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(next, items, end)
        while (item := following.result()) is not end:
            following = pool.submit(next, items, end)
            yield cast("Item", item)


def chunk_spans(world: World, chunk_hours: int | None = None) -> list[Span]:
    """Cut the simulated time into chunks of whole hours, none across midnight UTC."""
    per_hour = max(world.scenario.expected_clicks, 1) / len(world.scenario.hours)
    length = chunk_hours or min(max(round(CHUNK_CLICKS / per_hour), 1), 24)
    days = world.scenario.span.cut(24 * HOUR)
    return [
        Span(start, min(start + length * HOUR, day.end))
        for day in days
        for start in range(day.start, day.end, length * HOUR)
    ]


def sequence(ts: Ints, last: int) -> Ints:
    """Stamp clicks in log order: seq = max(seq before + 1, ts), the first after `last`.

    >>> sequence(np.array([5, 5, 5, 9]), 0).tolist()
    [5, 6, 7, 9]
    >>> sequence(np.array([5, 9]), 7).tolist()
    [8, 9]
    """
    steps = np.arange(len(ts))
    return np.maximum(np.maximum.accumulate(ts - steps), last + 1) + steps
