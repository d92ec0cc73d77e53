"""Human bursts: flash sales and holidays. Nothing in them is a robot's.

A flash sale brings extra sessions at once, and fewer with every half-life; most of their clicks go
to the sale's few campaigns. A holiday lifts whole hours, with a weekend's rhythm and empty offices.
"""

from math import exp2, log
from typing import Literal

import numpy as np
from pydantic import Field

from simulator.columns import HOUR
from simulator.draw import Ints
from simulator.settings import Settings

MINUTE = 60_000_000


class FlashSale(Settings):
    """A sale: sessions rise to `lift` times the usual at its start; `focus` of clicks are for it.

    `begins_hour` counts from the scenario's start. `purchase_lift` is how much more often a click
    of the sale's sessions is followed by a purchase.
    """

    kind: Literal["flash_sale"] = "flash_sale"
    begins_hour: float = Field(ge=0)
    hours: float = Field(ge=0.01, le=24 * 30)
    lift: float = Field(default=8, gt=1, le=1000)
    half_life_minutes: float = Field(default=25, gt=0, le=100_000)
    campaigns: int = Field(default=2, ge=1)
    focus: float = Field(default=0.8, ge=0, le=1)
    purchase_lift: float = Field(default=2, ge=0, le=20)

    def mass(self, begin: int, hour: int) -> float:
        """Hours' worth of sessions at the peak that fall into an hour; `begin` is the scenario's.

        >>> sale = FlashSale(begins_hour=1, hours=2, half_life_minutes=60)
        >>> [round(sale.mass(0, hour) / sale.mass(0, 1), 2) for hour in range(4)]
        [0.0, 1.0, 0.5, 0.0]
        """
        low, high = self._inside(begin, hour)
        return (exp2(-low) - exp2(-high)) * self.half_life_minutes / 60 / log(2)

    def starts(self, rng: np.random.Generator, begin: int, hour: int, count: int) -> Ints:
        """Draw when sessions of the sale begin in an hour, µs; more of them earlier."""
        low, high = self._inside(begin, hour)
        marks = exp2(-low) - rng.random(count) * (exp2(-low) - exp2(-high))
        after = np.rint(-np.log2(marks) * self.half_life_minutes * MINUTE).astype(np.int64)
        starts: Ints = round((begin + self.begins_hour) * HOUR) + after
        return starts

    def _inside(self, begin: int, hour: int) -> tuple[float, float]:
        """The part of the sale that lies in an hour, in half-lives after its start."""
        low = min(max(hour - begin - self.begins_hour, 0), self.hours)
        high = min(max(hour + 1 - begin - self.begins_hour, 0), self.hours)
        return low * 60 / self.half_life_minutes, high * 60 / self.half_life_minutes


class Holiday(Settings):
    """Hours with `lift` times the usual sessions, a weekend's rhythm, and few people at work."""

    kind: Literal["holiday"] = "holiday"
    begins_hour: float = Field(ge=0)
    hours: float = Field(ge=0.01, le=24 * 30)
    lift: float = Field(default=1.4, gt=0, le=100)
    at_work: float = Field(default=0.1, ge=0, le=1)

    def holds(self, begin: int, hour: int) -> bool:
        """Whether an hour begins in it."""
        return self.begins_hour <= hour - begin < self.begins_hour + self.hours


Surge = FlashSale | Holiday
SURGES: dict[str, type[Settings]] = {"flash_sale": FlashSale, "holiday": Holiday}


def holiday_of(surges: tuple[Surge, ...], begin: int, hour: int) -> Holiday | None:
    """Return the first holiday in which an hour begins, or None."""
    for surge in surges:
        if isinstance(surge, Holiday) and surge.holds(begin, hour):
            return surge
    return None
