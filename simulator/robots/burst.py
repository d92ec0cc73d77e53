"""A burst: for some hours, many users behind a set of data-centre addresses drain few campaigns.

Its clicks carry whole-second times, so that many share one.
"""

from typing import Literal

import numpy as np
from pydantic import Field

from simulator.agents import agent_of
from simulator.columns import HOUR, Clicks, Unit
from simulator.draw import Ints, generator, weighted, weights_of
from simulator.market import Market
from simulator.team import Moves, RobotKind, RobotSettings, Team, finish

SECOND = 1_000_000
DEVICE_SHARES = (0.6, 0.4, 0.0, 0.0)
SESSION_MINUTES = 20
SESSIONS_PER_HOUR = 60 // SESSION_MINUTES


class Burst(RobotSettings):
    """How a burst runs: `share` is the whole burst against a day of humans' clicks."""

    kind: Literal["burst"] = "burst"
    begins_hour: float = Field(ge=0)
    hours: float = Field(gt=0, le=24 * 30)
    campaigns: int = Field(default=4, ge=1)

    def active(self) -> tuple[float, float]:
        """Hours after the start, [from, to)."""
        return self.begins_hour, self.begins_hour + self.hours


def targets(settings: Burst, team: Team, market: Market, seed: int) -> Ints:
    """Choose the campaigns to drain: the same ones in every hour of the burst."""
    rng = generator(seed, team.population)
    count = min(settings.campaigns, len(market.bid))
    return rng.choice(len(market.bid), count, replace=False).astype(np.int64)


def draw(settings: RobotSettings, team: Team, market: Market, unit: Unit) -> Clicks:
    """Draw the burst's clicks in the unit's hour; an hour partly inside gets its part."""
    assert isinstance(settings, Burst)  # noqa: S101
    rng = generator(unit.seed, *unit.place)
    begin, end = (round((team.begin + hours) * HOUR) for hours in settings.active())
    low, high = max(begin, unit.start), min(end, unit.start + HOUR)
    inside = max(high - low, 0)
    total = settings.share * team.clicks_per_day
    count = int(rng.poisson(total * inside / (settings.hours * HOUR)))
    ts = (low + rng.integers(0, max(inside, 1), count)) // SECOND * SECOND
    robot = rng.integers(0, team.users, count)
    piece = (ts - unit.start) // (SESSION_MINUTES * 60 * SECOND)
    # A robot changes its address with each session, and comes back to it.
    address = (robot + piece * 5) % team.addresses
    device = weighted(rng, weights_of(DEVICE_SHARES), team.users)[robot]
    chosen = targets(settings, team, market, unit.seed)
    moves = Moves(
        ts=ts,
        robot=robot,
        session=unit.numbers(team.users * SESSIONS_PER_HOUR)[robot * SESSIONS_PER_HOUR + piece],
        ip=team.first_address + address,
        agent=agent_of(team.first_user + robot, device),
        device=device,
        campaign=chosen[rng.integers(0, len(chosen), count)],
    )
    return finish(rng, settings, team, market, unit, moves)


BURST = RobotKind("burst", Burst, draw, "many users behind data-centre addresses, for some hours")
