"""Human bursts: sales rise at once and fall off, holidays empty the offices; both are people's."""

import numpy as np
import pytest

from simulator.columns import HOUR, Clicks, Unit
from simulator.draw import generator
from simulator.errors import BadScenario
from simulator.humans import HUMAN_KIND, HUMANS, human_clicks, on_sale
from simulator.market import MarketSettings, make_market
from simulator.people import HumanSettings, People, make_people
from simulator.scenario import load_scenario
from simulator.surges import FlashSale, Holiday
from simulator.visits import MOBILE

PER_DAY = 60_000
BEGIN = 492_312  # 2026-03-01T00:00Z, a Sunday, in hours since the epoch
MONDAY_NOON = BEGIN + 36
MARKET = make_market(MarketSettings(), seed=5)
SALE = FlashSale(begins_hour=36.5, hours=3, lift=10, half_life_minutes=30, campaigns=2, focus=0.9)
HOLIDAY = Holiday(begins_hour=24, hours=24, at_work=0.0)


def people(*surges: FlashSale | Holiday) -> People:
    return make_people(HumanSettings(zones={0: 1.0}, surges=surges), PER_DAY, 5, BEGIN)


def clicks(who: People, hour: int) -> Clicks:
    return human_clicks(who, MARKET, PER_DAY, Unit(5, HUMANS, hour))


def sessions(made: Clicks) -> int:
    return len(np.unique(made.session))


def test_a_sale_brings_the_sessions_that_its_lift_says() -> None:
    usual, during = clicks(people(), MONDAY_NOON), clicks(people(SALE), MONDAY_NOON)
    mean = sessions(usual)
    extra = 9 * SALE.mass(BEGIN, MONDAY_NOON)
    assert SALE.mass(BEGIN, MONDAY_NOON) == pytest.approx(0.5 * (1 - 0.5) / np.log(2))
    assert abs(sessions(during) - mean * (1 + extra)) < 5 * np.sqrt(
        mean * (2 + 2 * extra + extra**2)
    )


def test_a_sale_starts_at_its_moment_and_halves_with_each_half_life() -> None:
    starts = SALE.starts(generator(1), BEGIN, MONDAY_NOON, 40_000)
    begun = (BEGIN + 36) * HOUR + HOUR // 2
    assert starts.min() >= begun
    assert starts.max() < (MONDAY_NOON + 1) * HOUR
    next_hour = SALE.starts(generator(1), BEGIN, MONDAY_NOON + 1, 40_000)
    minutes = (next_hour - (MONDAY_NOON + 1) * HOUR) / 60e6
    assert 0 <= minutes.min() < minutes.max() < 60
    # In an hour of two half-lives, the first gets two thirds.
    assert abs((minutes < 30).mean() - 2 / 3) < 5 * np.sqrt(0.25 / 40_000)


def test_most_of_a_sale_s_clicks_are_on_its_campaigns_and_all_are_people_s() -> None:
    chosen = on_sale(SALE, 0, MARKET, 5)
    usual, during = clicks(people(), MONDAY_NOON), clicks(people(SALE), MONDAY_NOON)
    extra = len(during) - len(usual)
    share = (np.isin(during.campaign, chosen).sum() - np.isin(usual.campaign, chosen).sum()) / extra
    assert 0.8 < share < 1.0
    assert (during.kind == HUMAN_KIND).all()
    assert during.ts.min() >= MONDAY_NOON * HOUR


def test_nothing_else_changes_before_and_after_a_sale() -> None:
    for hour in (MONDAY_NOON - 1, MONDAY_NOON + 4):
        assert np.array_equal(clicks(people(), hour).ts, clicks(people(SALE), hour).ts)


def test_nobody_is_at_the_office_on_a_holiday() -> None:
    def in_offices(who: People) -> float:
        made = clicks(who, MONDAY_NOON)
        places = who.places
        fixed = made.ip[~MOBILE[made.device]]
        return float(((fixed >= places.office_start) & (fixed < places.carrier_start)).mean())

    assert in_offices(people(HOLIDAY)) == 0
    assert in_offices(people()) > 0.2


def test_a_holiday_lifts_its_hours() -> None:
    lifted = people(Holiday(begins_hour=24, hours=24, lift=3))
    usual, during = (
        sessions(clicks(people(HOLIDAY), MONDAY_NOON)),
        sessions(clicks(lifted, MONDAY_NOON)),
    )
    assert abs(during - usual * 3 / HOLIDAY.lift) < 5 * np.sqrt(during * 4)


@pytest.mark.parametrize(
    ("surge", "message"),
    [
        ({"kind": "flash_sail", "begins_hour": 1, "hours": 1}, "surge 1: .*flash_sale"),
        ({"kind": "flash_sale", "begins_hour": 1, "hours": 1, "lfit": 2}, "no key named 'lfit'"),
        ({"kind": "holiday", "begins_hour": -1, "hours": 1}, "begins_hour"),
        ({"kind": "holiday", "begins_hour": 48, "hours": 1}, "surge 1 .holiday.: begins_hour 48"),
    ],
)
def test_a_surge_that_does_not_hold_is_named(surge: dict[str, object], message: str) -> None:
    with pytest.raises(BadScenario, match=message):
        load_scenario("quiet", {"humans": {"surges": [surge]}})
