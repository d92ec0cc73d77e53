"""Populations against theory: bounds are five standard deviations of what is drawn."""

from math import sqrt

import numpy as np
import pytest

from simulator.columns import HOUR, Unit
from simulator.humans import HUMANS, human_clicks
from simulator.market import MarketSettings, make_market
from simulator.people import ACTIVITY_CAP, HumanSettings, make_people
from simulator.rhythm import rhythm
from simulator.sessions import LENGTHS, MEAN_LENGTH

SUNDAY = 1_772_323_200_000_000 // HOUR  # 2026-03-01T00:00:00Z
PER_DAY = 60_000
SETTINGS = HumanSettings(zones={0: 1.0})
PEOPLE = make_people(SETTINGS, PER_DAY, seed=5)
MARKET = make_market(MarketSettings(), seed=5)


def activity() -> np.ndarray:
    return np.diff(PEOPLE.activity, prepend=0) / 100


@pytest.mark.parametrize("level", [2, 8, 30])
def test_activity_has_the_tail_that_was_asked_for(level: int) -> None:
    weights, tail = activity(), SETTINGS.activity_tail
    share = level**-tail
    bound = 5 * sqrt(share * (1 - share) / len(weights))
    assert abs((weights > level).mean() - share) < bound


def test_the_busiest_hundredth_clicks_as_much_as_a_bounded_pareto_says() -> None:
    tail, weights = SETTINGS.activity_tail, np.sort(activity())
    cut = 0.01 ** (-1 / tail)

    def above(level: float) -> float:
        """E[min(w, cap); w > level] for a Pareto that begins at 1."""
        own, cap = level ** (1 - tail), ACTIVITY_CAP ** (1 - tail)
        return float(own + (own - cap) / (tail - 1))

    expected = above(cut) / above(1.0)
    found = weights[-len(weights) // 100 :].sum() / weights.sum()
    assert expected == pytest.approx(found, rel=0.15)
    assert found > 0.1


@pytest.mark.parametrize("hour", [4, 12, 21])
def test_sessions_follow_the_daily_rhythm(hour: int) -> None:
    clicks = human_clicks(PEOPLE, MARKET, PER_DAY, Unit(5, HUMANS, SUNDAY + hour))
    mean = PER_DAY / MEAN_LENGTH / 24 * rhythm(SUNDAY + hour, 0)
    assert abs(len(np.unique(clicks.session)) - mean) < 5 * sqrt(mean)


def test_a_week_of_rhythm_averages_one() -> None:
    week = [rhythm(SUNDAY + hour, 0) for hour in range(7 * 24)]
    assert sum(week) / len(week) == pytest.approx(1.0)


def test_a_day_has_the_clicks_that_were_asked_for() -> None:
    units = [Unit(5, HUMANS, SUNDAY + hour) for hour in range(24)]
    total = sum(len(human_clicks(PEOPLE, MARKET, PER_DAY, unit)) for unit in units)
    mean = PER_DAY * sum(rhythm(SUNDAY + hour, 0) for hour in range(24)) / 24
    deviation = sqrt(mean / MEAN_LENGTH * float((LENGTHS**2).mean()))
    # Sessions are cut off at the end of the next hour, so a little is missing.
    assert mean * 0.98 - 5 * deviation < total < mean + 5 * deviation


def test_sessions_end_within_the_next_hour_and_never_run_backwards() -> None:
    unit = Unit(5, HUMANS, SUNDAY + 20)
    clicks = human_clicks(PEOPLE, MARKET, PER_DAY, unit)
    same = clicks.session[1:] == clicks.session[:-1]
    assert (np.diff(clicks.ts)[same] >= 0).all()
    assert clicks.ts.min() >= unit.start
    assert clicks.ts.max() < unit.start + 2 * HOUR


def users_by_address(hours: int) -> np.ndarray:
    """How many people each address shows in the first hours."""
    units = [Unit(5, HUMANS, SUNDAY + 24 + hour) for hour in range(hours)]
    drawn = [human_clicks(PEOPLE, MARKET, PER_DAY, unit) for unit in units]
    pairs = np.unique(np.concatenate([np.stack([c.ip, c.actor], axis=1) for c in drawn]), axis=0)
    return np.bincount(pairs[:, 0], minlength=PEOPLE.places.total)


def test_addresses_are_shared_as_their_kind_is() -> None:
    places, users = PEOPLE.places, users_by_address(24)
    homes = users[: places.homes]
    offices = users[places.office_start : places.campus_start]
    campuses = users[places.campus_start : places.carrier_start]
    carriers = users[places.carrier_start : places.vpn_start]
    assert homes[homes > 0].mean() < 4
    assert homes.max() < 40
    assert offices.max() > 2 * offices.mean()
    assert campuses.mean() > 100
    assert 20 < carriers.mean() < carriers.max() / 2


def test_purchases_come_at_the_rate_that_was_asked_for() -> None:
    units = [Unit(5, HUMANS, SUNDAY + hour) for hour in range(24)]
    bought = np.concatenate(
        [human_clicks(PEOPLE, MARKET, PER_DAY, unit).buys_after for unit in units]
    )
    rate = (bought >= 0).mean()
    # Propensities are skewed and busy people weigh more, so this is an order and not a figure.
    assert SETTINGS.purchase_rate / 2 < rate < SETTINGS.purchase_rate * 2
    assert bought.max() <= 72 * HOUR
