"""A click farm: people with real phones, in shifts, behind a few shared addresses of one carrier.

Each phone keeps its agent and its account; what is odd is how long it goes on, and that it never
buys.
"""

from math import ceil
from typing import Literal

import numpy as np
from pydantic import Field

from simulator.agents import agent_of
from simulator.columns import DEVICES, HOUR, Clicks, Unit
from simulator.draw import generator
from simulator.market import Market
from simulator.moves import Moves, browse, finish, sessions
from simulator.team import RobotKind, RobotSettings, Team

MAX_SESSION = 60


class ClickFarm(RobotSettings):
    """How the farm works: from `shift_begins` (local hour) for `shift_hours`, every day."""

    kind: Literal["click_farm"] = "click_farm"
    clicks_per_user: float = Field(default=150, ge=0.01)
    known: float = Field(default=1, ge=0, le=1)
    logged_in: float = Field(default=0.9, ge=0, le=1)
    buys: float = Field(default=0, ge=0, le=1)
    phones_per_address: float = Field(default=8, ge=0.01)
    zone: int = Field(default=7, ge=-12, le=14)
    shift_begins: int = Field(default=8, ge=0, le=23)
    shift_hours: int = Field(default=10, ge=1, le=24)
    mean_session: float = Field(default=8, ge=1, le=30)
    gap_seconds: float = Field(default=20, gt=0, le=600)


def draw(settings: RobotSettings, team: Team, market: Market, unit: Unit) -> Clicks:
    """Draw the sessions that begin in the unit's hour: none outside the shift."""
    assert isinstance(settings, ClickFarm)  # noqa: S101
    rng = generator(unit.seed, *unit.place)
    on_shift = (unit.hour + settings.zone - settings.shift_begins) % 24 < settings.shift_hours
    clicks = on_shift * settings.share * team.clicks_per_day / settings.shift_hours
    count = int(rng.poisson(clicks / settings.mean_session))
    phone = rng.integers(0, team.users, count)
    device = np.where(phone % 5 < 3, DEVICES.index("mobile_web"), DEVICES.index("mobile_app"))
    lines = min(ceil(team.users / settings.phones_per_address), team.places.carriers)
    ip = team.places.carrier_start + rng.integers(0, lines, count)
    lengths = np.minimum(rng.geometric(1 / settings.mean_session, count), MAX_SESSION)
    row, offset = sessions(rng, lengths, settings.gap_seconds)
    moves = Moves(
        ts=unit.start + rng.integers(0, HOUR, count)[row] + offset,
        robot=phone[row],
        session=unit.numbers(count)[row],
        ip=ip[row],
        agent=agent_of(team.first_user + phone, device)[row],
        device=device[row],
        campaign=browse(rng, team, market, len(row)),
    )
    return finish(rng, settings, team, market, unit, moves)


CLICK_FARM = RobotKind("click_farm", ClickFarm, draw, "people with real phones, in shifts")
