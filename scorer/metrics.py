"""What is measured of decisions: IVR, FPR, decision rate, robotic coverage, and their intervals."""

from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt

Z95 = 1.959963984540054  # the 97.5% quantile of the normal distribution
SESSION_WINDOW = 3_600_000_000  # µs

Flags = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]


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


def wilson(part: int, whole: int, z: float = Z95) -> tuple[float, float]:
    """Return Wilson's score interval of a binomial proportion; (0, 1) where whole is 0.

    Both ends are closed. Source: E. B. Wilson, "Probable inference, the law of succession, and
    statistical inference", Journal of the American Statistical Association 22 (1927), 209–212.

    >>> [round(end, 4) for end in wilson(5, 10)]
    [0.2366, 0.7634]
    >>> wilson(0, 0)
    (0.0, 1.0)
    """
    if not whole:
        return 0.0, 1.0
    p = part / whole
    centre = p + z * z / (2 * whole)
    half = z * sqrt(p * (1 - p) / whole + z * z / (4 * whole * whole))
    scale = 1 + z * z / whole
    low = 0.0 if part == 0 else (centre - half) / scale
    high = 1.0 if part == whole else (centre + half) / scale
    return low, high


def clopper_pearson_upper(
    part: npt.ArrayLike, whole: npt.ArrayLike, level: float = 0.95
) -> npt.NDArray[np.float64]:
    """Return the upper end, closed, of the two-sided exact interval of binomial proportions.

    `part` and `whole` are numbers or arrays, of the shape that they broadcast to; 1 where part is
    whole, and so where whole is 0. Source: C. J. Clopper and E. S. Pearson, "The use of confidence
    or fiducial limits illustrated in the case of the binomial", Biometrika 26 (1934), 404–413.

    >>> clopper_pearson_upper([0, 81, 20, 0], [20, 263, 20, 0]).round(4).tolist()
    [0.1684, 0.3676, 1.0, 1.0]
    """
    from scipy.special import betaincinv  # slow to import, and no other function here needs it

    parts, wholes = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    others = np.maximum(wholes - parts, 1)
    upper = betaincinv(parts + 1, others, 1 - (1 - level) / 2)
    return np.where(parts >= wholes, 1.0, upper)


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
