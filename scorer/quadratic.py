"""The concave, non-decreasing quadratic that stands for a slice's curve in the programme."""

from dataclasses import dataclass

import numpy as np

from scorer.curves import SLACK, Doubles, SliceCurve


@dataclass(frozen=True)
class Quadratic:
    """IVR(f) = a + b f − c f², with a, b, c >= 0, non-decreasing on [0, f_cap] of its fit.

    >>> Quadratic(0.125, 2.0, 4.0).at(0.25)
    0.375
    """

    a: float
    b: float
    c: float

    def at(self, fpr: float) -> float:
        """Return the IVR at an FPR."""
        return self.a + self.b * fpr - self.c * fpr * fpr


def fit(curve: SliceCurve, f_cap: float) -> Quadratic:
    """Fit the quadratic to a slice's curve on [0, f_cap], weighted by clicks.

    The points are the curve's corners, each weighing the clicks that it makes invalid more than the
    one before, and both ends of the range: the start weighs what the first corner does, the end
    what the last one does. Written as a + b' f + c (2 f_cap f − f²), each concave quadratic that
    does not fall before f_cap has a, b', c >= 0: a non-negative least squares problem (C. L.
    Lawson and R. J. Hanson, "Solving Least Squares Problems", 1974, chapter 23).
    """
    from scipy.optimize import nnls  # slow to import

    fpr, ivr, clicks = _points(curve, f_cap)
    if not clicks.any():
        return Quadratic(float(ivr[0]), 0.0, 0.0)
    x = fpr / f_cap
    design = np.stack([np.ones_like(x), x, 2 * x - x * x], axis=1)  # (k, 3)
    root = np.sqrt(clicks / clicks.sum())
    (a, b, c), _ = nnls(design * root[:, None], ivr * root)
    return Quadratic(float(a), float((b + 2 * c) / f_cap), float(c / f_cap**2))


def _points(curve: SliceCurve, f_cap: float) -> tuple[Doubles, Doubles, Doubles]:
    """Return FPR, IVR and weight of the points to fit."""
    places = curve.corners[curve.fpr_upper[curve.corners] <= f_cap + SLACK]
    fpr = np.append(curve.fpr_upper[places], f_cap)
    ivr = np.append(curve.ivr[places], curve.ivr[places[-1]])
    gained = np.diff(curve.invalid[places]).astype(np.float64)
    ends = (gained[:1], gained[-1:]) if len(gained) else (np.zeros(1), np.zeros(1))
    return fpr, ivr, np.concatenate([ends[0], gained, ends[1]])
