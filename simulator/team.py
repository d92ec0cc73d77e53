"""What every kind of robot shares: its settings' base, and the users and addresses it holds."""

from dataclasses import dataclass
from math import ceil
from typing import Protocol

import numpy as np
from pydantic import Field

from simulator.columns import Clicks, Unit
from simulator.draw import Flags, Ints, Words
from simulator.humans import purchases
from simulator.market import Market
from simulator.places import Places
from simulator.settings import Settings


class RobotSettings(Settings):
    """What every kind of robot is told.

    `share` is of the humans' clicks on an average day; `buys` is the chance that a click is
    followed by a purchase.
    """

    kind: str
    share: float = Field(gt=0, le=10)
    clicks_per_user: float = Field(default=60, gt=0)
    users_per_address: float = Field(default=3, gt=0)
    known: float = Field(default=0.75, ge=0, le=1)
    logged_in: float = Field(default=0.2, ge=0, le=1)
    buys: float = Field(default=0.0002, ge=0, le=1)

    def users(self, clicks_per_day: int) -> int:
        """How many users the robots pose as, at this volume."""
        return ceil(self.share * clicks_per_day / self.clicks_per_user)

    def active(self) -> tuple[float, float] | None:
        """Hours after the start, [from, to), of robots that come and go; None: always there."""
        return None


@dataclass(frozen=True)
class Team:
    """One robot population: its users and addresses are ranges of the world's tables."""

    population: int
    kind: int
    first_user: int
    users: int
    first_address: int
    addresses: int
    people: Places
    clicks_per_day: int
    begin: int  # hours since the epoch at which the simulation begins


class Draw(Protocol):
    """Draws what one population of robots does in one hour."""

    def __call__(self, settings: RobotSettings, team: Team, market: Market, unit: Unit) -> Clicks:
        """Return clicks in the unit's hour and the next."""
        ...


@dataclass(frozen=True)
class RobotKind:
    """A row of the index of robots: its name, settings and behaviour, and one line about it."""

    name: str
    settings: type[RobotSettings]
    draw: Draw
    about: str


@dataclass(frozen=True)
class Moves:
    """What a robot's code decides about each click; `finish` fills in what is common."""

    ts: Ints
    robot: Ints  # 0 to team.users − 1
    session: Words
    ip: Ints
    agent: Ints
    device: Ints
    campaign: Ints


def finish(
    rng: np.random.Generator,
    settings: RobotSettings,
    team: Team,
    market: Market,
    unit: Unit,
    moves: Moves,
) -> Clicks:
    """Fill in price, ad, login and the rare purchase, and return whole clicks."""
    count = len(moves.ts)
    # Who logs in and who shows an id is a robot's habit, not a click's.
    habit = moves.robot * 7_919 % 1_000 / 1000
    logged_in: Flags = habit < settings.logged_in
    after, amount, names = purchases(rng, rng.random(count) < settings.buys)
    return Clicks(
        ts=moves.ts,
        number=unit.numbers(count),
        actor=team.first_user + moves.robot,
        known=logged_in | (habit < settings.known),
        session=moves.session,
        ip=moves.ip,
        agent=moves.agent,
        device=moves.device,
        logged_in=logged_in,
        campaign=moves.campaign,
        ad=market.ads(rng, moves.campaign),
        query=np.full(count, -1),
        price=market.prices(rng, moves.campaign),
        kind=np.full(count, team.kind),
        buys_after=after,
        amount=amount,
        names_click=names,
    )
