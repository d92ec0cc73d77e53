"""A distributed burst behind residential proxies: each session leaves through somebody's home.

The proxies are people's own addresses, so an address has a few robot clicks among its people's.
"""

from typing import Literal

import numpy as np
from pydantic import Field

from simulator.agents import agent_of
from simulator.attack import Attack, starts
from simulator.columns import Clicks, Unit
from simulator.draw import generator, weighted, weights_of
from simulator.market import Market
from simulator.moves import Moves, finish, sessions, targets
from simulator.team import RobotKind, RobotSettings, Team

DEVICE_SHARES = (0.6, 0.4, 0.0, 0.0)
MAX_SESSION = 20


class ResidentialProxy(Attack):
    """How the burst runs; `enrolled` is the share of homes with a proxy in them."""

    kind: Literal["residential_proxy"] = "residential_proxy"
    clicks_per_user: float = Field(default=12, ge=0.01)
    enrolled: float = Field(default=0.3, gt=0, le=1)
    mean_session: float = Field(default=3, ge=1, le=10)
    gap_seconds: float = Field(default=25, gt=0, le=600)


def draw(settings: RobotSettings, team: Team, market: Market, unit: Unit) -> Clicks:
    """Draw the sessions that begin in the unit's hour."""
    assert isinstance(settings, ResidentialProxy)  # noqa: S101
    rng = generator(unit.seed, *unit.place)
    start = starts(rng, settings, team, unit, settings.mean_session)
    count = len(start)
    robot = rng.integers(0, team.users, count)
    proxies = max(round(settings.enrolled * len(team.homes)), 1)
    ip = team.home(rng.integers(0, proxies, count))
    device = weighted(rng, weights_of(DEVICE_SHARES), team.users)[robot]
    lengths = np.minimum(rng.geometric(1 / settings.mean_session, count), MAX_SESSION)
    row, offset = sessions(rng, lengths, settings.gap_seconds)
    chosen = targets(team, market, unit.seed, settings.campaigns)
    moves = Moves(
        ts=start[row] + offset,
        robot=robot[row],
        session=unit.numbers(count)[row],
        ip=ip[row],
        agent=agent_of(team.first_user + robot, device)[row],
        device=device[row],
        campaign=chosen[rng.integers(0, len(chosen), len(row))],
    )
    return finish(rng, settings, team, market, unit, moves)


RESIDENTIAL_PROXY = RobotKind(
    "residential_proxy", ResidentialProxy, draw, "a burst spread over people's home addresses"
)
