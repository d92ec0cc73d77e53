"""Calibration by slice: what it promises holds on later traffic, and its limits are said."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorer.allocation import Guards, Problem, hull_optimum
from scorer.calibration import NEVER, Calibration
from scorer.curves import Clicks, hull, slice_curves
from scorer.errors import BadInput, Infeasible, NotTrainable
from scorer.metrics import Share
from scorer.quadratic import Quadratic
from scorer.slice_calibration import (
    POINTS,
    Method,
    SliceCalibration,
    calibrate_slices,
    curve_points,
)
from tests.scorer.slices import KEYS, ROWS, Row, clicks, market

BUDGET = 0.01
SEEDS = range(4)


def naive(known: Clicks, budget: float) -> Calibration:
    """Take the shares that were seen for the truth: no interval, pooling, shrinking or cap."""
    curves = slice_curves(known, known.slices, known.slice_keys)
    fprs = [curve.lost / max(curve.purchases, 1) for curve in curves]
    corners = [np.flatnonzero(np.append(np.diff(fpr) > 0, True)) for fpr in fprs]
    hulls = [
        hull(fpr[places], curve.ivr[places])
        for fpr, places, curve in zip(fprs, corners, curves, strict=True)
    ]
    shares = [
        np.array([getattr(curve, name) for curve in curves], dtype=np.float64)
        for name in ("clicks", "purchases")
    ]
    c_s, p_s = (np.maximum(share / share.sum(), 1e-12) for share in shares)
    floors, flat = np.zeros(len(curves)), (Quadratic(0.0, 0.0, 0.0),) * len(curves)
    names = tuple(known.slice_keys)
    found = hull_optimum(Problem(names, c_s, p_s, floors, budget, 1.0, flat, tuple(hulls)))
    thresholds = {
        curve.name: float(curve.thresholds[np.searchsorted(fpr, f + 1e-12, side="right") - 1])
        for curve, fpr, f in zip(curves, fprs, found.fpr, strict=True)
    }
    return Calibration(overall=NEVER, slices=thresholds)


def invalid(calibration: Calibration, later: Clicks) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return later.probabilities >= calibration.thresholds(later.slice_keys)[later.slices]


def later_fpr(calibration: Calibration, later: Clicks) -> Share:
    lost = invalid(calibration, later) & later.purchasing
    return Share(int(lost.sum()), int(later.purchasing.sum()))


def worst_slice(calibration: Calibration, later: Clicks) -> float:
    """The largest share of a slice's humans that is lost."""
    lost = np.bincount(later.slices[invalid(calibration, later) & later.purchasing], minlength=40)
    return float((lost / np.bincount(later.slices[later.purchasing], minlength=40)).max())


@pytest.mark.parametrize("seed", SEEDS)
def test_the_budget_holds_on_later_traffic_and_naively_does_not(seed: int) -> None:
    known, later = market(seed, 2_000), market(seed + 100, 40_000, rows=300_000)
    for method in ("quadratic", "hull"):
        found = calibrate_slices(known, BUDGET, method=method)
        assert later_fpr(found.calibration, later).interval[0] <= BUDGET
        assert worst_slice(found.calibration, later) <= 5 * BUDGET
        assert invalid(found.calibration, later).mean() > 0.05  # and not by catching nobody
    careless = naive(known, BUDGET)
    assert later_fpr(careless, known).rate <= BUDGET + 1e-9  # type: ignore[operator]
    assert later_fpr(careless, later).interval[0] > 1.5 * BUDGET
    assert worst_slice(careless, later) > 10 * BUDGET


@pytest.mark.parametrize("seed", SEEDS)
def test_slices_catch_more_than_one_threshold_where_they_differ_and_buy_much(seed: int) -> None:
    known, later = (market(draw, 60_000, 600_000, 1.0) for draw in (seed, seed + 100))
    found = calibrate_slices(known, BUDGET, method="hull")
    one = Calibration(overall=found.calibration.overall)
    assert invalid(found.calibration, later).mean() > invalid(one, later).mean()
    assert later_fpr(found.calibration, later).interval[0] <= BUDGET


@pytest.mark.parametrize("seed", SEEDS)
def test_one_threshold_catches_more_where_slices_are_many_and_purchases_few(seed: int) -> None:
    known = market(seed, 2_000)
    quadratic, hulls, one, _ = calibrate_slices(known, BUDGET).outcomes
    assert quadratic.ivr.part <= hulls.ivr.part < one.ivr.part  # the price of 40 intervals


def check(found: SliceCalibration, known: Clicks, budget: float, guards: Guards) -> None:
    """What holds of every calibration."""
    calibration = found.calibration
    assert calibration == Calibration.model_validate_json(calibration.model_dump_json())
    assert set(calibration.slices) == {known.slice_keys[code] for code in known.slices}
    cap = guards.cap * budget
    for key, fit in calibration.curves.items():
        place = fit.points.thresholds.index(calibration.slices[key])
        assert fit.points.fpr[place] <= fit.fpr + 1e-6 <= min(cap, 1) + 2e-6
        assert len(fit.points.thresholds) <= POINTS
        assert fit.points.fpr[0] == fit.points.ivr[0] == 0
    for outcome in found.outcomes[:2]:
        assert outcome.promised is not None
        assert outcome.fpr_upper is not None
        assert outcome.fpr_upper <= budget + 1e-6
    called = invalid(calibration, known)
    assert found.chosen.ivr == Share(int(called.sum()), len(called))
    assert found.chosen.fpr == later_fpr(calibration, known)
    quadratic, exact = found.outcomes[:2]
    assert exact.promised is not None  # which holds of a curve of one's own
    assert guards.min_purchases or (exact.ivr.rate or 0.0) <= exact.promised + 1e-9
    assert quadratic.name == "quadratic"


@settings(deadline=None, max_examples=60)
@given(
    rows=ROWS,
    budget=st.sampled_from([0.01, 0.2, 0.6, 1.0]),
    minimum=st.sampled_from([0, 1, 3, 200]),
    coverage=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_any_clicks_at_all(rows: list[Row], budget: float, minimum: int, coverage: float) -> None:
    known, guards = clicks(rows), Guards(min_purchases=minimum, min_coverage=coverage)
    if not known.purchasing.any():
        with pytest.raises(NotTrainable, match="no purchasing click is held out"):
            calibrate_slices(known, budget, guards)
        return
    try:
        found = calibrate_slices(known, budget, guards)
    except Infeasible as problem:
        assert coverage > 0
        found = calibrate_slices(known, problem.smallest, guards)
        budget = problem.smallest
    check(found, known, budget, guards)
    for code in set(known.slices.tolist()):  # also of the slices that share a curve
        mine = (known.slices == code) & known.robotic
        caught = (invalid(found.calibration, known) & mine).sum()
        assert caught >= coverage * mine.sum()


@pytest.mark.parametrize("budget", [0.0, -1.0, 1.01, float("nan")])
def test_a_budget_that_is_no_share(budget: float) -> None:
    with pytest.raises(BadInput, match="above 0 and at most 1"):
        calibrate_slices(market(0, 100, 1_000), budget)


@pytest.mark.parametrize("coverage", [-0.1, 1.1, float("nan")])
def test_a_coverage_that_is_no_share(coverage: float) -> None:
    with pytest.raises(BadInput, match="minimum coverage"):
        calibrate_slices(market(0, 100, 1_000), 0.1, Guards(min_coverage=coverage))


def test_too_few_purchases_lose_nobody_and_are_counted() -> None:
    found = calibrate_slices(market(0, 300), BUDGET)
    assert (found.purchases, found.needed) == (300, 368)
    assert found.calibration.overall == NEVER


def test_more_slices_than_clicks() -> None:
    keys = [f"d={k},l=y" for k in range(50)]
    rows: list[Row] = [(0.9, False, True, 7), (0.2, True, False, 30), (0.1, True, False, 30)]
    found = calibrate_slices(clicks(rows, keys), 1.0)
    assert set(found.calibration.slices) == {"d=7,l=y", "d=30,l=y"}
    assert {fit.pooled_with for fit in found.calibration.curves.values()} == {"overall"}


def test_a_slice_without_purchases_is_judged_by_all_clicks() -> None:
    known = market(0, 2_000)
    bare = replace(known, purchasing=known.purchasing & (known.slices != 39))
    found = calibrate_slices(bare, BUDGET, Guards(min_purchases=8))
    fit = found.calibration.curves[KEYS[39]]
    assert (fit.pooled_with, fit.clicks) == ("overall", len(known.slices))
    assert fit.purchases == bare.purchasing.sum()


def test_every_click_a_purchase_and_every_click_alike() -> None:
    rows: list[Row] = [(0.5, True, False, 0)] * 500
    found = calibrate_slices(clicks(rows), BUDGET)
    assert found.calibration.slices == {"d=a,l=n": NEVER}
    assert found.chosen.ivr.part == 0


def test_a_slice_of_robots_alone_is_caught_whole() -> None:
    rows: list[Row] = [(0.9, False, True, 0)] * 300 + [(0.1, True, False, 1)] * 700
    found = calibrate_slices(clicks(rows), BUDGET, Guards(min_coverage=1.0))
    assert found.calibration.slices["d=a,l=n"] == pytest.approx(0.9)
    assert found.chosen.fpr.part == 0


@pytest.mark.parametrize("alike", [0, 1], ids=["one parent", "left over at the top"])
def test_coverage_is_that_of_each_slice_that_shares_a_curve(alike: int) -> None:
    other = 1 + alike  # the first two have one parent, the third another
    rows: list[Row] = [(0.9, False, True, 0)] * 300 + [(0.3, False, True, other)] * 10
    rows += [(0.5, True, False, 0)] * 20  # whom it costs to reach the ten
    rows += [(0.1, True, False, 0)] * 130 + [(0.1, True, False, other)] * 150
    guards = Guards(min_coverage=0.8)
    with pytest.raises(Infeasible, match="small slices") as stop:
        calibrate_slices(clicks(rows), 0.05, guards)
    found = calibrate_slices(clicks(rows), stop.value.smallest, guards)
    assert list(found.calibration.slices.values()) == pytest.approx([0.3, 0.3])


def test_long_curves_are_thinned_and_keep_the_chosen_point() -> None:
    known = market(0, 5_000)
    [curve] = slice_curves(known, np.zeros_like(known.slices), ["all"])
    chosen = int(curve.corners[17])
    points = curve_points(curve, 0.5, chosen)
    assert len(points.thresholds) in (POINTS - 1, POINTS)
    assert float(curve.thresholds[chosen]) in points.thresholds
    assert list(points.thresholds) == sorted(points.thresholds, reverse=True)
    assert list(points.fpr) == sorted(points.fpr)


def test_files_without_curves_still_load() -> None:
    old = '{"overall": 0.5, "slices": {"device=tv": 0.9}, "fpr_budget": 0.01}'
    found = Calibration.model_validate_json(old)
    assert (found.method, found.curves) == (None, {})
    assert found.threshold("device=tv") == 0.9


def test_slices_left_over_get_no_more_than_the_budget() -> None:
    """A slice of clicks that all look robotic gains the most, and its few people would pay."""
    known = market(0, 20_000, 200_000)
    small = known.slices == 39
    looks = known.probabilities.copy()
    looks[small] = np.float32(0.6)
    few = replace(known, probabilities=looks, purchasing=known.purchasing & ~small)
    for method in get_args(Method):
        found = calibrate_slices(few, BUDGET, Guards(min_purchases=8), method)
        fit = found.calibration.curves[KEYS[39]]
        assert fit.pooled_with == "overall"
        assert fit.clicks == len(few.slices)
        assert found.calibration.slices[KEYS[39]] >= found.calibration.overall
