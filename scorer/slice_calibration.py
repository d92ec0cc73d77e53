"""A threshold for each slice, at one FPR budget, on clicks that no weight was fitted on."""

from dataclasses import dataclass, replace
from math import ceil, log, log1p
from typing import Literal

import numpy as np

from scorer.allocation import (
    Allocation,
    Guards,
    Problem,
    allocate,
    global_threshold,
    hull_optimum,
    pose,
)
from scorer.calibration import (
    NO_PURCHASES,
    Calibration,
    CurvePoints,
    Floats,
    SliceFit,
    check_budget,
)
from scorer.curves import Clicks, Doubles, SliceCurve, knee, slice_curves
from scorer.errors import BadInput, NotTrainable
from scorer.metrics import Integers, Share, fpr, ivr, robotic_coverage
from scorer.pooling import OVERALL, Group, pool

POINTS = 64

Method = Literal["quadratic", "hull"]


@dataclass(frozen=True)
class Outcome:
    """What thresholds do to the held-out clicks.

    `promised` is the IVR of the programme that they came from, before its FPRs were rounded to
    thresholds; `fpr_upper` what the programme's constraint counts of the budget. None where there
    is no programme.
    """

    name: str
    ivr: Share
    fpr: Share
    coverage: Share  # of the clicks of robotic sessions
    promised: float | None = None
    fpr_upper: float | None = None


@dataclass(frozen=True)
class SliceCalibration:
    """The calibration, and what it does beside other ways to choose thresholds.

    `outcomes` are those of the quadratics, of the hulls, of one global threshold, and of the
    overall curve's knee, which keeps to no budget.
    """

    calibration: Calibration
    outcomes: tuple[Outcome, ...]
    knee: float
    purchases: int
    needed: int  # purchasing clicks with which one threshold could lose nobody within the budget

    @property
    def chosen(self) -> Outcome:
        """The outcome of the thresholds that the calibration holds."""
        [found] = [o for o in self.outcomes if o.name == self.calibration.method]
        return found


def calibrate_slices(
    clicks: Clicks, budget: float, guards: Guards | None = None, method: Method = "quadratic"
) -> SliceCalibration:
    """Choose a threshold for each slice; a slice without held-out clicks has the overall one.

    Raises BadInput for a budget outside (0, 1] or a coverage outside [0, 1], NotTrainable where no
    purchasing click is held out, Infeasible where the minimum coverage can't be had at the budget.
    """
    check_budget(budget)
    guards = guards or Guards()
    if not 0 <= guards.min_coverage <= 1:
        raise BadInput(f"a minimum coverage of {guards.min_coverage:g} is no share: give 0 to 1")
    if not clicks.purchasing.any():
        raise NotTrainable(NO_PURCHASES)
    return _Calibrating(clicks, budget, guards).result(method)


class _Calibrating:
    """Groups of slices, the evidence on each, and the programme over them."""

    def __init__(self, clicks: Clicks, budget: float, guards: Guards) -> None:
        self.clicks, self.budget = clicks, budget
        seen = np.unique(clicks.slices)
        keys = [clicks.slice_keys[code] for code in seen]
        counts = np.bincount(clicks.slices[clicks.purchasing], minlength=len(clicks.slice_keys))
        self.groups = pool(keys, counts[seen], guards.min_purchases)
        self.keys, self.seen = keys, seen
        self.codes = self._codes()
        own = slice_curves(clicks, self.codes, [group.name for group in self.groups])
        [self.overall] = slice_curves(clicks, np.zeros_like(self.codes), [OVERALL])
        few = [curve.purchases < guards.min_purchases for curve in own]
        self.left_over = np.array([g.parent == OVERALL for g in self.groups]) & np.array(few)
        self.curves = [
            self._evidence(curve, bool(alone))
            for curve, alone in zip(own, self.left_over, strict=True)
        ]
        share = np.array([curve.clicks for curve in own]) / len(self.codes)
        bought = np.array([curve.purchases for curve in own])
        floors = self._floors(guards.min_coverage)
        self.problem: Problem = pose(self.curves, share, bought, floors, budget, guards)

    def _codes(self) -> Integers:
        """Return the place of each click's group."""
        group_of = np.zeros(len(self.clicks.slice_keys), dtype=np.int64)
        for place, group in enumerate(self.groups):
            group_of[self.seen[list(group.members)]] = place
        return group_of[self.clicks.slices]

    def _evidence(self, own: SliceCurve, left_over: bool) -> SliceCurve:
        """What is left over without purchases enough is judged by the curve of all clicks."""
        return replace(self.overall, name=own.name) if left_over else own

    def _floors(self, coverage: float) -> Doubles:
        """Return the FPR of each group at which every one of its slices is covered."""
        keys = self.clicks.slice_keys
        needed = np.array(
            [c.catching(coverage) for c in slice_curves(self.clicks, self.clicks.slices, keys)]
        )
        members = [self.seen[list(group.members)] for group in self.groups]
        pairs = zip(self.curves, members, strict=True)
        return np.array([curve.fpr_at(needed[slices].min()) for curve, slices in pairs])

    def result(self, method: Method) -> SliceCalibration:
        """Solve both programmes and set them beside the two overall thresholds."""
        found = {"quadratic": allocate(self.problem), "hull": hull_optimum(self.problem)}
        places = {name: self._places(some.fpr) for name, some in found.items()}
        flat = global_threshold(self.overall, self.budget)
        bend = float(self.overall.thresholds[knee(self.overall)])
        outcomes = [self._outcome(name, places[name], some) for name, some in found.items()]
        for name, threshold in (("one threshold", flat), ("knee", bend)):
            alike = np.full(len(self.curves), threshold, dtype=np.float32)
            outcomes.append(self._measured(name, alike))
        return SliceCalibration(
            self._calibration(method, found[method], places[method], flat),
            tuple(outcomes),
            bend,
            self.overall.purchases,
            ceil(log(0.025) / log1p(-self.budget)) if self.budget < 1 else 1,
        )

    def _places(self, allocated: Doubles) -> list[int]:
        """Go back to thresholds: the smallest whose FPR is at most what was given.

        Slices that are left over are judged by the curve of all clicks, which says little of their
        own people: they get no more than the budget, the threshold of all clicks.
        """
        held = np.where(self.left_over, np.minimum(allocated, self.budget), allocated)
        least = np.maximum(held, self.problem.floors)
        return [curve.at_most(float(f)) for curve, f in zip(self.curves, least, strict=True)]

    def _outcome(self, name: str, places: list[int], allocation: Allocation) -> Outcome:
        pairs = list(zip(self.curves, places, strict=True))
        thresholds = np.array([curve.thresholds[place] for curve, place in pairs])
        spent = np.array([curve.fpr_upper[place] for curve, place in pairs])
        found = self._measured(name, thresholds)
        upper = float(self.problem.purchases @ spent)
        return replace(found, promised=allocation.ivr, fpr_upper=upper)

    def _measured(self, name: str, thresholds: Floats) -> Outcome:
        invalid = self.clicks.probabilities >= thresholds[self.codes]
        clicks = self.clicks
        return Outcome(
            name,
            ivr(invalid),
            fpr(invalid, clicks.purchasing),
            robotic_coverage(invalid, clicks.robotic),
        )

    def _calibration(
        self, method: Method, allocation: Allocation, places: list[int], overall: float
    ) -> Calibration:
        thresholds, curves = {}, {}
        for at, group in enumerate(self.groups):
            made = self._slice_fit(at, group, float(allocation.fpr[at]), places[at])
            for member in group.members:
                thresholds[self.keys[member]] = float(self.curves[at].thresholds[places[at]])
                curves[self.keys[member]] = made
        return Calibration(
            overall=overall,
            slices=dict(sorted(thresholds.items())),
            fpr_budget=self.budget,
            method=method,
            curves=dict(sorted(curves.items())),
        )

    def _slice_fit(self, at: int, group: Group, given: float, place: int) -> SliceFit:
        curve, quadratic = self.curves[at], self.problem.fits[at]
        return SliceFit(
            pooled_with=group.parent,
            clicks=curve.clicks,
            purchases=curve.purchases,
            fpr=min(given, 1.0),
            a=quadratic.a,
            b=quadratic.b,
            c=quadratic.c,
            points=curve_points(curve, self.problem.cap, place),
        )


def curve_points(curve: SliceCurve, cap: float, chosen: int) -> CurvePoints:
    """Return at most 64 corners of a curve on [0, cap], evenly by number; the chosen one is kept.

    The corner of a place is the smallest threshold with the same FPR.
    """
    places = curve.corners[curve.fpr_upper[curve.corners] <= cap]
    even = places[np.linspace(0, len(places) - 1, min(len(places), POINTS - 1)).round().astype(int)]
    kept = np.union1d(even, [chosen])
    return CurvePoints(
        thresholds=tuple(curve.thresholds[kept].tolist()),
        fpr=tuple(curve.fpr_upper[kept].round(8).tolist()),
        ivr=tuple(curve.ivr[kept].round(8).tolist()),
    )
