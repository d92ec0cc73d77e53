"""Session mimics: they replay sessions of people, recorded the day before, with jitter.

A replayed session keeps its clicks, its campaigns, its search and its device; its gaps are
stretched or shrunk a little, and it leaves from a home address under another identity.
"""

from typing import Literal

import numpy as np
from pydantic import Field

from simulator.agents import agent_of
from simulator.columns import HOUR, Clicks, Unit
from simulator.draw import generator
from simulator.market import Market
from simulator.moves import Moves, finish
from simulator.rhythm import rhythm
from simulator.team import RobotKind, RobotSettings, Team


class SessionMimic(RobotSettings):
    """How mimics behave.

    `records` is the hour, UTC, of the day before from which every session is taken; `jitter` is
    the standard deviation of a gap's logarithm against the recorded gap's. They are as active as
    people in `zone` are.
    """

    kind: Literal["session_mimic"] = "session_mimic"
    clicks_per_user: float = Field(default=6, ge=0.01)
    logged_in: float = Field(default=0.5, ge=0, le=1)
    buys: float = Field(default=0, ge=0, le=1)
    records: int = Field(default=20, ge=0, le=23)
    jitter: float = Field(default=0.15, ge=0, le=2)
    zone: int = Field(default=0, ge=-12, le=14)


def draw(settings: RobotSettings, team: Team, market: Market, unit: Unit) -> Clicks:
    """Draw the sessions that are replayed from the unit's hour on."""
    assert isinstance(settings, SessionMimic)  # noqa: S101
    rng = generator(unit.seed, *unit.place)
    record = team.watch((unit.hour // 24 - 1) * 24 + settings.records)
    first = np.flatnonzero(np.diff(record.session, prepend=~record.session[:1]))
    length = np.diff(first, append=len(record))
    clicks = settings.share * team.clicks_per_day / 24 * rhythm(unit.hour, settings.zone)
    count = int(rng.poisson(clicks * len(first) / max(len(record), 1)))
    chosen = rng.integers(0, max(len(first), 1), count)
    robot = rng.integers(0, team.users, count)

    row = np.repeat(np.arange(count), length[chosen])
    begins = np.cumsum(length[chosen]) - length[chosen]  # (sessions,) first replayed click
    step = np.arange(len(row)) - begins[row]
    source = first[chosen][row] + step  # (clicks,) the recorded click of each replayed one
    stretched = rng.lognormal(0, settings.jitter, len(row))
    gap = np.where(step > 0, record.ts[source] - record.ts[source - 1], 0)
    total = np.cumsum(np.rint(gap * stretched).astype(np.int64))
    device = record.device[first[chosen]]
    campaign, ad = record.campaign[source], record.ad[source]
    if len(team.aims):
        campaign, ad = team.aims[rng.integers(0, len(team.aims), len(row))], None
    moves = Moves(
        ts=unit.start + rng.integers(0, HOUR, count)[row] + total - total[begins][row],
        robot=robot[row],
        session=unit.numbers(count)[row],
        ip=team.home(robot)[row],
        agent=agent_of(team.first_user + robot, device)[row],
        device=device[row],
        campaign=campaign,
        ad=ad,
        query=record.query[source],
    )
    return finish(rng, settings, team, market, unit, moves)


SESSION_MIMIC = RobotKind("session_mimic", SessionMimic, draw, "replays people's sessions")
