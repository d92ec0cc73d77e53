"""What robots that come for some hours at a few campaigns share."""

import numpy as np
from pydantic import Field

from simulator.columns import HOUR, Unit
from simulator.draw import Ints
from simulator.team import RobotSettings, Team


class Attack(RobotSettings):
    """Robots that come once: `share` is the whole attack against a day of humans' clicks.

    They drain their aims or, without any, as many campaigns as `campaigns` says.
    """

    begins_hour: float = Field(ge=0)
    hours: float = Field(ge=0.01, le=24 * 30)
    campaigns: int = Field(default=4, ge=1)

    def total(self, days: float) -> float:
        """Return the clicks of the whole attack, in days of the humans' clicks."""
        return self.share


def starts(
    rng: np.random.Generator, settings: Attack, team: Team, unit: Unit, length: float = 1.0
) -> Ints:
    """Draw when the attack's sessions, of `length` clicks on average, begin in the unit's hour."""
    low, high = max(team.window.start, unit.start), min(team.window.end, unit.start + HOUR)
    inside = max(high - low, 0)
    total = settings.share * team.clicks_per_day / length
    count = int(rng.poisson(total * inside / team.window.length))
    return low + rng.integers(0, max(inside, 1), count)
