"""The human population: how active each person is, from where, on what, and how they buy."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, TypeVar

import numpy as np
from pydantic import BeforeValidator, Field, field_validator

from simulator.addresses import CAMPUS, CARRIER, HOME, OFFICE
from simulator.columns import DEVICES
from simulator.draw import Flags, Ints, Reals, SmallInts, generator, weighted, weights_of
from simulator.places import CARRIER_SHARES, CARRIERS, Places, carrier_weights
from simulator.settings import Settings, each_of_its_kind
from simulator.surges import SURGES, Surge

PEOPLE_PLACE = (0, 2)
ACTIVITY_CAP = 100  # the busiest person against the idlest
OFFICELESS = 0.35  # of people who are on no campus
STUDENTS_PER_CAMPUS = 8_000
ACCOUNT_DAYS = 600  # mean age

Key = TypeVar("Key", int, str)


def _surges(value: object) -> object:
    return each_of_its_kind(value, "surge", SURGES)


class HumanSettings(Settings):
    """How people behave; shares are of 1.

    `changing_homes` are given another address every night, `mobile_only` people have no line at
    home, `comparers` go back and forth between ads, `at_once` is the share of purchases that come
    within minutes.
    """

    clicks_per_user_day: float = Field(default=2.6, ge=0.01, le=1000)
    activity_tail: float = Field(default=1.3, gt=0.1, le=10)
    users_per_home: float = Field(default=2.2, ge=1, le=100)
    changing_homes: float = Field(default=0.3, ge=0, le=1)
    mobile_only: float = Field(default=0.12, ge=0, le=1)
    users_per_office: float = Field(default=25, ge=1, le=10_000)
    students: float = Field(default=0.05, ge=0, le=1)
    users_per_campus_address: float = Field(default=1500, ge=1, le=10_000)
    users_per_carrier_address: float = Field(default=200, ge=1, le=10_000)
    carrier_tail: float = Field(default=1.1, gt=0.1, le=10)
    zones: dict[int, float] = Field(default={-5: 0.3, 0: 0.4, 1: 0.3}, min_length=1)
    devices: dict[str, float] = Field(
        default={"desktop": 0.42, "mobile_web": 0.32, "mobile_app": 0.19, "tablet": 0.07},
        min_length=1,
    )
    comparers: float = Field(default=0.06, ge=0, le=1)
    purchase_rate: float = Field(default=0.016, ge=0, le=0.5)
    at_once: float = Field(default=0.6, ge=0, le=1)
    whole_second_share: float = Field(default=0.08, ge=0, le=1)
    accounts: float = Field(default=0.65, ge=0, le=1)
    surges: Annotated[tuple[Surge, ...], BeforeValidator(_surges)] = ()

    @field_validator("zones")
    @classmethod
    def _real_zones(cls, zones: dict[int, float]) -> dict[int, float]:
        if any(not -12 <= offset <= 14 for offset in zones):
            raise ValueError("a zone is a whole number of hours from UTC, from -12 to 14")
        return _shares("zone", zones)

    @field_validator("devices")
    @classmethod
    def _real_devices(cls, devices: dict[str, float]) -> dict[str, float]:
        if unknown := set(devices) - set(DEVICES):
            raise ValueError(f"no device named {min(unknown)!r}; known: {', '.join(DEVICES)}")
        return _shares("device", devices)


def _shares(what: str, shares: dict[Key, float]) -> dict[Key, float]:
    if min(shares.values()) < 0 or sum(shares.values()) <= 0:
        raise ValueError(f"{what} shares are ≥ 0 and not all 0")
    return shares


@dataclass(frozen=True)
class People:
    """One row per person, sorted by zone; `zone_start` has one more entry than there are zones."""

    settings: HumanSettings
    begin: int  # hours since the epoch at which the simulation begins
    places: Places
    offsets: Ints  # (zones,) hours from UTC
    zone_start: Ints  # (zones + 1,) first person of each zone
    zone_sums: Ints  # (zones + 1,) activity of all zones before
    activity: Ints  # (people,) running sums of weights
    home: SmallInts  # −1: on the carrier there too
    office: SmallInts  # −1: works at home
    campus: SmallInts  # −1: no student
    carrier: SmallInts  # 0 to CARRIERS − 1
    device: SmallInts  # the preferred one
    account: Flags
    comparer: Flags
    buying: SmallInts  # propensity to buy, in thousandths of the average
    account_life: SmallInts  # days from one account to the next
    account_born: SmallInts  # day since the epoch on which one of them began
    rfm: SmallInts  # 0 to 100

    def __len__(self) -> int:
        return len(self.home)

    @property
    def zone_shares(self) -> Reals:
        """Each zone's share of all activity."""
        shares: Reals = np.diff(self.zone_sums) / self.zone_sums[-1]
        return shares


def count_people(settings: HumanSettings, clicks_per_day: int) -> int:
    """Return how many people make so many clicks on an average day."""
    return max(round(clicks_per_day / settings.clicks_per_user_day), len(settings.zones))


def count_networks(settings: HumanSettings, people: int) -> dict[str, int]:
    """Return how many addresses of each kind so many people use, VPN exits apart."""
    campuses, per_campus = _campuses(settings, people)
    return {
        HOME: max(round(people / settings.users_per_home), 1),
        OFFICE: max(round(people * (1 - OFFICELESS) / settings.users_per_office), 1),
        CAMPUS: campuses * per_campus,
        CARRIER: CARRIERS * max(round(people / settings.users_per_carrier_address / CARRIERS), 1),
    }


def _campuses(settings: HumanSettings, people: int) -> tuple[int, int]:
    """Return how many campuses there are, and how many addresses each has."""
    students = people * settings.students
    campuses = max(round(students / STUDENTS_PER_CAMPUS), 1)
    return campuses, max(round(students / campuses / settings.users_per_campus_address), 1)


def make_people(settings: HumanSettings, clicks_per_day: int, seed: int, begin: int = 0) -> People:
    """Draw the population: bounded Pareto activity, households, offices of very unequal size.

    `begin` is the simulation's first hour since the epoch; it moves surges and nothing else.
    """
    rng = generator(seed, *PEOPLE_PLACE)
    count = count_people(settings, clicks_per_day)
    places = _places(rng, settings, count)
    student = rng.random(count) < settings.students
    weights = np.minimum(1 + rng.pareto(settings.activity_tail, count), ACTIVITY_CAP)
    activity = np.cumsum(np.rint(weights * 100).astype(np.int64))
    buying = np.minimum(rng.lognormal(-0.5, 1.0, count), 20)
    life = (np.rint(rng.gamma(2, ACCOUNT_DAYS, count)) + 1).astype(np.int32)
    rfm = np.log1p(buying) * 30 + rng.normal(20, 10, count)
    devices = [settings.devices.get(name, 0.0) for name in DEVICES]
    starts = _zone_starts(settings, count)
    home = np.sort(rng.integers(0, places.homes, count)).astype(np.int32)
    return People(
        settings=settings,
        begin=begin,
        places=places,
        offsets=np.array(list(settings.zones), np.int64),
        zone_start=starts,
        zone_sums=np.concatenate([[0], activity])[starts],
        activity=activity,
        home=np.where(rng.random(count) < settings.mobile_only, np.int32(-1), home),
        office=_offices(rng, places, starts, student).astype(np.int32),
        campus=np.where(student, np.arange(count) * places.campuses // count, -1).astype(np.int32),
        carrier=weighted(rng, weights_of(CARRIER_SHARES), count).astype(np.int32),
        device=weighted(rng, weights_of(devices), count).astype(np.int32),
        account=rng.random(count) < settings.accounts,
        comparer=rng.random(count) < settings.comparers,
        buying=np.rint(buying * 1000).astype(np.int32),
        account_life=life,
        account_born=rng.integers(0, life.astype(np.int64)).astype(np.int32),
        rfm=np.clip(np.rint(rfm), 0, 100).astype(np.int32),
    )


def _places(rng: np.random.Generator, settings: HumanSettings, count: int) -> Places:
    networks = count_networks(settings, count)
    campuses, per_campus = _campuses(settings, count)
    per_carrier = networks[CARRIER] // CARRIERS
    largest = count * max(CARRIER_SHARES) / per_carrier
    return Places(
        homes=networks[HOME],
        offices=networks[OFFICE],
        campuses=campuses,
        campus_addresses=per_campus,
        carriers=networks[CARRIER],
        renewed=round(networks[HOME] * settings.changing_homes),
        carrier_weights=carrier_weights(rng, per_carrier, settings.carrier_tail, largest),
    )


def _offices(rng: np.random.Generator, places: Places, zone_start: Ints, student: Flags) -> Ints:
    """Draw where each person works: in an office of their zone, a large one more often."""
    count = len(student)
    sizes = np.rint(10 * np.minimum(1 + rng.pareto(1.1, places.offices), 400)).astype(np.int64)
    sums = np.concatenate([[0], np.cumsum(sizes)])
    found = []
    for first, last in pairwise(zone_start.tolist()):
        low = first * (places.offices - 1) // count
        high = last * (places.offices - 1) // count + 1
        marks = rng.integers(sums[low], sums[high], last - first)
        found.append(np.searchsorted(sums[1:], marks, side="right"))
    none = student | (rng.random(count) < OFFICELESS)
    return np.where(none, -1, places.office_start + np.concatenate(found))


def _zone_starts(settings: HumanSettings, count: int) -> Ints:
    """Cut the population by zone shares.

    >>> _zone_starts(HumanSettings(zones={0: 1.0, 1: 3.0}), 100).tolist()
    [0, 25, 100]
    """
    sums = np.cumsum(weights_of(list(settings.zones.values())))
    return np.concatenate([[0], sums * count // sums[-1]])
