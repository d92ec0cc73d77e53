"""Clicks in log order, hour by hour, with the stamps that the live store would give.

A chunk is some hours long, and in none of them an incident begins or ends. How long, and how many
threads draw, changes no row.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TypeVar, cast

import numpy as np

from replay.span import Span
from simulator.bills import Bills
from simulator.columns import HOUR, SPILL_HOURS, Clicks, concatenate
from simulator.draw import Ints, mix
from simulator.fault import Incident
from simulator.scenario import Scenario
from simulator.world import CLICK_SALT, World

CHUNK_CLICKS = 500_000
WARM_HOURS = 80  # a purchase comes at most 72 h after its click, and so does a log that is late

Item = TypeVar("Item")


@dataclass(frozen=True)
class Chunk:
    """The clicks of a few hours of one UTC day, in log order.

    `clicks.ts` is when they happened, all in `span`; `ts` and `seq` are what they were stamped.
    `incidents` are those that went on all the time, `number` counts the chunks from 1.
    """

    span: Span
    clicks: Clicks
    ts: Ints
    seq: Ints
    incidents: tuple[Incident, ...] = ()
    number: int = 1

    def take(self, rows: Ints) -> "Chunk":
        """Return the clicks at these places."""
        return replace(self, clicks=self.clicks.take(rows), ts=self.ts[rows], seq=self.seq[rows])


def chunks(
    world: World,
    chunk_hours: int | None = None,
    threads: int = 2,
    bills: Bills | None = None,
    since: int | None = None,
) -> Iterator[Chunk]:
    """Yield the scenario's clicks; `chunk_hours` is by itself about half a million clicks long.

    Sessions that began in the hour before the start are drawn too, so that it is no cold one.
    With `bills`, robots read them: whoever decides adds each chunk before asking for the next,
    and no chunk is longer than the billing delay, so that what a robot may see is always there.
    With `since` (µs) the first chunks are left out that nothing from then on depends on.
    """
    if bills is not None:
        delay = world.scenario.billing_delay_hours
        chunk_hours = min(chunk_hours or delay, delay)
    timeline = world.scenario.timeline
    numbered = list(enumerate(chunk_spans(world, chunk_hours, since), start=1))
    begin = _warm_from(world.scenario, since)
    numbered = [(number, span) for number, span in numbered if span.end > begin]
    pending: list[Clicks] = []
    last_ts = last_seq = 0
    undrawn = numbered[0][1].start // HOUR - (SPILL_HOURS - 1)

    def draw(unit: tuple[int, int]) -> Clicks:
        return world.draw(*unit, None if bills is None else bills.of(unit[0]))

    with ThreadPoolExecutor(threads) as pool:
        for number, span in numbered:
            hours = range(undrawn, -(-span.end // HOUR))
            undrawn = hours.stop
            units = [(population, hour) for hour in hours for population in world.populations]
            clicks, later = _cut(world, concatenate([*pending, *pool.map(draw, units)]), span)
            pending = [later]
            present = tuple(each for each in timeline if each.goes_on(span.start))
            clock = sum(incident.fault.clock for incident in present)
            ts = stamped(clicks.ts + clock, last_ts)
            seq = sequence(ts, last_seq)
            if len(seq):
                last_ts, last_seq = int(ts[-1]), int(seq[-1])
            yield Chunk(span, clicks, ts, seq, present, number)


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


def _warm_from(scenario: Scenario, since: int | None) -> int:
    """Return from when on clicks must be drawn, so that those of `since` and later are right."""
    if since is None or any(robot.learns for robot in scenario.robots):
        return scenario.span.start
    return max(scenario.span.start, since - WARM_HOURS * HOUR)


def chunk_spans(
    world: World, chunk_hours: int | None = None, since: int | None = None
) -> list[Span]:
    """Cut the simulated time into chunks: none across midnight UTC or a turn of an incident.

    Nor is any across `since` (µs).
    """
    scenario = world.scenario
    per_hour = max(scenario.expected_clicks, 1) / len(scenario.hours)
    length = chunk_hours or min(max(round(CHUNK_CLICKS / per_hour), 1), 24)
    if scenario.production:
        length = min(length, scenario.billing_delay_hours)
    edges = {scenario.span.end, *_turns(scenario.timeline, scenario.span)}
    edges |= {at for at in (since, scenario.promoted_at) if at is not None}
    for day in scenario.span.cut(24 * HOUR):
        edges.update(range(day.start, day.end, length * HOUR))
    return [Span(*pair) for pair in pairwise(sorted(edges))]


def _turns(timeline: Sequence[Incident], span: Span) -> Iterator[int]:
    """Yield the moments inside `span` at which something about an incident changes."""
    for incident in timeline:
        yield from (moment for moment in incident.turns if span.start < moment < span.end)


def stamped(clock: Ints, last: int) -> Ints:
    """Stamp clicks as the store does, by its clock but never before the last: ts in µs.

    >>> stamped(np.array([5, 9, 3, 12]), 7).tolist()
    [7, 9, 9, 12]
    """
    return np.maximum(np.maximum.accumulate(clock), last) if len(clock) else clock


def sequence(ts: Ints, last: int) -> Ints:
    """Stamp clicks in log order: seq = max(seq before + 1, ts), the first after `last`.

    >>> sequence(np.array([5, 5, 5, 9]), 0).tolist()
    [5, 6, 7, 9]
    >>> sequence(np.array([5, 9]), 7).tolist()
    [8, 9]
    """
    steps = np.arange(len(ts))
    return np.maximum(np.maximum.accumulate(ts - steps), last + 1) + steps
