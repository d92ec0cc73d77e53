"""Sample weights against counting cells by hand."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorer.errors import BadInput
from scorer.weights import SampleWeights, cell_weights, label_weights

HALF_HOUR = 1_800_000_000
SPRING = 1_774_746_000_000_000  # 2026-03-29T01:00Z: clocks in Berlin go from 2:00 to 3:00
NO_CAP = 1e6

# Few hours, both sides of an hour's edge and of a change of the clock, and a week later once more.
TIME = st.tuples(st.integers(-2, 3), st.sampled_from([-1, 0]), st.sampled_from([0, 336])).map(
    lambda t: SPRING + (t[0] + t[2]) * HALF_HOUR + t[1]
)
Click = tuple[int, bool, bool]  # ts, logged in, human
Cell = tuple[int, int, bool, bool]  # hour, weekday, logged in, human
CLICKS = st.lists(st.tuples(TIME, st.booleans(), st.booleans()), min_size=1, max_size=25)
ZONE = st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kolkata"])


def weigh(clicks: list[Click], cap: float = NO_CAP, zone: str = "UTC") -> SampleWeights:
    ts, logged_in, human = (np.array(column) for column in zip(*clicks, strict=True))
    return cell_weights(ts, logged_in, human, cap, zone)


def cell(click: Click, zone: str) -> Cell:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=click[0])
    local = moment.astimezone(ZoneInfo(zone))
    return local.hour, local.weekday(), click[1], click[2]


def totals(clicks: list[Click], weights: SampleWeights, zone: str) -> dict[Cell, float]:
    found: dict[Cell, float] = {}
    for click, value in zip(clicks, weights.values.tolist(), strict=True):
        found[cell(click, zone)] = found.get(cell(click, zone), 0.0) + value
    return found


@settings(deadline=None)
@given(clicks=CLICKS, zone=ZONE)
def test_every_filled_cell_has_the_same_total(clicks: list[Click], zone: str) -> None:
    weights = weigh(clicks, zone=zone)
    found = totals(clicks, weights, zone)
    assert weights.cells == len(found)
    assert weights.capped == 0
    assert list(found.values()) == pytest.approx([len(clicks) / len(found)] * len(found))
    assert weights.values.mean() == pytest.approx(1)


@settings(deadline=None)
@given(clicks=CLICKS, cap=st.sampled_from([1.0, 1.25, 2.0, 4.0]), zone=ZONE)
def test_a_cap_holds_single_clicks_and_touches_no_other_cell(
    clicks: list[Click], cap: float, zone: str
) -> None:
    whole, held = weigh(clicks, zone=zone), weigh(clicks, cap, zone)
    assert held.values.tolist() == np.minimum(whole.values, cap).tolist()
    each = len(clicks) / held.cells
    sizes = Counter(cell(click, zone) for click in clicks)
    assert held.capped == sum(n for n in sizes.values() if each / n > cap)
    for where, total in totals(clicks, held, zone).items():
        assert total == pytest.approx(min(each, cap * sizes[where]))


@settings(deadline=None)
@given(clicks=CLICKS, cap=st.sampled_from([1.0, 1.5, NO_CAP]))
def test_the_effective_size_is_kishs(clicks: list[Click], cap: float) -> None:
    weights = weigh(clicks, cap)
    values = weights.values.astype(np.float64)
    assert weights.effective == pytest.approx(values.sum() ** 2 / np.square(values).sum())
    assert 1 <= weights.effective <= len(clicks) * (1 + 1e-9)


@settings(deadline=None)
@given(clicks=CLICKS, order=st.randoms())
def test_the_order_of_clicks_is_no_matter(clicks: list[Click], order: Random) -> None:
    places = list(range(len(clicks)))
    order.shuffle(places)
    shuffled = weigh([clicks[k] for k in places])
    assert shuffled.values.tolist() == weigh(clicks).values[places].tolist()


@settings(deadline=None)
@given(human=st.lists(st.booleans(), min_size=1, max_size=20))
def test_weights_of_labels_alone(human: list[bool]) -> None:
    weights = label_weights(np.array(human))
    for label in set(human):
        total = sum(w for w, h in zip(weights.values.tolist(), human, strict=True) if h == label)
        assert total == pytest.approx(len(human) / len(set(human)))
    assert (weights.cells, weights.capped) == (len(set(human)), 0)


def test_equal_cells_cost_nothing() -> None:
    even = weigh([(0, True, True), (0, False, True), (0, True, False), (0, False, False)])
    assert even.effective == 4
    assert even.values.tolist() == [1.0] * 4


def test_no_click_at_all() -> None:
    none = np.empty(0, np.bool_)
    weights = cell_weights(np.empty(0, np.int64), none, none, cap=2)
    assert (len(weights.values), weights.cells, weights.capped, weights.effective) == (0, 0, 0, 0)


@pytest.mark.parametrize("cap", [0.0, 0.99, -1.0, float("nan"), float("inf")])
def test_a_cap_that_can_not_be_used(cap: float) -> None:
    with pytest.raises(BadInput, match="give a number of at least 1"):
        weigh([(0, True, True)], cap)
