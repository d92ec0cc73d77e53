"""A rival: somebody who pays to have one competitor's campaign emptied while its people sleep.

Its robots sit in data centres and, in part, behind people's homes; each clicks once or twice.
"""

from typing import Literal

import numpy as np
from pydantic import Field

from simulator.agents import agent_of
from simulator.columns import HOUR, Clicks, Unit
from simulator.draw import generator, weighted, weights_of
from simulator.market import Market
from simulator.moves import Moves, finish, sessions, targets
from simulator.team import Hosted, RobotKind, RobotSettings, Team

DEVICE_SHARES = (0.7, 0.3, 0.0, 0.0)
MAX_SESSION = 8


class Rival(Hosted):
    """How the rival works: every night from `night_begins` (local hour) for `night_hours`.

    `share` is for one night. `aims` names one campaign; without, the seed chooses it.
    """

    kind: Literal["rival"] = "rival"
    aims: tuple[str, ...] = Field(default=(), max_length=1)
    clicks_per_user: float = Field(default=15, ge=0.01)
    buys: float = Field(default=0, ge=0, le=1)
    zone: int = Field(default=0, ge=-12, le=14)
    night_begins: int = Field(default=1, ge=0, le=23)
    night_hours: int = Field(default=4, ge=1, le=12)
    residential: float = Field(default=0.5, ge=0, le=1)
    mean_session: float = Field(default=1.5, ge=1, le=4)
    gap_seconds: float = Field(default=45, gt=0, le=600)


def draw(settings: RobotSettings, team: Team, market: Market, unit: Unit) -> Clicks:
    """Draw the clicks of the unit's hour: none by day, and none after the night's end."""
    assert isinstance(settings, Rival)  # noqa: S101
    rng = generator(unit.seed, *unit.place)
    tonight = (unit.hour + settings.zone - settings.night_begins) % 24
    at_night = tonight < settings.night_hours
    clicks = at_night * settings.share * team.clicks_per_day / settings.night_hours
    count = int(rng.poisson(clicks / settings.mean_session))
    robot = rng.integers(0, team.users, count)
    device = weighted(rng, weights_of(DEVICE_SHARES), count)
    hosted = team.first_address + robot % team.addresses
    ip = np.where(rng.random(count) < settings.residential, team.home(robot), hosted)
    lengths = np.minimum(rng.geometric(1 / settings.mean_session, count), MAX_SESSION)
    row, offset = sessions(rng, lengths, settings.gap_seconds)
    moves = Moves(
        ts=unit.start + rng.integers(0, HOUR, count)[row] + offset,
        robot=robot[row],
        session=unit.numbers(count)[row],
        ip=ip[row],
        agent=agent_of(team.first_user + robot, device)[row],
        device=device[row],
        campaign=np.full(len(row), targets(team, market, unit.seed, 1)[0]),
    )
    drawn = finish(rng, settings, team, market, unit, moves)
    dawn = unit.start + (settings.night_hours - tonight) * HOUR
    return drawn.take(drawn.ts < dawn)


RIVAL = RobotKind("rival", Rival, draw, "drains one campaign at night")
