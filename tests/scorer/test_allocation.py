"""The programme against trying every allocation, bisection, its KKT conditions, and a solver."""

from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from scorer.allocation import (
    Guards,
    Problem,
    allocate,
    check_feasible,
    global_threshold,
    hull_optimum,
    pose,
    shrunk,
)
from scorer.curves import Doubles, Hull, SliceCurve, hull, slice_curves
from scorer.errors import Infeasible
from scorer.quadratic import Quadratic
from tests.scorer.slices import ROWS, Row, clicks

BUDGET, CAP = 0.01, 0.05
STEPS = 10  # of the grid, from 0 to the cap
SLOPE = st.sampled_from([0.0, 0.5, 2.0, 10.0])
WEIGHT = st.sampled_from([0.01, 1.0, 1.0, 5.0])


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """Up to three slices; the floors leave room within the budget."""
    slices = draw(st.integers(1, 3))
    fits, hulls = [], []
    for _ in range(slices):
        a, slope, c = draw(SLOPE) / 100, draw(SLOPE), draw(SLOPE) * 10
        fits.append(Quadratic(a, slope + 2 * c * CAP, c))
        heights = np.sort(draw(st.lists(st.integers(0, 6), min_size=3, max_size=3)))
        points = np.array([0.0, *heights]) / 10
        hulls.append(rising(hull(np.array([0.0, 0.01, 0.02, 0.05]), points)))
    shares = [np.array([draw(WEIGHT) for _ in range(slices)]) for _ in range(2)]
    c_s, p_s = (share / share.sum() for share in shares)
    floors = np.array([draw(st.sampled_from([0.0, 0.0, 0.005, 0.01])) for _ in range(slices)])
    names = tuple(f"s{k}" for k in range(slices))
    return Problem(names, c_s, p_s, floors, BUDGET, CAP, tuple(fits), tuple(hulls))


def rising(found: Hull) -> Hull:
    kept = np.append(True, np.diff(found.ivr) > 0)
    return Hull(found.fpr[kept], found.ivr[kept])


def fitted(problem: Problem, fpr: Doubles) -> float:
    values = [q.at(float(f)) for q, f in zip(problem.fits, fpr, strict=True)]
    return float(problem.clicks @ np.array(values))


def on_hulls(problem: Problem, fpr: Doubles) -> float:
    values = [h.at(float(f)) for h, f in zip(problem.hulls, fpr, strict=True)]
    return float(problem.clicks @ np.array(values))


def holds(problem: Problem, fpr: Doubles) -> bool:
    inside = (fpr >= problem.floors - 1e-9) & (fpr <= problem.cap + 1e-9)
    return bool(inside.all() and problem.purchases @ fpr <= problem.budget + 1e-9)


def grid(problem: Problem) -> list[Doubles]:
    steps = np.linspace(0, problem.cap, STEPS + 1)
    tried = (np.array(some) for some in product(steps, repeat=len(problem.names)))
    return [fpr for fpr in tried if holds(problem, fpr)]


def bisected(problem: Problem) -> Doubles:
    """Find the multiplier at which the budget is just spent: each slice alone is then simple."""

    def at(multiplier: float) -> Doubles:
        return np.array([alone(problem, k, multiplier) for k in range(len(problem.names))])

    low, high = 0.0, 1e9
    if problem.purchases @ at(low) <= problem.budget:
        return at(low)
    for _ in range(200):
        middle = (low + high) / 2
        spends = problem.purchases @ at(middle) > problem.budget
        low, high = (middle, high) if spends else (low, middle)
    most, least = at(low), at(high)  # they differ where a slice is indifferent
    room = problem.budget - problem.purchases @ least
    over = problem.purchases @ (most - least)
    return least + (most - least) * (room / over if over > 0 else 0.0)


def alone(problem: Problem, k: int, multiplier: float) -> float:
    """The best FPR of one slice when a unit of it costs the multiplier."""
    gain = problem.clicks[k] * problem.fits[k].b - multiplier * problem.purchases[k]
    bend = 2 * problem.clicks[k] * problem.fits[k].c
    if bend > 0:
        return float(np.clip(gain / bend, problem.floors[k], problem.cap))
    return float(problem.cap if gain > 0 else problem.floors[k])


@settings(deadline=None)
@given(problem=problems())
def test_no_allocation_on_a_grid_is_better(problem: Problem) -> None:
    found = allocate(problem)
    assert holds(problem, found.fpr)
    assert found.ivr == pytest.approx(fitted(problem, found.fpr))
    assert found.ivr >= max((fitted(problem, f) for f in grid(problem)), default=0.0) - 1e-6
    exact = hull_optimum(problem)
    assert holds(problem, exact.fpr)
    assert exact.ivr == pytest.approx(on_hulls(problem, exact.fpr))
    assert exact.ivr >= max((on_hulls(problem, f) for f in grid(problem)), default=0.0) - 1e-9


@settings(deadline=None)
@given(problem=problems())
def test_the_optimum_is_that_of_bisection(problem: Problem) -> None:
    found, exact = allocate(problem), bisected(problem)
    assert holds(problem, exact)
    assert found.ivr == pytest.approx(fitted(problem, exact), abs=1e-6)


@settings(deadline=None)
@given(problem=problems())
def test_the_conditions_of_karush_kuhn_and_tucker(problem: Problem) -> None:
    check_kkt(problem, 1e-4)


def check_kkt(problem: Problem, tolerance: float) -> None:
    """Marginal gain against price: equal inside, no more at the floor, no less at the cap."""
    found = allocate(problem)
    assert found.multiplier >= -tolerance
    spent = float(problem.purchases @ found.fpr)
    assert found.multiplier * (problem.budget - spent) <= tolerance  # complementary slackness
    b, c = (np.array([getattr(q, name) for q in problem.fits]) for name in "bc")
    gain = problem.clicks * (b - 2 * c * found.fpr) - found.multiplier * problem.purchases
    near = tolerance * problem.cap
    size = max(float((problem.clicks * b).max()), 1.0)
    at_floor, at_cap = found.fpr <= problem.floors + near, found.fpr >= problem.cap - near
    assert (gain[~at_floor] >= -tolerance * size).all()
    assert (gain[~at_cap] <= tolerance * size).all()


@settings(deadline=None)
@given(problem=problems())
def test_the_hulls_optimum_is_a_linear_programmes(problem: Problem) -> None:
    """Maximise the sum of t_s below every line of each hull, with another solver."""
    n = len(problem.names)
    rows, bounds = [], []
    for k, some in enumerate(problem.hulls):
        ends = list(zip(some.fpr, some.ivr, strict=True))
        lines = [(0.0, ends[-1][1])]
        for (x0, y0), (x1, y1) in pairwise(ends):
            lines.append(((y1 - y0) / (x1 - x0), y0 - (y1 - y0) / (x1 - x0) * x0))
        for slope, height in lines:
            row = np.zeros(2 * n)
            row[k], row[n + k] = -slope, 1.0
            rows.append(row)
            bounds.append(height)
    rows.append(np.append(problem.purchases, np.zeros(n)))
    solved = linprog(
        -np.append(np.zeros(n), problem.clicks),
        A_ub=np.array(rows),
        b_ub=np.append(bounds, problem.budget),
        bounds=[(f, problem.cap) for f in problem.floors] + [(None, None)] * n,
    )
    assert hull_optimum(problem).ivr == pytest.approx(-solved.fun, abs=1e-8)


def many(slices: int, seed: int = 0) -> Problem:
    """Slices from very large to very small, as a market has them."""
    random = np.random.default_rng(seed)
    size = 1.0 / (1 + np.arange(slices)) ** 1.5
    bought = size * random.gamma(4, size=slices)
    fits, hulls = [], []
    for _ in range(slices):
        slope, c = random.gamma(0.5), random.gamma(1, 50)
        fits.append(Quadratic(0.0, slope + 2 * c * CAP, c))
        x = np.linspace(0, CAP, 20)
        hulls.append(hull(x, np.array([fits[-1].at(float(f)) for f in x])))
    floors = np.where(random.random(slices) < 0.2, BUDGET / 2, 0.0)
    names = tuple(f"s{k}" for k in range(slices))
    shares = (size / size.sum(), bought / bought.sum())
    return Problem(names, *shares, floors, BUDGET, CAP, tuple(fits), tuple(hulls))


@pytest.mark.parametrize("seed", range(3))
def test_two_hundred_slices(seed: int) -> None:
    problem = many(200, seed)
    found, exact = allocate(problem), bisected(problem)
    assert holds(problem, found.fpr)
    assert found.ivr == pytest.approx(fitted(problem, exact), rel=1e-6)
    assert hull_optimum(problem).ivr <= found.ivr + 1e-6  # the hulls lie below their quadratics
    check_kkt(problem, 1e-4)


def test_the_multiplier_is_what_more_budget_is_worth() -> None:
    problem = many(20)
    found = allocate(problem)
    more = replace(problem, budget=BUDGET * 1.001)
    gained = bisected(more), bisected(problem)
    worth = (fitted(more, gained[0]) - fitted(problem, gained[1])) / (BUDGET * 0.001)
    assert found.multiplier == pytest.approx(worth, rel=0.01)


def test_nothing_to_gain_stays_at_the_floors() -> None:
    flat = (Quadratic(0.5, 0.0, 0.0),) * 2
    half = np.array([0.5, 0.5])
    floors = np.array([0.0, 0.01])
    none = Hull(np.zeros(1), np.zeros(1))
    problem = Problem(("a", "b"), half, half, floors, BUDGET, CAP, flat, (none, none))
    for found in (allocate(problem), hull_optimum(problem)):
        assert (found.fpr.tolist(), found.multiplier) == (floors.tolist(), 0.0)


def test_shrinking_forgets_chance_and_keeps_what_is_plain() -> None:
    even = np.full(4, 0.25)
    random = np.random.default_rng(0)
    by_chance = random.multinomial(2_000, even)
    plain = np.array([1_700, 100, 100, 100])
    distance = [np.abs(shrunk(n, even) - even).max() for n in (by_chance, plain)]
    assert distance[0] < np.abs(by_chance / 2_000 - even).max() / 2
    assert distance[1] == pytest.approx(0.6, abs=0.01)


@pytest.mark.parametrize("bought", [[0, 0, 0], [1, 0, 0], [500, 0, 0]])
def test_no_slice_is_free(bought: list[int]) -> None:
    found = shrunk(np.array(bought), np.array([0.2, 0.3, 0.5]))
    assert found.sum() == pytest.approx(1.0)
    assert (found > 0).all()


def posed(rows: list[Row], budget: float, coverage: float) -> Problem:
    some = clicks(rows)
    curves = slice_curves(some, some.slices, some.slice_keys)
    counts = np.array([[curve.clicks, curve.purchases] for curve in curves])
    present = counts[:, 0] > 0
    kept = [curve for curve, there in zip(curves, present, strict=True) if there]
    share = counts[present, 0] / len(rows)
    floors = np.array([curve.fpr_at(curve.catching(coverage)) for curve in kept])
    return pose(kept, share, counts[present, 1], floors, budget, Guards(min_coverage=coverage))


@settings(deadline=None)
@given(
    rows=ROWS,
    budget=st.sampled_from([0.001, 0.1, 0.4, 1.0]),
    coverage=st.sampled_from([0.1, 0.5, 1.0]),
)
def test_infeasible_says_the_smallest_budget_that_would_do(
    rows: list[Row], budget: float, coverage: float
) -> None:
    posed_or_refused = attempt(rows, budget, coverage)
    if isinstance(posed_or_refused, Problem):
        assert holds(posed_or_refused, posed_or_refused.floors)
        return
    smallest = posed_or_refused.smallest
    assert posed_or_refused.slices
    assert budget < smallest <= 1
    posed(rows, smallest, coverage)
    if smallest > 1e-5:
        with pytest.raises(Infeasible):
            posed(rows, smallest - 5e-6, coverage)


def attempt(rows: list[Row], budget: float, coverage: float) -> Problem | Infeasible:
    try:
        return posed(rows, budget, coverage)
    except Infeasible as refused:
        return refused


def test_infeasible_names_the_slices_that_ask_for_more_than_the_budget() -> None:
    rows: list[Row] = [(0.9, False, True, 0), (0.5, True, False, 0)] * 10
    rows += [(0.5, True, False, 1)] * 20
    with pytest.raises(Infeasible, match=r"because of: d=a,l=n\. The smallest budget") as stop:
        posed(rows, 0.01, 1.0)
    assert stop.value.slices == ("d=a,l=n",)
    assert stop.value.exit_code == 2
    assert "\n" not in str(stop.value)


def test_a_floor_above_the_cap_is_infeasible_even_where_the_budget_would_pay() -> None:
    shares = np.array([0.999, 0.001])
    flat, none = Quadratic(0.0, 0.0, 0.0), Hull(np.zeros(1), np.zeros(1))
    floors = np.array([0.0, 0.06])
    problem = Problem(
        ("big", "small"), shares, shares, floors, BUDGET, CAP, (flat,) * 2, (none,) * 2
    )
    with pytest.raises(Infeasible) as stop:
        check_feasible(problem, Guards(min_coverage=0.5))
    assert (stop.value.slices, stop.value.smallest) == (("small",), 0.012)


def test_one_threshold_at_the_same_budget() -> None:
    lost = np.append(0, np.arange(100))
    thresholds = np.linspace(1, 0, 101, dtype=np.float32)
    curve = SliceCurve("all", 10_000, 2_000, 0, thresholds, lost * 10, lost, lost * 0)
    threshold = global_threshold(curve, 0.01)
    [at] = np.flatnonzero(thresholds == np.float32(threshold))
    assert curve.fpr_upper[at] <= 0.01 < curve.fpr_upper[at + 1]
    assert lost[at] / 2_000 < 0.01  # the interval's end, and not the share that was seen
