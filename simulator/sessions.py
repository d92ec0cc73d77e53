"""The shape of a session: how many clicks, how far apart, which of them repeat one before.

Times and lengths are drawn from tables of equally likely values, so that no rounding depends on the
processor and a draw costs a look-up.
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from simulator.columns import DEVICES
from simulator.draw import Flags, Ints

SECOND = 1_000_000
STEPS = 8192
LONGEST = 80
MEDIAN_LENGTH, LENGTH_SIGMA = 2.35, 0.95
THINK_SECONDS = {"desktop": 40.0, "mobile_web": 33.0, "mobile_app": 29.0, "tablet": 44.0}
THINK_SIGMA = 0.95
LEAST_THINK, MOST_THINK = 0.8, 1800.0
DOUBLE_CLICK = np.array([0.015, 0.035, 0.025, 0.03])  # by device
REVISIT = np.array([0.06, 0.45])  # of clicks, by whether the person compares
FARTHEST_REVISIT = 4  # clicks back
COMPARER_HASTE = 0.6  # of the time that others take


def lognormal_table(median: float, sigma: float) -> tuple[float, ...]:
    """Return STEPS equally likely values of a lognormal."""
    draw = NormalDist(np.log(median), sigma).inv_cdf
    return tuple(float(np.exp(draw((step + 0.5) / STEPS))) for step in range(STEPS))


# Clicks in a session: median 2, and one in a hundred has 21 or more.
LENGTHS = np.array(
    [int(min(max(v, 1.0), LONGEST)) for v in lognormal_table(MEDIAN_LENGTH, LENGTH_SIGMA)]
)
MEAN_LENGTH = float(LENGTHS.mean())
THINK = np.array([
    round(min(max(value, LEAST_THINK), MOST_THINK) * SECOND)
    for device in DEVICES
    for value in lognormal_table(THINK_SECONDS[device], THINK_SIGMA)
])  # fmt: skip


@dataclass(frozen=True)
class Shape:
    """Clicks of many sessions after one another.

    `session` is the row of each click's session, `offset` the time since it began (µs), `source`
    the click whose ad it repeats, or the click itself.
    """

    session: Ints
    offset: Ints
    source: Ints


def draw_lengths(rng: np.random.Generator, count: int) -> Ints:
    """Draw how many clicks each session has."""
    lengths: Ints = LENGTHS[rng.integers(0, STEPS, count)]
    return lengths


def draw_shape(rng: np.random.Generator, lengths: Ints, device: Ints, comparer: Flags) -> Shape:
    """Draw the clicks of sessions of these lengths, on these devices, by these people."""
    session = np.repeat(np.arange(len(lengths)), lengths)  # (clicks,)
    count = len(session)
    start = np.cumsum(lengths) - lengths
    place = np.arange(count) - start[session]
    on, compares = device[session], comparer[session]
    gaps = THINK[on * STEPS + rng.integers(0, STEPS, count)]
    gaps = np.where(compares, (gaps * COMPARER_HASTE).astype(np.int64), gaps)
    mark = rng.random(count)
    doubled = (mark < DOUBLE_CLICK[on]) & (place > 0)
    gaps[doubled] = rng.integers(150_000, 900_000, int(doubled.sum()))
    gaps[start] = 0
    total = np.cumsum(gaps)
    source = _sources(rng, place, doubled, mark > 1 - REVISIT[compares.astype(np.int64)])
    return Shape(session, total - total[start][session], source)


def _sources(rng: np.random.Generator, place: Ints, doubled: Flags, revisits: Flags) -> Ints:
    """Return the click that each click repeats: the one before, or one to which people go back."""
    rows = np.arange(len(place))
    back = np.flatnonzero(revisits & (place > 1))
    source = rows.copy()
    source[back] -= np.minimum(rng.integers(2, FARTHEST_REVISIT + 1, len(back)), place[back])
    # A double click repeats what the click before shows, be that itself a repetition.
    return source[np.maximum.accumulate(np.where(doubled, 0, rows))]
