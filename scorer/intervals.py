"""Intervals of proportions, each with its source; every one is for 95% unless it takes a level."""

from math import sqrt

import numpy as np
import numpy.typing as npt

Z95 = 1.959963984540054  # the 97.5% quantile of the normal distribution


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
    whole, and so where whole is 0. It is the p at which so few as `part` have a chance of
    (1 − level) / 2, a quantile of a beta distribution. Source: C. J. Clopper and E. S. Pearson,
    "The use of confidence or fiducial limits illustrated in the case of the binomial", Biometrika
    26 (1934), 404–413.

    >>> clopper_pearson_upper([0, 81, 20, 0], [20, 263, 20, 0]).round(4).tolist()
    [0.1684, 0.3676, 1.0, 1.0]
    >>> round(float(clopper_pearson_upper(0, 20, level=0.9)), 4)
    0.1391
    """
    from scipy.special import betaincinv  # 0.1 s to import, which no other function here needs

    parts, wholes = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    others = np.maximum(wholes - parts, 1)
    upper = betaincinv(parts + 1, others, 1 - (1 - level) / 2)
    return np.where(parts >= wholes, 1.0, upper)


def newcombe(both: int, only_first: int, only_second: int, whole: int) -> tuple[float, float]:
    """Return the interval of first − second, two proportions of the same `whole` rows.

    `both` rows count for the two, `only_first` and `only_second` for one of them. Both ends are
    closed; (−1, 1) where whole is 0. Method 10 of R. G. Newcombe, "Improved confidence intervals
    for the difference between binomial proportions based on paired data", Statistics in Medicine
    17 (1998), 2635–2650: Wilson's intervals of the two, added as squares, with their correlation.

    >>> [round(end, 4) for end in newcombe(36, 12, 2, 50)]
    [0.0569, 0.3404]
    >>> newcombe(0, 0, 0, 0)
    (-1.0, 1.0)
    """
    if not whole:
        return -1.0, 1.0
    first, second = both + only_first, both + only_second
    phi = _correlation(both, only_first, only_second, whole)
    (low, high), (other_low, other_high) = wilson(first, whole), wilson(second, whole)
    p, q = first / whole, second / whole
    value = (only_first - only_second) / whole
    below = _combined(p - low, other_high - q, phi)
    above = _combined(high - p, q - other_low, phi)
    return max(value - below, -1.0), min(value + above, 1.0)


def _combined(one: float, other: float, phi: float) -> float:
    return sqrt(max(one * one - 2 * phi * one * other + other * other, 0.0))


def _correlation(both: int, only_first: int, only_second: int, whole: int) -> float:
    """Return φ of a 2×2 table, a positive one corrected for continuity; 0 where it has none."""
    neither = whole - both - only_first - only_second
    rows = (both + only_first) * (only_second + neither)
    columns = (both + only_second) * (only_first + neither)
    excess: float = both * neither - only_first * only_second
    if excess > 0:
        excess = max(excess - whole / 2, 0)
    return excess / sqrt(rows * columns) if rows * columns else 0.0
