"""Background robots: scripts that are always there, in long and quick sessions.

Most come from data centres, some from behind people's home addresses; all campaigns suffer alike.
"""

from typing import Literal

import numpy as np
from pydantic import Field

from simulator.agents import ROBOT_AGENT, agent_of
from simulator.columns import HOUR, Clicks, Unit
from simulator.draw import generator, weighted, weights_of
from simulator.market import Market
from simulator.moves import SECOND, Moves, browse, finish, sessions
from simulator.team import Hosted, RobotKind, RobotSettings, Team

DEVICE_SHARES = (0.55, 0.3, 0.05, 0.1)
MAX_SESSION = 150


class Background(Hosted):
    """How background robots behave."""

    kind: Literal["background"] = "background"
    mean_session: float = Field(default=22, ge=1, le=100)
    gap_seconds: float = Field(default=6, gt=0, le=600)
    residential: float = Field(default=0.25, ge=0, le=1)
    script_agent: float = Field(default=0.15, ge=0, le=1)
    whole_second_share: float = Field(default=0.5, ge=0, le=1)


def draw(settings: RobotSettings, team: Team, market: Market, unit: Unit) -> Clicks:
    """Draw the sessions that begin in the unit's hour."""
    assert isinstance(settings, Background)  # noqa: S101
    rng = generator(unit.seed, *unit.place)
    per_hour = settings.share * team.clicks_per_day / 24
    count = int(rng.poisson(per_hour / settings.mean_session))
    robot = rng.integers(0, team.users, count)
    device = weighted(rng, weights_of(DEVICE_SHARES), count)
    address = team.first_address + robot % team.addresses
    behind_home = rng.random(count) < settings.residential
    ip = np.where(behind_home, team.home(rng.integers(0, len(team.homes), count)), address)
    script = rng.random(count) < settings.script_agent
    agent = np.where(script, ROBOT_AGENT, agent_of(team.first_user + robot, device))
    whole = rng.random(count) < settings.whole_second_share
    start = unit.start + rng.integers(0, HOUR, count)
    lengths = np.minimum(rng.geometric(1 / settings.mean_session, count), MAX_SESSION)
    row, offset = sessions(rng, lengths, settings.gap_seconds)
    ts = start[row] + offset
    moves = Moves(
        ts=np.where(whole[row], ts // SECOND * SECOND, ts),
        robot=robot[row],
        session=unit.numbers(count)[row],
        ip=ip[row],
        agent=agent[row],
        device=device[row],
        campaign=browse(rng, team, market, len(row)),
    )
    return finish(rng, settings, team, market, unit, moves)


BACKGROUND = RobotKind("background", Background, draw, "scripts that are always there")
