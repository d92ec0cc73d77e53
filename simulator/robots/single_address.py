"""A single-address burst: one machine, with one address and one agent, as fast as it can."""

from typing import Literal

import numpy as np
from pydantic import Field

from simulator.agents import ROBOT_AGENT
from simulator.attack import Attack, starts
from simulator.columns import DEVICES, Clicks, Unit
from simulator.draw import generator
from simulator.market import Market
from simulator.moves import Moves, finish, targets
from simulator.team import RobotKind, RobotSettings, Team


class SingleAddress(Attack):
    """How a single-address burst runs: each of its users is a cookie that it threw away."""

    kind: Literal["single_address"] = "single_address"
    clicks_per_user: float = Field(default=200, ge=0.01)
    logged_in: float = Field(default=0, ge=0, le=1)

    def addresses(self, users: int) -> int:
        """Hold one address, whatever the volume."""
        return 1


def draw(settings: RobotSettings, team: Team, market: Market, unit: Unit) -> Clicks:
    """Draw the burst's clicks in the unit's hour."""
    assert isinstance(settings, SingleAddress)  # noqa: S101
    rng = generator(unit.seed, *unit.place)
    ts = starts(rng, settings, team, unit)
    count = len(ts)
    robot = rng.integers(0, team.users, count)
    chosen = targets(team, market, unit.seed, settings.campaigns)
    moves = Moves(
        ts=ts,
        robot=robot,
        session=unit.numbers(team.users)[robot],
        ip=np.full(count, team.first_address),
        agent=np.full(count, ROBOT_AGENT),
        device=np.full(count, DEVICES.index("desktop")),
        campaign=chosen[rng.integers(0, len(chosen), count)],
    )
    return finish(rng, settings, team, market, unit, moves)


SINGLE_ADDRESS = RobotKind("single_address", SingleAddress, draw, "one machine at full speed")
