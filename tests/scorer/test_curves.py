"""Curves, their hulls and their fits against counting and trying."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorer.calibration import NEVER
from scorer.curves import Doubles, SliceCurve, hull, knee, slice_curves, slice_hull
from scorer.errors import NotTrainable
from scorer.metrics import clopper_pearson_upper
from scorer.quadratic import Quadratic, fit
from tests.scorer.slices import ROWS, Row, clicks

GRID = st.integers(0, 8).map(lambda k: k / 8)
POINTS = st.lists(GRID, min_size=1, max_size=9)


def curve(rows: list[Row]) -> SliceCurve:
    some = clicks(rows)
    return slice_curves(some, np.zeros_like(some.slices), ["all"])[0]


@settings(deadline=None)
@given(rows=ROWS)
def test_each_threshold_counted_by_hand(rows: list[Row]) -> None:
    some = clicks(rows)
    for code, found in enumerate(slice_curves(some, some.slices, some.slice_keys)):
        mine = [row for row in rows if row[3] == code]
        assert found.thresholds.tolist() == [NEVER, *sorted({p for p, *_ in mine}, reverse=True)]
        assert (found.name, found.clicks) == (some.slice_keys[code], len(mine))
        assert found.purchases == sum(bought for _, bought, _, _ in mine)
        for place, threshold in enumerate(found.thresholds):
            reached = [row for row in mine if row[0] >= threshold]
            assert found.invalid[place] == len(reached)
            assert found.lost[place] == sum(bought for _, bought, _, _ in reached)
            assert found.covered[place] == sum(robotic for _, _, robotic, _ in reached)


@settings(deadline=None)
@given(rows=ROWS, fpr=GRID, coverage=GRID)
def test_the_way_back_to_a_threshold(rows: list[Row], fpr: float, coverage: float) -> None:
    found = curve(rows)
    upper = [0.0] + [float(clopper_pearson_upper(lost, found.purchases)) for lost in found.lost[1:]]
    assert found.fpr_upper.tolist() == upper
    assert found.at_most(fpr) == max(k for k, f in enumerate(upper) if f <= fpr)
    enough = [f for f, c in zip(upper, found.covered, strict=True) if c >= coverage * found.robotic]
    assert found.fpr_at(found.catching(coverage)) == min(enough)
    kept = found.covered[found.at_most(min(enough))]
    assert kept >= coverage * found.robotic
    assert [found.fpr_at(float(threshold)) for threshold in found.thresholds] == upper


def test_coverage_is_counted_exactly() -> None:
    found = curve([(k / 128, True, True, 0) for k in range(100)])
    needed = found.catching(0.07)  # 0.07 × 100 > 7 in floating point
    assert needed == found.thresholds[7] > found.thresholds[8]


def test_never_costs_nothing_and_anything_else_does() -> None:
    found = curve([(1.0, False, False, 0), (0.5, True, False, 0)])
    assert found.fpr_upper[0] == 0.0
    assert found.fpr_upper[1] == float(clopper_pearson_upper(0, 1)) > 0.9
    without = curve([(1.0, False, False, 0)])
    assert without.fpr_upper.tolist() == [0.0, 1.0]


def test_a_click_without_a_probability() -> None:
    with pytest.raises(NotTrainable, match="1 held-out clicks have no probability"):
        curve([(float("nan"), True, False, 0), (0.5, True, False, 0)])


def between(x: Doubles, y: Doubles, at: float) -> float:
    """The highest point above `at` on any line between two of the points."""
    best = max(y[x == at], default=0.0)
    for i, j in ((i, j) for i in range(len(x)) for j in range(len(x)) if x[i] < at < x[j]):
        best = max(best, y[i] + (y[j] - y[i]) * (at - x[i]) / (x[j] - x[i]))
    return float(best)


@given(heights=POINTS)
def test_the_hull_is_the_highest_line_between_points(heights: list[float]) -> None:
    x, y = np.linspace(0, 1, len(heights)), np.sort(heights)
    found = hull(x, y)
    for at in np.linspace(0, x[-1], 17):
        assert found.at(float(at)) == pytest.approx(max(between(x, y, float(at)), 0), abs=1e-12)
    slopes = np.diff(found.ivr) / np.diff(found.fpr)
    assert (np.diff(slopes) < 1e-9).all()


def test_the_hull_of_a_slice_ends_at_the_cap() -> None:
    rows: list[Row] = [(k / 64, k % 2 == 0, False, 0) for k in range(60)]
    found = curve(rows)
    cap = float(found.fpr_upper[found.corners[3]])
    assert slice_hull(found, cap).fpr[-1] <= cap
    assert slice_hull(found, cap).at(1.0) == found.ivr[found.corners[3]]


def test_the_knee_is_where_the_curve_bends() -> None:
    rows: list[Row] = [(0.9, False, False, 0)] * 50 + [(0.8, False, False, 0)] * 30
    rows += [(0.1 + k / 1_000, True, False, 0) for k in range(400)]
    found = curve(rows)
    assert found.thresholds[knee(found)] == np.float32(0.8)


def loss(found: Quadratic, x: Doubles, y: Doubles, weights: Doubles) -> float:
    return float(weights @ np.square(np.array([found.at(float(f)) for f in x]) - y))


@settings(deadline=None)
@given(rows=ROWS, cap=st.sampled_from([0.3, 0.8, 1.0]))
def test_the_fit_is_concave_never_falls_and_no_other_is_nearer(rows: list[Row], cap: float) -> None:
    some = curve(rows)
    best = fit(some, cap)
    assert best.a >= 0 <= best.c
    assert best.b - 2 * best.c * cap >= -1e-9
    places = some.corners[some.fpr_upper[some.corners] <= cap]
    x, y = np.append(some.fpr_upper[places], cap), np.append(some.ivr[places], some.ivr[places[-1]])
    gained = np.diff(some.invalid[places])
    weights = np.concatenate([gained[:1], gained, gained[-1:]]) if len(gained) else np.zeros(2)
    least = loss(best, x, y, weights)
    for a in (0.0, 0.1, 0.5):
        for slope in (0.0, 0.2, 1.0):  # at the cap
            for c in (0.0, 0.3, 1.5):
                other = Quadratic(a, slope + 2 * c * cap, c)
                assert least <= loss(other, x, y, weights) + 1e-9


def test_a_curve_that_is_a_quadratic_is_found_again() -> None:
    true, n = Quadratic(0.0, 3.0, 2.5), 100_000
    lost = np.arange(0, 200)
    upper = np.append(0.0, clopper_pearson_upper(lost, 1_000))
    invalid = np.round(np.array([true.at(float(f)) for f in upper]) * n).astype(np.int64)
    thresholds = np.linspace(1, 0, len(upper), dtype=np.float32)
    some = SliceCurve(
        "s", n, 1_000, 0, thresholds, invalid, np.append(0, lost), np.zeros_like(invalid)
    )
    found = fit(some, float(upper[-1]))
    assert (found.a, found.b, found.c) == pytest.approx((0.0, 3.0, 2.5), abs=0.01)


@pytest.mark.parametrize("rows", [[(0.5, False, False, 0)], [(0.5, True, True, 0)] * 3])
def test_nothing_within_the_cap_gains_nothing(rows: list[Row]) -> None:
    assert fit(curve(rows), 0.05) == Quadratic(0.0, 0.0, 0.0)
    assert slice_hull(curve(rows), 0.05).at(0.05) == 0.0
