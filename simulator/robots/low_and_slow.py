"""Low and slow: one infected machine in each of many homes, and few clicks from each.

An hour is cut into as many slots as an address may click, and no slot sees two clicks. So an
address has at most `clicks_per_hour` in an hour of the clock, and one more in any 3,600 s. There
are never more machines than homes: a share that would take more is not reached.
"""

from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from simulator.agents import agent_of
from simulator.columns import HOUR, Clicks, Unit
from simulator.draw import Ints, generator, weighted, weights_of
from simulator.market import Market
from simulator.moves import Moves, browse, finish
from simulator.team import RobotKind, RobotSettings, Team

DEVICE_SHARES = (0.7, 0.2, 0.0, 0.1)


class LowAndSlow(RobotSettings):
    """How the machines behave; `clicks_per_user` is for a day."""

    kind: Literal["low_and_slow"] = "low_and_slow"
    clicks_per_user: float = Field(default=12, ge=0.01)
    clicks_per_hour: int = Field(default=2, ge=1, le=60)

    @model_validator(mode="after")
    def _room(self) -> Self:
        if self.clicks_per_user > 12 * self.clicks_per_hour:
            raise ValueError(
                f"clicks_per_user {self.clicks_per_user:g} a day does not fit with "
                f"clicks_per_hour {self.clicks_per_hour}: give at most {12 * self.clicks_per_hour}"
            )
        return self


def draw(settings: RobotSettings, team: Team, market: Market, unit: Unit) -> Clicks:
    """Draw the clicks of the unit's hour."""
    assert isinstance(settings, LowAndSlow)  # noqa: S101
    rng = generator(unit.seed, *unit.place)
    slots = min(team.users, len(team.homes)) * settings.clicks_per_hour
    count = min(int(rng.poisson(settings.share * team.clicks_per_day / 24)), slots)
    slot = rng.choice(slots, count, replace=False).astype(np.int64)
    robot = slot // settings.clicks_per_hour
    device = devices(team, unit.seed)[robot]
    length = HOUR // settings.clicks_per_hour
    moves = Moves(
        ts=unit.start + slot % settings.clicks_per_hour * length + rng.integers(0, length, count),
        robot=robot,
        session=unit.numbers(count),
        ip=team.home(robot),
        agent=agent_of(team.first_user + robot, device),
        device=device,
        campaign=browse(rng, team, market, count),
    )
    return finish(rng, settings, team, market, unit, moves)


def devices(team: Team, seed: int) -> Ints:
    """Return what each machine is: the same in every hour."""
    return weighted(generator(seed, team.population), weights_of(DEVICE_SHARES), team.users)


LOW_AND_SLOW = RobotKind(
    "low_and_slow", LowAndSlow, draw, "few clicks an hour from each of many homes"
)
