"""What people do in one hour: the clicks of the sessions that begin in it, and what they buy."""

import numpy as np

from simulator.agents import agent_of
from simulator.columns import HOUR, NEVER, SPILL_HOURS, Clicks, Unit
from simulator.draw import Flags, Ints, generator
from simulator.market import Market
from simulator.people import People
from simulator.sessions import SECOND, STEPS, Shape, draw_lengths, draw_shape, lognormal_table
from simulator.surges import FlashSale
from simulator.visits import Visits, draw_visits

HUMANS = 1  # the population's number; robots follow
HUMAN_KIND = 0
SALE_PLACE = (0, 5)
DEVICE_BUYS = np.array([1.25, 0.75, 1.10, 0.9])
MOST_BUYING = 0.5  # of clicks
# Purchases come within minutes, or after people have slept on it.
AT_ONCE = np.array([round(v * SECOND) for v in lognormal_table(100.0, 0.95)])
LATER = np.array([round(v * SECOND) for v in lognormal_table(9_000.0, 1.15)])
MAX_DELAY = 72 * HOUR
NAMES_CLICK = 0.7


def human_clicks(people: People, market: Market, clicks_per_day: float, unit: Unit) -> Clicks:
    """Draw the sessions that begin in the unit's hour; their clicks lie in it and the next."""
    rng = generator(unit.seed, *unit.place)
    visits = draw_visits(rng, people, market, clicks_per_day, unit)
    lengths = draw_lengths(rng, len(visits.person))
    shape = draw_shape(rng, lengths, visits.device, people.comparer[visits.person])
    row = shape.session
    campaign, ad = _ads(rng, people, market, visits, shape, unit.seed)
    whole = rng.random(len(lengths)) < people.settings.whole_second_share
    ts = visits.start[row] + shape.offset
    buys_after, amount, names_click = _purchases(rng, people, visits, shape)
    clicks = Clicks(
        ts=np.where(whole[row], ts // SECOND * SECOND, ts),
        number=unit.numbers(len(row)),
        actor=visits.person[row],
        known=visits.known[row],
        session=unit.numbers(len(lengths))[row],
        ip=visits.ip[row],
        agent=agent_of(visits.person, visits.device)[row],
        device=visits.device[row],
        logged_in=visits.logged_in[row],
        campaign=campaign,
        ad=ad,
        query=visits.query[row],
        price=market.prices(rng, campaign),
        kind=np.full(len(row), HUMAN_KIND),
        buys_after=buys_after,
        amount=amount,
        names_click=names_click | ~visits.known[row],
    )
    return clicks.take(ts < unit.start + SPILL_HOURS * HOUR)


def _ads(
    rng: np.random.Generator,
    people: People,
    market: Market,
    visits: Visits,
    shape: Shape,
    seed: int,
) -> tuple[Ints, Ints]:
    """Draw what each click is on: its session's topic, a sale's campaigns, or an ad once more."""
    row = shape.session
    campaign = market.campaigns(rng, visits.topic[row])
    for number, sale in _sales(people):
        mine = np.flatnonzero(visits.sale[row] == number)
        mine = mine[rng.random(len(mine)) < sale.focus]
        chosen = on_sale(sale, number, market, seed)
        campaign[mine] = chosen[rng.integers(0, len(chosen), len(mine))]
    ad = market.ads(rng, campaign)
    return campaign[shape.source], ad[shape.source]


def on_sale(sale: FlashSale, number: int, market: Market, seed: int) -> Ints:
    """Choose the campaigns of a sale: the same ones in every hour of it."""
    rng = generator(seed, *SALE_PLACE, number)
    count = min(sale.campaigns, len(market.bid))
    return rng.choice(len(market.bid), count, replace=False).astype(np.int64)


def _sales(people: People) -> list[tuple[int, FlashSale]]:
    surges = enumerate(people.settings.surges)
    return [(number, surge) for number, surge in surges if isinstance(surge, FlashSale)]


def _purchases(
    rng: np.random.Generator, people: People, visits: Visits, shape: Shape
) -> tuple[Ints, Ints, Flags]:
    """Draw which clicks lead to a purchase, how long after, how much, and if it names the click."""
    settings = people.settings
    chance = settings.purchase_rate * DEVICE_BUYS[visits.device]
    chance *= people.buying[visits.person] / 1000
    for number, sale in _sales(people):
        chance[visits.sale == number] *= sale.purchase_lift
    buys = rng.random(len(shape.session)) < np.minimum(chance, MOST_BUYING)[shape.session]
    return purchases(rng, buys, settings.at_once)


def purchases(
    rng: np.random.Generator, buys: Flags, at_once: float = 0.6
) -> tuple[Ints, Ints, Flags]:
    """Draw delay (µs, −1 for none), amount (micros) and naming for the clicks that buy.

    `at_once` is the share of purchases that come within minutes, the others take hours.
    """
    count, bought = len(buys), np.flatnonzero(buys)
    after = np.full(count, NEVER)
    amount = np.zeros(count, np.int64)
    step = rng.integers(0, STEPS, len(bought))
    delay = np.where(rng.random(len(bought)) < at_once, AT_ONCE[step], LATER[step])
    after[bought] = np.clip(delay, SECOND, MAX_DELAY)
    cents = np.rint(rng.lognormal(np.log(3_900), 0.9, len(bought))).astype(np.int64)
    amount[bought] = np.maximum(cents, 100) * 10_000
    names = np.ones(count, bool)
    names[bought] = rng.random(len(bought)) < NAMES_CLICK
    return after, amount, names
