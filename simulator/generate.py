"""Clicks in log order, hour by hour, with the stamps that the live store would give.

A chunk is some hours long, or a part of a busy one, and in none of them an incident begins or ends.
How long, and how many threads draw, changes no row.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt

from replay.span import Span
from simulator.bills import Bills
from simulator.columns import HOUR, SPILL_HOURS, Clicks
from simulator.draw import Ints, Words, mix
from simulator.fault import Incident
from simulator.rhythm import DAY_HOURS, volume
from simulator.scenario import Scenario
from simulator.world import CLICK_SALT, World

CHUNK_CLICKS = 500_000  # about: some chunks exist at once, and each is a commit
WARM_HOURS = 80  # a purchase comes at most 72 h after its click, and so does a log that is late


@dataclass(frozen=True)
class Chunk:
    """The clicks of a few hours of one UTC day, or of a part of an hour, in log order.

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
    """Yield the scenario's clicks in chunks of `chunk_hours`, by itself of about CHUNK_CLICKS.

    Sessions that began in the hour before the start are drawn too, so that it is no cold one.
    With `bills`, robots read them: whoever decides adds each chunk before asking for the next. No
    chunk is longer than the billing delay then, so that what a robot may see is always there.
    With `since` (µs) the first chunks are left out that nothing from then on depends on.
    """
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
            pending.extend(pool.map(draw, units))
            clicks = _cut(world, pending, span)
            later = [_later(drawn, span.end) for drawn in pending]
            pending = [drawn for drawn in later if len(drawn)] or later[:1]
            present = tuple(each for each in timeline if each.goes_on(span.start))
            clock = sum(incident.fault.clock for incident in present)
            ts = stamped(clicks.ts + clock, last_ts)
            seq = sequence(ts, last_seq)
            if len(seq):
                last_ts, last_seq = int(ts[-1]), int(seq[-1])
            yield Chunk(span, clicks, ts, seq, present, number)


def _cut(world: World, drawn: Sequence[Clicks], span: Span) -> Clicks:
    """Return the clicks of a span in log order; column by column, since hours may be large."""
    rows = [np.flatnonzero((each.ts >= span.start) & (each.ts < span.end)) for each in drawn]

    def column(name: str) -> npt.NDArray[Any]:
        pairs = zip(drawn, rows, strict=True)
        return np.concatenate([getattr(each, name).take(mine) for each, mine in pairs])

    ties = mix(column("number") ^ world.key(CLICK_SALT))
    order = log_order(column("ts") - span.start, ties)
    return Clicks(**{field.name: column(field.name).take(order) for field in fields(Clicks)})


def _later(drawn: Clicks, end: int) -> Clicks:
    """Return clicks without those before `end` (µs), or with some where they are few."""
    rest = drawn.ts >= end
    return drawn if 2 * np.count_nonzero(rest) > len(drawn) else drawn.take(rest)


def log_order(after: Ints, ties: Words) -> Ints:
    """Return the rows by µs `after` some moment (0 ≤ after < 2^38: three days), then by `ties`.

    >>> log_order(np.array([5, 3, 5]), np.array([2 << 60, 0, 1 << 60], np.uint64)).tolist()
    [1, 2, 0]
    """
    # One number sorts much faster than two columns; hardly ever do its tie bits not suffice.
    keys = after.astype(np.uint64) << np.uint64(26) | ties >> np.uint64(38)
    order = np.argsort(keys)
    in_order = keys[order]
    return np.lexsort((ties, after)) if (in_order[1:] == in_order[:-1]).any() else order


def _warm_from(scenario: Scenario, since: int | None) -> int:
    """Return from when on clicks must be drawn, so that those of `since` and later are right."""
    if since is None or any(robot.learns for robot in scenario.robots):
        return scenario.span.start
    return max(scenario.span.start, since - WARM_HOURS * HOUR)


def chunk_spans(
    world: World, chunk_hours: int | None = None, since: int | None = None
) -> list[Span]:
    """Cut the simulated time into chunks: none across midnight UTC or a turn of an incident.

    Nor is any across `since` (µs), or longer than the billing delay where bills matter.
    """
    scenario = world.scenario
    length = chunk_hours or DAY_HOURS
    if scenario.production or any(robot.learns for robot in scenario.robots):
        length = min(length, scenario.billing_delay_hours)
    edges = {scenario.span.end, *_turns(scenario.timeline, scenario.span)}
    edges |= {at for at in (since, scenario.promoted_at) if at is not None}
    for day in scenario.span.cut(DAY_HOURS * HOUR):
        edges.update(range(day.start, day.end, length * HOUR))
        if chunk_hours is None and scenario.production is None:
            edges.update(_busy(world, day))
    return [Span(*pair) for pair in pairwise(sorted(edges))]


def _busy(world: World, day: Span) -> Iterator[int]:
    """Yield where a day is cut so that hardly any chunk has more than CHUNK_CLICKS."""
    clicks = 0.0
    for hour in range(day.start // HOUR, day.end // HOUR):
        more = _expected(world, hour)
        if clicks + more > CHUNK_CLICKS:
            parts = ceil(more / CHUNK_CLICKS)
            yield from (hour * HOUR + part * HOUR // parts for part in range(parts))
            clicks = more / parts
        else:
            clicks += more


def _expected(world: World, hour: int) -> float:
    """About how many clicks an hour (since the epoch) has, robots' included."""
    scenario, at = world.scenario, hour * HOUR
    days = volume(world.people, hour) / DAY_HOURS
    for robot, team in zip(scenario.robots, world.teams, strict=True):
        if team.window.start < at + HOUR and at < team.window.end:
            days += robot.total(scenario.days) / (robot.hours or scenario.days * DAY_HOURS)
    return days * scenario.clicks_per_day * scenario.logged


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
