"""Means over seeds with their intervals, and the verdict that an interval allows."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

LEVEL = 0.95


class Verdict(StrEnum):
    """What can be said of a claim."""

    HOLDS = "holds"
    FAILS = "does not hold"
    OPEN = "not shown at these sizes"


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds and the ends of its 95% interval."""

    mean: float
    low: float
    high: float


def estimate(values: Sequence[float]) -> Estimate:
    """Return the mean of independent values with Student's interval.

    For paired arms give their differences, seed by seed: what a seed makes hard for both is gone.
    Raises ValueError for fewer than two values.

    >>> some = estimate([0.1, 0.2, 0.3])
    >>> [round(value, 4) for value in (some.mean, some.low, some.high)]
    [0.2, -0.0484, 0.4484]
    """
    from scipy.stats import t  # slow to import

    if len(values) < 2:
        raise ValueError("one seed has no interval: run at least two")
    array = np.asarray(values, np.float64)
    error = float(array.std(ddof=1)) / len(array) ** 0.5
    half = float(t.ppf((1 + LEVEL) / 2, len(array) - 1)) * error
    mean = float(array.mean())
    return Estimate(mean, mean - half, mean + half)


def difference(first: Sequence[float], second: Sequence[float]) -> Estimate:
    """Return the mean of first − second, paired by seed."""
    return estimate([a - b for a, b in zip(first, second, strict=True)])


def verdict(found: Estimate, *, lower_is_better: bool = False) -> Verdict:
    """Say whether a difference lies on the claimed side of 0: its whole interval must.

    >>> verdict(Estimate(0.1, 0.05, 0.15)), verdict(Estimate(0.1, -0.05, 0.25))
    (<Verdict.HOLDS: 'holds'>, <Verdict.OPEN: 'not shown at these sizes'>)
    >>> verdict(Estimate(0.1, 0.05, 0.15), lower_is_better=True)
    <Verdict.FAILS: 'does not hold'>
    """
    low, high = (-found.high, -found.low) if lower_is_better else (found.low, found.high)
    if low > 0:
        return Verdict.HOLDS
    return Verdict.FAILS if high < 0 else Verdict.OPEN


def together(verdicts: Sequence[Verdict]) -> Verdict:
    """Return the verdict on a claim of several parts: it holds where all of them do.

    >>> together([Verdict.HOLDS, Verdict.OPEN]), together([Verdict.HOLDS, Verdict.FAILS])
    (<Verdict.OPEN: 'not shown at these sizes'>, <Verdict.FAILS: 'does not hold'>)
    """
    if Verdict.FAILS in verdicts:
        return Verdict.FAILS
    return Verdict.OPEN if Verdict.OPEN in verdicts else Verdict.HOLDS
