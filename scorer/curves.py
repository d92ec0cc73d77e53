"""IVR against FPR, slice by slice: what each threshold did to clicks that no weight was fitted on.

The FPR of a threshold is never the share that was seen but the upper end of its 95% Clopper-Pearson
interval, so that few purchases count as little evidence. A threshold that nothing reaches can lose
nobody: its FPR is 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from math import ceil

import numpy as np
import numpy.typing as npt

from scorer.calibration import Floats
from scorer.errors import NotTrainable
from scorer.intervals import clopper_pearson_upper
from scorer.metrics import Flags, Integers, curve

Doubles = npt.NDArray[np.float64]
SLACK = 1e-9  # what a sum of shares may be off by


@dataclass(frozen=True)
class Clicks:
    """Held-out clicks, an element per click; `slices` are places in `slice_keys`."""

    probabilities: Floats  # (n,)
    purchasing: Flags  # (n,)
    robotic: Flags  # (n,), whether it belongs to a robotic session
    slices: Integers  # (n,)
    slice_keys: tuple[str, ...]


@dataclass(frozen=True)
class SliceCurve:
    """What each threshold makes invalid: counts of clicks with probability >= threshold.

    `thresholds` descend from NEVER over every probability that was seen.
    """

    name: str
    clicks: int
    purchases: int
    robotic: int
    thresholds: Floats  # (m,)
    invalid: Integers  # (m,) of `clicks`
    lost: Integers  # (m,) of `purchases`
    covered: Integers  # (m,) of `robotic`

    @cached_property
    def ivr(self) -> Doubles:
        """(m,) Invalid clicks / clicks, ascending."""
        return self.invalid / max(self.clicks, 1)

    @cached_property
    def fpr_upper(self) -> Doubles:
        """(m,) Upper end of the FPR's 95% Clopper-Pearson interval, ascending; 0 at NEVER."""
        lost, places = np.unique(self.lost, return_inverse=True)
        upper = clopper_pearson_upper(lost, self.purchases)[places]
        upper[0] = 0.0
        return upper

    @cached_property
    def corners(self) -> Integers:
        """(k,) Places of the smallest threshold at each FPR: all that an optimum can want."""
        last = np.append(np.diff(self.fpr_upper) > 0, True)
        return np.flatnonzero(last)

    def at_most(self, fpr: float) -> int:
        """Return the place of the smallest threshold whose FPR is at most `fpr`."""
        return int(np.searchsorted(self.fpr_upper, fpr + SLACK, side="right")) - 1

    def catching(self, coverage: float) -> float:
        """Return the highest threshold at which `coverage` of the robotic clicks is invalid.

        NEVER where no click belongs to a robotic session.
        """
        needed = ceil(Decimal(repr(coverage)) * self.robotic)
        return float(self.thresholds[np.searchsorted(self.covered, needed)])

    def fpr_at(self, threshold: float) -> float:
        """Return the FPR of one of the curve's thresholds."""
        return float(self.fpr_upper[np.searchsorted(-self.thresholds, -np.float32(threshold))])


def slice_curves(clicks: Clicks, codes: Integers, names: Sequence[str]) -> list[SliceCurve]:
    """Return the curve of each name, over the clicks (n,) that carry its place as their code.

    Raises NotTrainable where a click has no probability.

    >>> p = np.array([0.5, 0.9, 0.5], dtype=np.float32)
    >>> yes = np.array([True, False, False])
    >>> some = Clicks(p, yes, ~yes, np.zeros(3, dtype=np.int64), ("all",))
    >>> [curve] = slice_curves(some, some.slices, ["all"])
    >>> curve.invalid.tolist(), curve.lost.tolist(), curve.covered.tolist()
    ([0, 1, 3], [0, 0, 1], [0, 1, 2])
    """
    if missing := int(np.isnan(clicks.probabilities).sum()):
        raise NotTrainable(
            f"{missing:,} held-out clicks have no probability: a profile value is no number; "
            "correct the profile"
        )
    order = np.argsort(codes, kind="stable")
    ends = np.searchsorted(codes[order], np.arange(len(names) + 1))
    rows = [order[ends[k] : ends[k + 1]] for k in range(len(names))]
    return [_curve(clicks, part, name) for part, name in zip(rows, names, strict=True)]


def _curve(clicks: Clicks, rows: Integers, name: str) -> SliceCurve:
    p, robotic = clicks.probabilities[rows], clicks.robotic[rows]
    found = curve(p, clicks.purchasing[rows])
    return SliceCurve(
        name,
        found.clicks,
        found.purchases,
        int(robotic.sum()),
        found.thresholds,
        found.invalid,
        found.lost,
        curve(p, robotic).lost,
    )


@dataclass(frozen=True)
class Hull:
    """Vertices of the least concave curve above a slice's own; between them it is straight."""

    fpr: Doubles  # (k,), ascending from 0
    ivr: Doubles  # (k,), ascending, with falling slopes

    def at(self, fpr: float) -> float:
        """Return the IVR at an FPR; beyond the last vertex it stays."""
        return float(np.interp(fpr, self.fpr, self.ivr))


def hull(fpr: Doubles, ivr: Doubles) -> Hull:
    """Return the upper concave hull of points with ascending FPR (Andrew's monotone chain).

    Source: A. M. Andrew, "Another efficient algorithm for convex hulls in two dimensions",
    Information Processing Letters 9 (1979), 216–219.

    >>> hull(np.array([0.0, 0.1, 0.2, 0.4]), np.array([0.0, 0.1, 0.4, 0.5])).fpr.tolist()
    [0.0, 0.2, 0.4]
    """
    kept: list[int] = []
    for new in range(len(fpr)):
        while kept and _below(fpr, ivr, kept, new):
            kept.pop()
        kept.append(new)
    return Hull(fpr[kept], ivr[kept])


def _below(fpr: Doubles, ivr: Doubles, kept: list[int], new: int) -> bool:
    """Tell whether the last vertex kept lies on or below the line to the new point."""
    last = kept[-1]
    if ivr[last] >= ivr[new]:
        return False
    if len(kept) == 1:
        return bool(fpr[last] == fpr[new])
    before = kept[-2]
    rise = (ivr[last] - ivr[before]) * (fpr[new] - fpr[before])
    return bool(rise <= (ivr[new] - ivr[before]) * (fpr[last] - fpr[before]))


def slice_hull(curve: SliceCurve, cap: float) -> Hull:
    """Return the concave hull of a slice's curve on [0, cap]."""
    places = curve.corners[curve.fpr_upper[curve.corners] <= cap + SLACK]
    found = hull(curve.fpr_upper[places], curve.ivr[places])
    rising = np.append(True, np.diff(found.ivr) > 0)
    return Hull(found.fpr[rising], found.ivr[rising])


def knee(curve: SliceCurve) -> int:
    """Return the place of a curve's knee: farthest above the line from its first point to its last.

    Source: V. Satopää, J. Albrecht, D. Irwin and B. Raghavan, "Finding a 'kneedle' in a haystack",
    31st International Conference on Distributed Computing Systems Workshops (2011), 166–171.
    """
    fpr, ivr = curve.fpr_upper[curve.corners], curve.ivr[curve.corners]
    across, up = fpr[-1] - fpr[0] or 1.0, ivr[-1] - ivr[0] or 1.0
    return int(curve.corners[np.argmax((ivr - ivr[0]) / up - (fpr - fpr[0]) / across)])
