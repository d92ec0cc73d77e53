"""Who comes in one hour, when, on what and from where: one row for each session that begins."""

from dataclasses import dataclass

import numpy as np

from simulator.columns import DEVICES, HOUR, Unit
from simulator.draw import Flags, Ints, mix, pick, weighted, weights_of
from simulator.market import TOPICS, Market
from simulator.people import People
from simulator.places import RENEWAL_HOUR
from simulator.rhythm import DAY_HOURS, is_weekend, usual
from simulator.sessions import MEAN_LENGTH
from simulator.surges import FlashSale, holiday_of

LOGIN = np.array([0.55, 0.40, 0.92, 0.50])  # of people with an account, by device
COOKIELESS = 0.25  # of sessions without login: no user id at all
OTHER_DEVICE = 0.15
OWN_TOPIC = 0.6  # of sessions: what a person looks for this week
VPN_PEOPLE, VPN_SESSIONS = 2, 0.5  # in a hundred; of their sessions
AT_WORK = 0.6  # of sessions in working hours
WEEK_HOURS = 7 * DAY_HOURS
# How often a mobile session is under way, on the carrier, in each local hour.
UNDER_WAY = np.array([
    15, 12, 10, 10, 12, 25, 40, 55, 60, 55, 50, 50,
    55, 55, 50, 50, 55, 60, 55, 45, 35, 25, 20, 15,
]) / 100  # fmt: skip
MOBILE = np.array([name.startswith("mobile") for name in DEVICES])
# What people use who leave their usual device: in working hours, and else.
OTHERS = (weights_of((0.6, 0.25, 0.1, 0.05)), weights_of((0.2, 0.35, 0.2, 0.25)))


@dataclass(frozen=True)
class Visits:
    """Sessions that begin in one hour; `sale` is the number of the surge that brought it, or −1."""

    person: Ints
    start: Ints  # µs
    sale: Ints
    device: Ints
    ip: Ints
    logged_in: Flags
    known: Flags
    topic: Ints
    query: Ints


def draw_visits(
    rng: np.random.Generator, people: People, market: Market, clicks_per_day: float, unit: Unit
) -> Visits:
    """Draw the sessions that begin in the unit's hour."""
    person, start, sale = _arrivals(rng, people, clicks_per_day / MEAN_LENGTH / DAY_HOURS, unit)
    count = len(person)
    zone = np.searchsorted(people.zone_start, person, side="right") - 1
    offset = people.offsets[zone]
    local = (unit.hour + offset) % DAY_HOURS
    working = _working(rng, people, unit.hour, zone, local)
    device = _devices(rng, people.device[person].astype(np.int64), working)
    logged_in = people.account[person] & (rng.random(count) < LOGIN[device])
    topic = _topics(rng, person, unit.hour)
    return Visits(
        person=person,
        start=start,
        sale=sale,
        device=device,
        ip=_addresses(rng, people, person, device, working, unit.hour, offset),
        logged_in=logged_in,
        known=logged_in | (rng.random(count) >= COOKIELESS),
        topic=topic,
        query=market.queries(rng, topic),
    )


def _arrivals(
    rng: np.random.Generator, people: People, per_hour: float, unit: Unit
) -> tuple[Ints, Ints, Ints]:
    """Draw who begins a session, when, and for which sale: as often as they are active.

    A sale draws from everyone alike, so most whom it brings seldom come otherwise.
    """
    sums = people.zone_sums
    persons, starts, sales = [], [], []
    for zone, share in enumerate(people.zone_shares):
        first, last = people.zone_start[zone], people.zone_start[zone + 1]
        mean = per_hour * float(share) * usual(people, unit.hour, zone)
        count = int(rng.poisson(mean))
        marks = rng.integers(sums[zone], max(sums[zone + 1], sums[zone] + 1), count)
        persons.append(pick(people.activity, np.sort(marks)))  # sorted, they are found faster
        starts.append(unit.start + rng.integers(0, HOUR, count))
        sales.append(np.full(count, -1))
        for number, sale in enumerate(people.settings.surges):
            if isinstance(sale, FlashSale) and (mass := sale.mass(people.begin, unit.hour)):
                count = int(rng.poisson(mean * (sale.lift - 1) * mass))
                persons.append(rng.integers(first, max(last, first + 1), count))
                starts.append(sale.starts(rng, people.begin, unit.hour, count))
                sales.append(np.full(count, number))
    return np.concatenate(persons), np.concatenate(starts), np.concatenate(sales)


def _working(rng: np.random.Generator, people: People, hour: int, zone: Ints, local: Ints) -> Flags:
    """Draw who comes from work or from the campus, where they have one."""
    holiday = holiday_of(people.settings.surges, people.begin, hour)
    weekend = np.array([is_weekend(hour, int(offset)) for offset in people.offsets])
    share = np.where(weekend, AT_WORK * 0.15, AT_WORK) * (holiday.at_work if holiday else 1.0)
    return (local >= 9) & (local < 18) & (rng.random(len(zone)) < share[zone])


def _devices(rng: np.random.Generator, preferred: Ints, working: Flags) -> Ints:
    device = preferred.copy()
    other = rng.random(len(preferred)) < OTHER_DEVICE
    for now, weights in zip((True, False), OTHERS, strict=True):
        rows = np.flatnonzero(other & (working == now))
        device[rows] = weighted(rng, weights, len(rows))
    return device


def _topics(rng: np.random.Generator, person: Ints, hour: int) -> Ints:
    """Draw what each session is about: mostly what the person looks for this week."""
    words = mix(person.astype(np.uint64) << np.uint64(24) ^ np.uint64(hour // WEEK_HOURS))
    own = (words % np.uint64(len(TOPICS))).astype(np.int64)
    any_topic = rng.integers(0, len(TOPICS), len(person))
    return np.where(rng.random(len(person)) < OWN_TOPIC, own, any_topic)


def _addresses(
    rng: np.random.Generator,
    people: People,
    person: Ints,
    device: Ints,
    working: Flags,
    hour: int,
    offset: Ints,
) -> Ints:
    """Return the address of each session: home, office, campus, carrier, or a VPN's exit."""
    places, count = people.places, len(person)
    home, campus, office, carrier = (
        column[person].astype(np.int64)
        for column in (people.home, people.campus, people.office, people.carrier)
    )
    on_campus, in_office = working & (campus >= 0), working & (office >= 0)
    under_way = MOBILE[device] & (rng.random(count) < UNDER_WAY[(hour + offset) % DAY_HOURS])
    roams = under_way | ((home < 0) & ~on_campus & ~in_office)
    habit = mix(person.astype(np.uint64)) % np.uint64(100) < np.uint64(VPN_PEOPLE)
    hidden = habit & (rng.random(count) < VPN_SESSIONS)
    return np.select(
        [hidden, roams, on_campus, in_office],
        [
            places.vpn_start + person % places.vpns,
            places.on_carrier(person, carrier, hour),
            places.on_campus(person, campus, hour),
            office,
        ],
        places.at_home(home, (hour + offset - RENEWAL_HOUR) // DAY_HOURS),
    )
