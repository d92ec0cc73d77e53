"""A crawler: it follows every ad in turn, at an even pace, day and night, and hides nothing.

The n-th click since the epoch is at n times the pace. So each crawler walks through the campaigns
in order, and an hour needs no memory of those before it.
"""

from typing import Literal

import numpy as np
from pydantic import Field

from simulator.agents import ROBOT_AGENT
from simulator.columns import DEVICES, HOUR, Clicks, Unit
from simulator.draw import generator
from simulator.market import Market
from simulator.moves import Moves, finish
from simulator.team import Hosted, RobotKind, RobotSettings, Team

HEADLESS = ROBOT_AGENT + 1


class Crawler(Hosted):
    """How crawlers behave; `clicks_per_user` is a crawler's in a day, `jitter` of its pace."""

    kind: Literal["crawler"] = "crawler"
    clicks_per_user: float = Field(default=2_000, ge=0.01)
    users_per_address: float = Field(default=1, ge=0.01)
    known: float = Field(default=0, ge=0, le=1)
    logged_in: float = Field(default=0, ge=0, le=1)
    buys: float = Field(default=0, ge=0, le=1)
    jitter: float = Field(default=0.05, ge=0, lt=1)


def draw(settings: RobotSettings, team: Team, market: Market, unit: Unit) -> Clicks:
    """Draw the clicks of the unit's hour."""
    assert isinstance(settings, Crawler)  # noqa: S101
    rng = generator(unit.seed, *unit.place)
    pace = max(round(24 * HOUR / (settings.share * team.clicks_per_day)), 1)
    first, end = -(-unit.start // pace), -(-(unit.start + HOUR) // pace)
    step = np.arange(first, end)
    crawler = step % team.users
    pages = team.aims if len(team.aims) else np.arange(len(market.bid))
    late = rng.integers(0, max(round(settings.jitter * pace * team.users), 1), len(step))
    moves = Moves(
        ts=step * pace + late,
        robot=crawler,
        session=unit.numbers(team.users)[crawler],
        ip=team.first_address + crawler % team.addresses,
        agent=np.full(len(step), HEADLESS),
        device=np.full(len(step), DEVICES.index("desktop")),
        campaign=pages[(step // team.users + crawler) % len(pages)],
    )
    return finish(rng, settings, team, market, unit, moves)


CRAWLER = RobotKind("crawler", Crawler, draw, "follows every ad in turn, at an even pace")
