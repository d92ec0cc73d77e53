"""Campaigns: what a click costs, and what a budget does to the rest of the day."""

from dataclasses import replace

import numpy as np

from simulator.budgets import live_market
from simulator.draw import generator
from simulator.market import (
    MOST_BUDGET,
    OFFERS,
    PHRASES,
    RESERVE_MICROS,
    TOPICS,
    MarketSettings,
    make_market,
)
from simulator.people import HumanSettings, make_people

SEED = 5
MIDNIGHT = 492_312  # 2026-03-01T00:00Z in hours since the epoch
MARKET = make_market(MarketSettings(), SEED)
PEOPLE = make_people(HumanSettings(zones={0: 1.0}), 20_000, SEED)


def test_a_click_costs_at_least_the_reserve_and_less_than_the_bid() -> None:
    campaign = np.repeat(np.arange(len(MARKET.bid)), 400)
    prices = MARKET.prices(generator(1), campaign)
    assert prices.min() == RESERVE_MICROS
    assert (prices <= np.maximum(MARKET.bid[campaign] + 500, RESERVE_MICROS)).all()
    assert MARKET.offers.shape == (len(MARKET.bid), OFFERS)


def test_a_higher_bid_costs_more() -> None:
    means = MARKET.offers.mean(axis=1)
    assert np.corrcoef(MARKET.bid, means)[0, 1] > 0.5


def test_clicks_stay_mostly_on_their_topic() -> None:
    topic = np.full(20_000, 3)
    campaign = MARKET.campaigns(generator(1), topic)
    first, last = MARKET.topic_first[3:5]
    inside = ((campaign >= first) & (campaign < last)).mean()
    assert MARKET.settings.topic_loyalty - 0.02 < inside < 1


def test_limited_campaigns_are_served_as_much_as_their_budget_and_others_all_day() -> None:
    hours = [live_market(MARKET, PEOPLE, SEED, MIDNIGHT + hour) for hour in range(24)]
    served = np.stack([live.weights / MARKET.weights for live in hours])
    limited = MARKET.budget < MOST_BUDGET
    assert (served[:, ~limited] == 1).all()
    assert (served[0, limited] == 1).all()
    assert (np.diff(served, axis=0) <= 0).all()
    assert (served[-1, limited] == 0).mean() > 0.5
    assert 0.15 < limited.mean() < 0.35


def test_nobody_clicks_a_dark_campaign() -> None:
    dark = MARKET.weights.copy()
    dark[: MARKET.topic_first[2]] = 0  # two whole topics
    live = MARKET.with_weights(dark)
    campaign = live.campaigns(generator(1), generator(2).integers(0, len(TOPICS), 20_000))
    assert campaign.min() >= MARKET.topic_first[2]


def test_a_market_never_goes_dark_as_a_whole() -> None:
    broke = replace(MARKET, budget=np.zeros(len(MARKET.budget)))
    assert live_market(broke, PEOPLE, SEED, MIDNIGHT + 20).weights.any()


def test_searches_name_texts_and_few_are_common() -> None:
    query = MARKET.queries(generator(1), generator(2).integers(0, len(TOPICS), 50_000))
    shown = query[query >= 0]
    assert abs(len(shown) / len(query) - 0.6) < 5 * np.sqrt(0.24 / len(query))
    assert shown.max() < len(MARKET.tables["query"]) == len(TOPICS) * len(PHRASES)
    counts = np.sort(np.bincount(shown))[::-1]
    assert counts[: len(counts) // 10].sum() > 0.4 * len(shown)
