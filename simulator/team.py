"""What every kind of robot shares: its settings' base, and the users and addresses it holds."""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import ClassVar, Protocol, Self

from pydantic import Field, model_validator

from replay.span import Span
from simulator.columns import Clicks, Unit
from simulator.draw import Ints
from simulator.market import Market
from simulator.places import Places
from simulator.settings import Settings

ALWAYS = Span(0, 2**62)
_HOME_STRIDE = 2_654_435_761  # a prime above any number of homes: steps through all of them
_TEAM_STRIDE = 15_485_863


class RobotSettings(Settings):
    """What every kind of robot is told.

    `share` is of the humans' clicks on an average day, for each day; `buys` is the chance that a
    click is followed by a purchase. `begins_hour` and `hours` (both or neither) are counted from
    the simulation's start. `aims` are the ids of the only campaigns that it clicks.
    """

    learns: ClassVar[bool] = False  # whether what it does depends on its bills

    kind: str
    share: float = Field(gt=0, le=10)
    clicks_per_user: float = Field(default=60, ge=0.01)
    known: float = Field(default=0.75, ge=0, le=1)
    logged_in: float = Field(default=0.2, ge=0, le=1)
    buys: float = Field(default=0.0002, ge=0, le=1)
    begins_hour: float | None = Field(default=None, ge=0)
    hours: float | None = Field(default=None, ge=0.01, le=24 * 3660)
    aims: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _whole_window(self) -> Self:
        if (self.begins_hour is None) != (self.hours is None):
            raise ValueError("begins_hour and hours go together: give both or neither")
        return self

    def users(self, clicks_per_day: int) -> int:
        """How many users the robots pose as, at this volume."""
        return ceil(self.share * clicks_per_day / self.clicks_per_user)

    def addresses(self, users: int) -> int:
        """How many data-centre addresses of their own they hold."""
        return 0

    def active(self) -> tuple[float, float] | None:
        """Hours after the start, [from, to), of robots that come and go; None: always there."""
        if self.begins_hour is None or self.hours is None:
            return None
        return self.begins_hour, self.begins_hour + self.hours

    def total(self, days: float) -> float:
        """Return the clicks of a simulation of so many days, in days of the humans' clicks."""
        return self.share * (days if self.hours is None else self.hours / 24)


class Hosted(RobotSettings):
    """Robots with data-centre addresses of their own."""

    users_per_address: float = Field(default=3, ge=0.01)

    def addresses(self, users: int) -> int:
        """How many addresses so many users share."""
        return ceil(users / self.users_per_address)


@dataclass(frozen=True, eq=False)
class Team:
    """One robot population: its users and addresses are ranges of the world's tables.

    `homes` are the addresses at which somebody lives, or the carriers' where nobody has a line;
    `aims` are campaigns' numbers. `watch` returns what people do in an hour (since the epoch), or a
    sample of whole sessions: each one's clicks together and in order.
    """

    population: int
    kind: int
    first_user: int
    users: int
    first_address: int
    addresses: int
    places: Places
    homes: Ints
    watch: Callable[[int], Clicks]
    clicks_per_day: int
    begin: int  # hours since the epoch at which the simulation begins
    billing_delay: int  # hours
    window: Span  # when it clicks
    aims: Ints

    def home(self, index: Ints) -> Ints:
        """Return one of people's home addresses for each index ≥ 0.

        As many indexes in a row as there are homes give each home once.
        """
        place = index % len(self.homes) * _HOME_STRIDE + self.population * _TEAM_STRIDE
        chosen: Ints = self.homes[place % len(self.homes)]
        return chosen


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
