"""Sharing an FPR budget among slices, so that the most clicks are called robotic.

    maximise    Σ c_s · IVR_s(f_s)
    subject to  Σ p_s · f_s <= budget,   f_s^min <= f_s <= f_cap

c_s is a slice's share of the clicks, p_s its share of the purchasing clicks, shrunk towards c_s;
f_s^min is the smallest FPR that reaches the slice's minimum robotic coverage.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scorer.curves import SLACK, Doubles, Hull, SliceCurve, slice_hull
from scorer.errors import Inconsistent, Infeasible
from scorer.metrics import Integers
from scorer.quadratic import Quadratic, fit

# Over 300 random programmes of 1 to 200 slices, at most 4e-7 short of the best IVR. OSQP is exact
# where its polishing succeeds, and was 2e-4 short where it did not.
SOLVER = "CLARABEL"
TIGHT = 1e-6  # of the budget: with less than that to share, floors take it all


@dataclass(frozen=True)
class Guards:
    """What keeps a small slice from being sacrificed.

    `cap` is f_cap in budgets; `min_coverage` the share of a slice's robotic sessions' clicks that
    must be called robotic; `min_purchases` what a slice needs for a curve of its own.
    """

    min_purchases: int = 200
    cap: float = 5.0
    min_coverage: float = 0.0

    def f_cap(self, budget: float) -> float:
        """Return the highest FPR of any slice."""
        return min(1.0, self.cap * budget)


@dataclass(frozen=True)
class Problem:
    """The programme over s slices; shares of clicks and of purchases each add up to 1."""

    names: tuple[str, ...]
    clicks: Doubles  # (s,), c_s
    purchases: Doubles  # (s,), p_s
    floors: Doubles  # (s,), f_s^min
    budget: float
    cap: float
    fits: tuple[Quadratic, ...]
    hulls: tuple[Hull, ...]


@dataclass(frozen=True)
class Allocation:
    """An optimum: each slice's FPR, and the IVR that the programme promises for them.

    `multiplier` is what a little more budget would add to the IVR, per unit of FPR.
    """

    fpr: Doubles  # (s,)
    ivr: float
    multiplier: float
    status: str


def shrunk(purchases: Integers, clicks: Doubles) -> Doubles:
    """Shrink the shares of `purchases` (s,), counts, towards those of the clicks (s,).

    The weight of the clicks' shares is James and Stein's: about 1 where the difference is what
    chance alone would give, about 0 where it is far more. One more purchase, spread as the clicks
    are, keeps a slice without purchases from costing nothing. Source: J. Hausser and K. Strimmer,
    "Entropy inference and the James-Stein estimator", Journal of Machine Learning Research 10
    (2009), 1469–1484.

    >>> half = np.array([0.5, 0.5])
    >>> [shrunk(np.array(n), half).round(2).tolist() for n in ([9, 11], [900, 100])]
    [[0.5, 0.5], [0.9, 0.1]]
    """
    total = int(purchases.sum())
    seen = (purchases + clicks) / (total + 1)
    distance = float(np.square(clicks - seen).sum())
    chance = (1 - float(np.square(seen).sum())) / max(total - 1, 1)
    weight = min(1.0, chance / distance) if distance > 0 else 1.0
    return weight * clicks + (1 - weight) * seen


def pose(
    curves: Sequence[SliceCurve],
    clicks: Doubles,
    purchases: Integers,
    floors: Doubles,
    budget: float,
    guards: Guards = Guards(),
) -> Problem:
    """State the problem; raise Infeasible where the minimum coverage can't be had at the budget.

    `clicks` (s,) are shares, `purchases` (s,) counts; `floors` (s,) the FPRs that the coverage
    takes; each curve is what is known of its slice.
    """
    cap = guards.f_cap(budget)
    problem = Problem(
        tuple(curve.name for curve in curves),
        clicks,
        shrunk(purchases, clicks),
        floors,
        budget,
        cap,
        tuple(fit(curve, cap) for curve in curves),
        tuple(slice_hull(curve, cap) for curve in curves),
    )
    check_feasible(problem, guards)
    return problem


def check_feasible(problem: Problem, guards: Guards) -> None:
    """Raise Infeasible, naming the slices in conflict and the smallest budget that would do."""
    least = float(problem.purchases @ problem.floors)
    over = problem.floors > problem.cap + SLACK
    if least > problem.budget + SLACK:
        over |= problem.floors > problem.budget  # one of them must be: the mean is above it
    if over.any():
        smallest = max(least, float(problem.floors.max()) / guards.cap)
        names = [problem.names[place] for place in np.flatnonzero(over)]
        raise Infeasible(names, guards.min_coverage, problem.budget, smallest)


def allocate(problem: Problem, solver: str = SOLVER) -> Allocation:
    """Return the optimum over the fitted quadratics, with cvxpy.

    Raises Inconsistent where the solver finds none, although the problem has one.
    """
    b, c = (np.array([getattr(q, name) for q in problem.fits]) for name in "bc")
    linear, square = problem.clicks * b * problem.cap, problem.clicks * c * problem.cap**2
    cost = problem.purchases * problem.cap / problem.budget
    low = problem.floors / problem.cap
    scale = float(linear.max(initial=0.0))
    if scale <= 0:
        return _allocation(problem, problem.floors, 0.0, "optimal")
    if float(cost @ low) > 1 - TIGHT:
        price = float(np.max((linear - 2 * square * low) / cost)) / problem.budget
        return _allocation(problem, problem.floors, max(price, 0.0), "optimal")
    x, dual, status = _solve(linear / scale, square / scale, cost, low, solver)
    x = np.where(linear > 0, np.clip(x, low, 1.0), low)
    room, over = float(cost @ (x - low)), float(cost @ x) - 1.0
    if over > 0 and room > 0:  # by the solver's tolerance
        x = low + (x - low) * max(0.0, 1 - over / room)
    return _allocation(problem, x * problem.cap, dual * scale / problem.budget, status)


def _solve(
    linear: Doubles, square: Doubles, cost: Doubles, low: Doubles, solver: str
) -> tuple[Doubles, float, str]:
    """Maximise linear·x − square·x² with cost·x <= 1 and low <= x <= 1, all near 1 in size."""
    import cvxpy  # a second to import, and calibration alone needs it
    from cvxpy.atoms.affine.binary_operators import multiply
    from cvxpy.atoms.sum_squares import sum_squares

    x: Any = cvxpy.Variable(len(linear))
    spent = cost @ x <= 1
    gain = linear @ x - sum_squares(multiply(np.sqrt(square), x))
    programme = cvxpy.Problem(cvxpy.Maximize(gain), [spent, x >= low, x <= 1])
    try:
        programme.solve(solver=solver)  # type: ignore[no-untyped-call]
    except cvxpy.SolverError as exc:
        raise Inconsistent(f"{solver} failed on {len(linear)} slices: {exc}") from exc
    if programme.status != cvxpy.OPTIMAL:
        raise Inconsistent(
            f"{solver} says {programme.status} of a calibration of {len(linear)} slices that has "
            "an optimum; please report this with the command that you ran"
        )
    return np.asarray(x.value, dtype=np.float64), float(spent.dual_value), str(programme.status)


def _allocation(problem: Problem, fpr: Doubles, multiplier: float, status: str) -> Allocation:
    promised = [q.at(float(f)) for q, f in zip(problem.fits, fpr, strict=True)]
    return Allocation(fpr, float(problem.clicks @ np.array(promised)), multiplier, status)


def hull_optimum(problem: Problem) -> Allocation:
    """Return the exact optimum over the concave hulls of the curves: a linear programme.

    With one constraint that slices share, taking the hulls' pieces in the order of what they gain
    for what they cost solves it exactly (G. B. Dantzig, "Discrete-variable extremum problems",
    Operations Research 5 (1957), 266–288); at most one piece is taken in part.
    """
    pieces = [_pieces(*some) for some in zip(problem.hulls, problem.floors, strict=True)]
    owner = np.repeat(np.arange(len(pieces)), [len(ends) for ends, _, _ in pieces])
    ends, widths, gains = (np.concatenate(part) for part in zip(*pieces, strict=True))
    cost, gain = problem.purchases[owner] * widths, problem.clicks[owner] * gains
    order = np.argsort(-gain / cost, kind="stable")
    left = problem.budget - float(problem.purchases @ problem.floors)
    spent = np.cumsum(cost[order])
    whole = int(np.searchsorted(spent, left + SLACK * problem.budget, side="right"))
    fpr = problem.floors.copy()
    np.maximum.at(fpr, owner[order[:whole]], ends[order[:whole]])
    multiplier = 0.0
    if whole < len(order):
        part, before = order[whole], float(spent[whole - 1]) if whole else 0.0
        fpr[owner[part]] += max(left - before, 0.0) / problem.purchases[owner[part]]
        multiplier = float(gain[part] / cost[part])
    promised = np.array([h.at(float(f)) for h, f in zip(problem.hulls, fpr, strict=True)])
    return Allocation(fpr, float(problem.clicks @ promised), multiplier, "optimal")


def _pieces(hull: Hull, floor: float) -> tuple[Doubles, Doubles, Doubles]:
    """Return the ends, widths and gains of a hull's straight pieces from `floor` on."""
    beyond = hull.fpr > floor + SLACK
    fpr = np.append(floor, hull.fpr[beyond])
    ivr = np.append(hull.at(floor), hull.ivr[beyond])
    return fpr[1:], np.diff(fpr), np.diff(ivr)


def global_threshold(curve: SliceCurve, budget: float) -> float:
    """Return the one threshold at the same budget for all clicks, whose curve is `curve`."""
    return float(curve.thresholds[curve.at_most(budget)])
