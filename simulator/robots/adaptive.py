"""An adaptive robot: it reads its bills, and changes rate, address and agent to stay under.

It works in stages of two billing delays. The first half of a stage is on the bills by the stage's
end, and decides the next one. Where more of its clicks were invalidated than it puts up with, it
slows down, moves to fresh addresses (people's homes, and twice as many each time) and to other
agents. Where not, it is bolder again, by less. Without bills it stays as it began.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from simulator.agents import ROBOT_AGENT, agent_of
from simulator.columns import DEVICES, HOUR, Billed, Clicks, Unit
from simulator.draw import generator
from simulator.market import Market
from simulator.moves import Moves, browse, finish, sessions
from simulator.team import Hosted, RobotKind, RobotSettings, Team

MAX_SESSION = 150


class Adaptive(Hosted):
    """How the robot begins, and how it learns.

    `tolerance` is the share of invalidated clicks that it puts up with. Its rate is multiplied by
    `back_off` where it was caught and by `recover` where not, and stays between `least` and 1.
    """

    learns: ClassVar[bool] = True

    kind: Literal["adaptive"] = "adaptive"
    mean_session: float = Field(default=20, ge=1, le=100)
    gap_seconds: float = Field(default=6, gt=0, le=600)
    tolerance: float = Field(default=0.1, ge=0, le=1)
    back_off: float = Field(default=0.4, gt=0, lt=1)
    recover: float = Field(default=1.25, gt=1, le=10)
    least: float = Field(default=0.02, gt=0, le=1)


@dataclass(frozen=True)
class Tactic:
    """How it clicks: `rate` against its first, and how often it has moved."""

    rate: float = 1.0
    moves: int = 0

    def after(self, settings: Adaptive, invalid_share: float) -> "Tactic":
        """Return the next stage's tactic.

        >>> robot = Adaptive(share=0.1)
        >>> Tactic().after(robot, 0.5)
        Tactic(rate=0.4, moves=1)
        >>> Tactic(0.4, 1).after(robot, 0.1)
        Tactic(rate=0.5, moves=1)
        """
        if invalid_share > settings.tolerance:
            return Tactic(max(self.rate * settings.back_off, settings.least), self.moves + 1)
        return Tactic(min(self.rate * settings.recover, 1.0), self.moves)


def tactic(settings: Adaptive, team: Team, hour: int, bills: Mapping[int, Billed]) -> Tactic:
    """Return how it clicks in an hour (since the epoch), from the bills that it has seen."""
    delay, now = team.billing_delay, Tactic()
    begin = max(team.begin, team.window.start // HOUR)
    for stage in range(begin, hour - 2 * delay + 1, 2 * delay):
        judged = [bills[at] for at in range(stage, stage + delay) if at in bills]
        clicks = sum(bill.clicks for bill in judged)
        now = now.after(settings, sum(bill.invalid for bill in judged) / max(clicks, 1))
    return now


def draw(settings: RobotSettings, team: Team, market: Market, unit: Unit) -> Clicks:
    """Draw the sessions that begin in the unit's hour."""
    assert isinstance(settings, Adaptive)  # noqa: S101
    rng = generator(unit.seed, *unit.place)
    now = tactic(settings, team, unit.hour, unit.feedback)
    mean_length = max(settings.mean_session * now.rate, 1.0)
    per_hour = now.rate * settings.share * team.clicks_per_day / 24
    count = int(rng.poisson(per_hour / mean_length))
    robot = rng.integers(0, team.users, count)
    place = robot % (team.addresses * 2 ** min(now.moves, 40))
    device = np.full(count, DEVICES.index("desktop"))
    if now.moves:
        ip = team.home(place + now.moves * team.users)
        agent = agent_of(team.first_user + robot + now.moves, device)
    else:
        ip, agent = team.first_address + place, np.full(count, ROBOT_AGENT)
    lengths = np.minimum(rng.geometric(1 / mean_length, count), MAX_SESSION)
    row, offset = sessions(rng, lengths, settings.gap_seconds / now.rate)
    moves = Moves(
        ts=unit.start + rng.integers(0, HOUR, count)[row] + offset,
        robot=robot[row],
        session=unit.numbers(count)[row],
        ip=ip[row],
        agent=agent[row],
        device=device[row],
        campaign=browse(rng, team, market, len(row)),
    )
    return finish(rng, settings, team, market, unit, moves)


ADAPTIVE = RobotKind("adaptive", Adaptive, draw, "reads its bills and changes to stay under")
