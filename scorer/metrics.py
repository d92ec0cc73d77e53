"""What is measured of decisions: IVR, FPR, decision rate, robotic coverage, and their intervals."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scorer.calibration import NEVER, Floats
from scorer.intervals import Z95, clopper_pearson_upper, newcombe, wilson

__all__ = [
    "SESSION_WINDOW",
    "Z95",
    "Curve",
    "Difference",
    "Share",
    "clopper_pearson_upper",
    "curve",
    "decision_rate",
    "fpr",
    "ivr",
    "paired_difference",
    "robotic",
    "robotic_coverage",
    "wilson",
]

SESSION_WINDOW = 3_600_000_000  # µs

Flags = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]
Rates = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Share:
    """`part` of `whole` as a rate, with its interval; unknown (None), not 0, where whole is 0.

    >>> Share(1, 4).rate, Share(0, 0).rate
    (0.25, None)
    >>> low, high = Share(0, 100).interval
    >>> f"{low:.4f} {high:.4f}"
    '0.0000 0.0370'
    """

    part: int
    whole: int

    @property
    def rate(self) -> float | None:
        """Part / whole."""
        return self.part / self.whole if self.whole else None

    @property
    def interval(self) -> tuple[float, float]:
        """Its 95% Wilson interval."""
        return wilson(self.part, self.whole)


@dataclass(frozen=True)
class Difference:
    """Two rates of the same `whole` rows: of how many each alone is true, and of how many both.

    >>> some = Difference(only_first=12, only_second=2, both=36, whole=50)
    >>> some.first.rate, some.second.rate, some.value
    (0.96, 0.76, 0.2)
    >>> [round(end, 4) for end in some.interval]
    [0.0569, 0.3404]
    """

    only_first: int
    only_second: int
    both: int
    whole: int

    @property
    def first(self) -> Share:
        """The first of the two rates."""
        return Share(self.both + self.only_first, self.whole)

    @property
    def second(self) -> Share:
        """The second of the two rates."""
        return Share(self.both + self.only_second, self.whole)

    @property
    def value(self) -> float | None:
        """The first rate − the second; unknown (None) where there are no rows."""
        return (self.only_first - self.only_second) / self.whole if self.whole else None

    @property
    def interval(self) -> tuple[float, float]:
        """The value's 95% interval, by Newcombe's method 10 for paired proportions."""
        return newcombe(self.both, self.only_first, self.only_second, self.whole)


def paired_difference(first: Flags, second: Flags) -> Difference:
    """Compare two flags of the same rows, as what two models call invalid.

    For IVR give all clicks, for FPR the purchasing ones, for coverage those of robotic sessions.

    >>> first, second = np.array([True, True, False, False]), np.array([True, False, False, False])
    >>> paired_difference(first, second)
    Difference(only_first=1, only_second=0, both=1, whole=4)
    """
    return Difference(
        only_first=int((first & ~second).sum()),
        only_second=int((second & ~first).sum()),
        both=int((first & second).sum()),
        whole=len(first),
    )


@dataclass(frozen=True)
class Curve:
    """What each threshold would call invalid: (m,) arrays, the thresholds descending.

    `invalid` are the clicks whose probability >= the threshold, `lost` the purchasing ones among
    them; `clicks` and `purchases` are how many there are in all.
    """

    thresholds: Floats
    invalid: Integers
    lost: Integers
    clicks: int
    purchases: int

    @property
    def ivr(self) -> Rates:
        """Invalid clicks / all clicks, (m,); NaN where there are none."""
        return _rates(self.invalid, self.clicks)

    @property
    def fpr(self) -> Rates:
        """Invalid purchasing clicks / purchasing clicks, (m,); NaN where there are none."""
        return _rates(self.lost, self.purchases)


def curve(probabilities: Floats, purchasing: Flags) -> Curve:
    """Return the IVR-FPR curve: a point at every distinct probability, and one above them all.

    A click without a probability (NaN) counts as one, and is invalid at no threshold.

    >>> p = np.array([0.9, 0.5, 0.9, np.nan], np.float32)
    >>> some = curve(p, np.array([True, False, False, True]))
    >>> some.invalid.tolist(), some.lost.tolist(), some.ivr.tolist(), some.fpr.tolist()
    ([0, 2, 3], [0, 1, 1], [0.0, 0.5, 0.75], [0.0, 0.5, 0.5])
    """
    scored = ~np.isnan(probabilities)
    values, places = np.unique(probabilities[scored], return_inverse=True)

    def reached(chosen: Integers) -> Integers:
        at_each = np.bincount(chosen, minlength=len(values))[::-1]
        return np.concatenate([[0], np.cumsum(at_each)]).astype(np.int64)

    return Curve(
        thresholds=np.concatenate([[NEVER], values[::-1]]).astype(np.float32),
        invalid=reached(places),
        lost=reached(places[purchasing[scored]]),
        clicks=len(probabilities),
        purchases=int(purchasing.sum()),
    )


def _rates(part: Integers, whole: int) -> Rates:
    return part / whole if whole else np.full(len(part), np.nan)


def ivr(invalid: Flags) -> Share:
    """Invalid clicks / all clicks.

    >>> ivr(np.array([True, False])).rate
    0.5
    """
    return Share(int(invalid.sum()), len(invalid))


def fpr(invalid: Flags, purchasing: Flags) -> Share:
    """Invalid purchasing clicks / purchasing clicks: purchases stand for humans.

    >>> fpr(np.array([True, True, False]), np.array([False, True, True])).rate
    0.5
    >>> fpr(np.array([True]), np.array([False])).rate is None
    True
    """
    return Share(int((invalid & purchasing).sum()), int(purchasing.sum()))


def decision_rate(decided: Flags) -> Share:
    """Decided clicks / all clicks.

    >>> decision_rate(np.array([True, True, False, True])).rate
    0.75
    """
    return Share(int(decided.sum()), len(decided))


def robotic(ts: Integers, session: Integers, k: int = 10) -> Flags:
    """Tell which clicks belong to a session with more than `k` clicks inside some 3,600 s.

    `ts` is in µs; `session` numbers the sessions, negative where a click has none. An hour is
    closed on the left and open on the right: k + 1 clicks are inside one when the last comes less
    than 3,600 s after the first. Give clicks of an hour on both sides of the span too.

    >>> ts = np.array([0, 1, SESSION_WINDOW - 1]), np.array([0, 1, SESSION_WINDOW])
    >>> [robotic(t, np.zeros(3, dtype=np.int64), k=2).any().item() for t in ts]
    [True, False]
    """
    order = np.lexsort((ts, session))
    at, who = ts[order], session[order]
    marked = np.zeros(len(ts), dtype=np.bool_)
    if len(ts) > k:
        close = (who[k:] == who[:-k]) & (at[k:] - at[:-k] < SESSION_WINDOW) & (who[:-k] >= 0)
        marked[order] = np.isin(who, np.unique(who[:-k][close]))
    return marked


def robotic_coverage(invalid: Flags, robotic_clicks: Flags) -> Share:
    """Invalid share of the clicks of robotic sessions; give the clicks of the span alone.

    >>> robotic_coverage(np.array([True, False, True]), np.array([True, True, False])).rate
    0.5
    """
    return Share(int((invalid & robotic_clicks).sum()), int(robotic_clicks.sum()))
