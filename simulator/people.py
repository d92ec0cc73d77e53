"""The human population: how active each person is, from where, on what, and how they buy.

Addresses are numbered in one table: homes, then offices, then carriers' shared ones, then VPN
exits; the robots' follow.
"""

from dataclasses import dataclass

import numpy as np
from pydantic import Field, field_validator

from simulator.draw import Flags, Ints, generator, weighted, weights_of
from simulator.settings import Settings

PEOPLE_PLACE = (0, 2)
DEVICE_SHARES = (0.42, 0.32, 0.19, 0.07)  # in the order of DEVICES
CARRIERS = 6
VPN_EXITS = 8
OFFICELESS = 0.35
ACTIVITY_CAP = 100  # the busiest person against the idlest


class HumanSettings(Settings):
    """How people behave; shares are of 1."""

    clicks_per_user_day: float = Field(default=2.6, gt=0, le=1000)
    activity_tail: float = Field(default=1.3, gt=0.1, le=10)
    users_per_home: float = Field(default=2.2, ge=1, le=100)
    users_per_office: float = Field(default=25, ge=1, le=10_000)
    users_per_carrier_address: float = Field(default=200, ge=1, le=100_000)
    zones: dict[int, float] = Field(default={-5: 0.3, 0: 0.4, 1: 0.3}, min_length=1)
    purchase_rate: float = Field(default=0.02, ge=0, le=0.5)
    whole_second_share: float = Field(default=0.08, ge=0, le=1)
    accounts: float = Field(default=0.65, ge=0, le=1)

    @field_validator("zones")
    @classmethod
    def _real_zones(cls, zones: dict[int, float]) -> dict[int, float]:
        if any(not -12 <= offset <= 14 for offset in zones):
            raise ValueError("a zone is a whole number of hours from UTC, from -12 to 14")
        if min(zones.values()) < 0 or sum(zones.values()) <= 0:
            raise ValueError("zone shares are ≥ 0 and not all 0")
        return zones


@dataclass(frozen=True)
class Places:
    """How many addresses of each kind the population uses, in the table's order."""

    homes: int
    offices: int
    carriers: int
    vpns: int = VPN_EXITS

    @property
    def office_start(self) -> int:
        """Number of the first office address."""
        return self.homes

    @property
    def carrier_start(self) -> int:
        """Number of the first carrier address."""
        return self.homes + self.offices

    @property
    def vpn_start(self) -> int:
        """Number of the first VPN exit."""
        return self.carrier_start + self.carriers

    @property
    def total(self) -> int:
        """How many addresses there are; the robots' begin here."""
        return self.vpn_start + self.vpns


@dataclass(frozen=True)
class People:
    """One row per person, sorted by zone; `zone_start` has one more entry than there are zones."""

    settings: HumanSettings
    places: Places
    offsets: Ints  # (zones,) hours from UTC
    zone_start: Ints  # (zones + 1,) first person of each zone
    activity: Ints  # (people,) running sums of weights
    home: Ints
    office: Ints  # −1: works at home
    carrier: Ints  # 0 to CARRIERS − 1
    device: Ints  # the preferred one
    account: Flags
    buying: Ints  # propensity to buy, in thousandths of the average
    account_days: Ints  # age of the account at the epoch of the simulation
    rfm: Ints  # 0 to 100

    def __len__(self) -> int:
        return len(self.home)


def make_people(settings: HumanSettings, clicks_per_day: int, seed: int) -> People:
    """Draw the population: bounded Pareto activity, households, offices of very unequal size."""
    rng = generator(seed, *PEOPLE_PLACE)
    count = max(round(clicks_per_day / settings.clicks_per_user_day), len(settings.zones))
    places = Places(
        homes=max(round(count / settings.users_per_home), 1),
        offices=max(round(count * (1 - OFFICELESS) / settings.users_per_office), 1),
        carriers=CARRIERS * max(round(count / settings.users_per_carrier_address / CARRIERS), 1),
    )
    weights = np.minimum(1 + rng.pareto(settings.activity_tail, count), ACTIVITY_CAP)
    buying = np.minimum(rng.lognormal(-0.5, 1.0, count), 20)
    sizes = np.rint(10 * np.minimum(1 + rng.pareto(1.1, places.offices), 400)).astype(np.int64)
    office = places.office_start + weighted(rng, sizes, count)
    recency = np.log1p(buying) * 30 + rng.normal(20, 10, count)
    return People(
        settings=settings,
        places=places,
        offsets=np.array(list(settings.zones), np.int64),
        zone_start=_zone_starts(settings, count),
        activity=np.cumsum(np.rint(weights * 100).astype(np.int64)),
        home=rng.integers(0, places.homes, count),
        office=np.where(rng.random(count) < OFFICELESS, -1, office),
        carrier=rng.integers(0, CARRIERS, count),
        device=weighted(rng, weights_of(DEVICE_SHARES), count),
        account=rng.random(count) < settings.accounts,
        buying=np.rint(buying * 1000).astype(np.int64),
        account_days=np.rint(rng.exponential(600, count)).astype(np.int64),
        rfm=np.clip(np.rint(recency), 0, 100).astype(np.int64),
    )


def _zone_starts(settings: HumanSettings, count: int) -> Ints:
    """Cut the population by zone shares.

    >>> _zone_starts(HumanSettings(zones={0: 1.0, 1: 3.0}), 100).tolist()
    [0, 25, 100]
    """
    sums = np.cumsum(weights_of(list(settings.zones.values())))
    return np.concatenate([[0], sums * count // sums[-1]])
