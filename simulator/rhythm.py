"""How many people come in which hour: the day, the week, holidays and sales."""

import numpy as np

from simulator.people import People
from simulator.surges import FlashSale, holiday_of

# Share of a day's sessions that begin in each local hour, in hundredths of the hourly mean.
WORKDAY = np.array([
    56, 34, 20, 14, 12, 16, 34, 66, 98, 110, 114, 118,
    128, 122, 118, 116, 116, 124, 136, 146, 156, 158, 142, 100,
])  # fmt: skip
WEEKEND = np.array([
    72, 46, 28, 18, 14, 14, 22, 40, 70, 100, 120, 130,
    134, 132, 130, 130, 128, 128, 134, 142, 150, 150, 136, 102,
])  # fmt: skip
WEEKEND_LIFT = 1.12  # against a working day
MEAN_DAY = (5 + 2 * WEEKEND_LIFT) / 7
DAY_HOURS = 24


def is_weekend(hour: int, offset: int) -> bool:
    """Whether an hour since the epoch lies on a Saturday or Sunday, `offset` hours from UTC."""
    return ((hour + offset) // DAY_HOURS + 3) % 7 >= 5  # the epoch was a Thursday


def rhythm(hour: int, offset: int, *, holiday: bool = False) -> float:
    """Return activity against the average in an hour since the epoch, `offset` hours from UTC.

    A holiday has a weekend's curve, on the level of a working day.

    >>> rhythm(20, 0) > 1 > rhythm(4, 0) and rhythm(20, 0) == rhythm(15, 5)
    True
    """
    weekend = is_weekend(hour, offset)
    curve = WEEKEND if weekend or holiday else WORKDAY
    level = (WEEKEND_LIFT if weekend else 1.0) / MEAN_DAY
    return float(curve[(hour + offset) % DAY_HOURS] / curve.mean()) * level


def usual(people: People, hour: int, zone: int) -> float:
    """Return one zone's activity in an hour against the average, holidays included."""
    holiday = holiday_of(people.settings.surges, people.begin, hour)
    level = rhythm(hour, int(people.offsets[zone]), holiday=holiday is not None)
    return level * (holiday.lift if holiday else 1.0)


def volume(people: People, hour: int) -> float:
    """Return the expected clicks of an hour against an average hour, sales included."""
    shares = people.zone_shares
    level = sum(float(share) * usual(people, hour, z) for z, share in enumerate(shares))
    sales = [surge for surge in people.settings.surges if isinstance(surge, FlashSale)]
    return level * (1 + sum((sale.lift - 1) * sale.mass(people.begin, hour) for sale in sales))
