"""What people do in one hour: sessions that begin in it, and their clicks."""

from statistics import NormalDist

import numpy as np

from simulator.agents import agent_of
from simulator.columns import DEVICES, HOUR, NEVER, SPILL_HOURS, Clicks, Unit
from simulator.draw import Flags, Ints, generator, pick
from simulator.market import TOPICS, Market
from simulator.people import CARRIERS, People

HUMANS = 1  # the population's number; robots follow
HUMAN_KIND = 0
SECOND = 1_000_000
# Share of a day's sessions that begin in each local hour, in hundredths of the hourly mean.
DAILY = np.array([
    45, 28, 18, 13, 12, 18, 38, 66, 92, 110, 118, 124,
    130, 126, 122, 122, 126, 134, 144, 160, 178, 182, 150, 92,
])  # fmt: skip
WEEKEND = 1.12  # against a weekday
MEAN_DAY = (5 + 2 * WEEKEND) / 7
DOUBLE_CLICK = 0.03
MEDIAN_THINK_SECONDS, THINK_SIGMA = 24.0, 1.15
LOGIN = np.array([0.55, 0.40, 0.92, 0.50])  # of people with an account, by device
COOKIELESS = 0.25  # of sessions without login: no user id at all
DEVICE_BUYS = np.array([1.25, 0.75, 1.10, 0.9])
MEDIAN_DELAY_MINUTES, DELAY_SIGMA = 35.0, 1.6
MAX_DELAY = 72 * HOUR
NAMES_CLICK = 0.7
# Clicks in a session, as equally likely quantiles: median 2, and one in a hundred has 13 or more.
LENGTHS = np.array(
    [
        int(max(1.0, min(60.0, np.exp(0.7 + 0.8 * NormalDist().inv_cdf((i + 0.5) / 4096)))))
        for i in range(4096)
    ]
)
MEAN_LENGTH = float(LENGTHS.mean())


def rhythm(hour: int, offset: int) -> float:
    """Return activity against the average in an hour since the epoch, `offset` hours from UTC.

    >>> rhythm(20, 0) > 1 > rhythm(4, 0) and rhythm(20, 0) == rhythm(15, 5)
    True
    """
    local = hour + offset
    weekday = (local // 24 + 3) % 7  # the epoch was a Thursday
    day = (WEEKEND if weekday >= 5 else 1.0) / MEAN_DAY
    return float(DAILY[local % 24] / DAILY.mean()) * day


def human_clicks(people: People, market: Market, clicks_per_day: int, unit: Unit) -> Clicks:
    """Draw the sessions that begin in the unit's hour; their clicks lie in it and the next."""
    rng = generator(unit.seed, *unit.place)
    person = _starters(rng, people, clicks_per_day, unit.hour)
    count = len(person)
    zone = np.searchsorted(people.zone_start, person, side="right") - 1
    device = _devices(rng, people.device[person])
    local = (unit.hour + people.offsets[zone]) % 24
    ip = _places(rng, people, person, device, local)
    logged_in = people.account[person] & (rng.random(count) < LOGIN[device])
    known = logged_in | (rng.random(count) >= COOKIELESS)
    topic = rng.integers(0, len(TOPICS), count)
    query = market.queries(rng, topic)
    whole = rng.random(count) < people.settings.whole_second_share
    start = unit.start + rng.integers(0, HOUR, count)

    lengths = LENGTHS[rng.integers(0, len(LENGTHS), count)]
    row = np.repeat(np.arange(count), lengths)  # (clicks,) session of each click
    offset, doubled = _offsets(rng, lengths)
    campaign = market.campaigns(rng, topic[row])
    ad = market.ads(rng, campaign)
    campaign[1:] = np.where(doubled[1:], campaign[:-1], campaign[1:])
    ad[1:] = np.where(doubled[1:], ad[:-1], ad[1:])
    ts = start[row] + offset
    buys_after, amount, names_click = _purchases(rng, people, person[row], device[row])
    clicks = Clicks(
        ts=np.where(whole[row], ts // SECOND * SECOND, ts),
        number=unit.numbers(len(row)),
        actor=person[row],
        known=known[row],
        session=unit.numbers(count)[row],
        ip=ip[row],
        agent=agent_of(person, device)[row],
        device=device[row],
        logged_in=logged_in[row],
        campaign=campaign,
        ad=ad,
        query=query[row],
        price=market.prices(rng, campaign),
        kind=np.full(len(row), HUMAN_KIND),
        buys_after=buys_after,
        amount=amount,
        names_click=names_click | ~known[row],
    )
    return clicks.take(ts < unit.start + SPILL_HOURS * HOUR)


def _starters(rng: np.random.Generator, people: People, clicks_per_day: int, hour: int) -> Ints:
    """Draw who begins a session in this hour, as often as they are active."""
    found = []
    sums = np.concatenate([[0], people.activity])
    for zone, offset in enumerate(people.offsets):
        low, high = sums[people.zone_start[zone]], sums[people.zone_start[zone + 1]]
        mean = clicks_per_day / MEAN_LENGTH / 24 * (high - low) / sums[-1]
        sessions = int(rng.poisson(mean * rhythm(hour, int(offset))))
        found.append(pick(people.activity, rng.integers(low, max(high, low + 1), sessions)))
    return np.concatenate(found)


def _devices(rng: np.random.Generator, preferred: Ints) -> Ints:
    other = rng.integers(0, len(DEVICES), len(preferred))
    return np.where(rng.random(len(preferred)) < 0.85, preferred, other)


def _places(
    rng: np.random.Generator, people: People, person: Ints, device: Ints, local: Ints
) -> Ints:
    """Draw from where each session comes: home, office, a carrier's shared address, or a VPN."""
    places, count = people.places, len(person)
    mobile = (device == DEVICES.index("mobile_web")) | (device == DEVICES.index("mobile_app"))
    at_work = (local >= 9) & (local < 18) & (people.office[person] >= 0)
    mark = rng.random(count)
    per_carrier = places.carriers // CARRIERS
    carrier = places.carrier_start + people.carrier[person] * per_carrier
    carrier += rng.integers(0, per_carrier, count)
    ip = people.home[person]
    ip = np.where(at_work & (mark < 0.6), people.office[person], ip)
    ip = np.where(mobile & (mark >= 0.5), carrier, ip)
    vpn = places.vpn_start + rng.integers(0, places.vpns, count)
    return np.where(rng.random(count) < 0.01, vpn, ip)


def _offsets(rng: np.random.Generator, lengths: Ints) -> tuple[Ints, Flags]:
    """Draw each click's time since its session began, and whether it doubles the one before."""
    count = int(lengths.sum())
    think = rng.lognormal(np.log(MEDIAN_THINK_SECONDS), THINK_SIGMA, count)
    gaps = np.rint(np.clip(think, 0.8, 1800) * SECOND).astype(np.int64)
    first = np.zeros(count, bool)
    starts = np.cumsum(lengths) - lengths
    first[starts] = True
    doubled = (rng.random(count) < DOUBLE_CLICK) & ~first
    gaps = np.where(doubled, rng.integers(150_000, 900_000, count), gaps)
    gaps[first] = 0
    total = np.cumsum(gaps)
    return total - np.repeat(total[starts], lengths), doubled


def _purchases(
    rng: np.random.Generator, people: People, person: Ints, device: Ints
) -> tuple[Ints, Ints, Flags]:
    """Draw which clicks lead to a purchase, how long after, how much, and if it names the click."""
    count = len(person)
    chance = people.settings.purchase_rate * DEVICE_BUYS[device] * people.buying[person] / 1000
    buys = rng.random(count) < np.minimum(chance, 0.5)
    return purchases(rng, buys)


def purchases(rng: np.random.Generator, buys: Flags) -> tuple[Ints, Ints, Flags]:
    """Draw delay (µs, −1 for none), amount (micros) and naming for the clicks that buy."""
    count, bought = len(buys), np.flatnonzero(buys)
    after = np.full(count, NEVER)
    amount = np.zeros(count, np.int64)
    minutes = rng.lognormal(np.log(MEDIAN_DELAY_MINUTES), DELAY_SIGMA, len(bought))
    after[bought] = np.minimum(np.rint(minutes * 60 * SECOND).astype(np.int64) + SECOND, MAX_DELAY)
    cents = np.rint(rng.lognormal(np.log(3_900), 0.9, len(bought))).astype(np.int64)
    amount[bought] = np.maximum(cents, 100) * 10_000
    names = np.ones(count, bool)
    names[bought] = rng.random(len(bought)) < NAMES_CLICK
    return after, amount, names
