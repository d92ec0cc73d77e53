"""How heavy a tail is."""

import numpy as np
import numpy.typing as npt

LEAST_VALUE = 5
LEAST_TAIL = 50
TAIL_SHARE = 0.01


def tail_exponent(counts: npt.NDArray[np.int64]) -> float | None:
    """Return a for P(count > x) ~ x^−a in the tail of whole counts; None where it is too short.

    The tail is the top hundredth, or the top 50 where that is fewer, but no count below 5. The
    estimate is the maximum-likelihood one for whole numbers, with its shift by a half: A. Clauset,
    C. Shalizi, M. Newman, "Power-law distributions in empirical data", SIAM Review 51 (2009),
    equation 3.7, less 1 for the exponent of the tail and not of the density.

    >>> rng = np.random.default_rng(1)
    >>> round(tail_exponent(np.floor(rng.pareto(1.5, 1_000_000) + 1).astype(np.int64)), 1)
    1.5
    >>> tail_exponent(np.ones(1_000_000, np.int64)) is None
    True
    """
    if len(counts) < LEAST_TAIL:
        return None
    size = max(LEAST_TAIL, round(TAIL_SHARE * len(counts)))
    least = max(int(np.partition(counts, -size)[-size]), LEAST_VALUE)
    tail = counts[counts >= least]
    if len(tail) < LEAST_TAIL or tail.max() == least:
        return None
    return float(len(tail) / np.log(tail / (least - 0.5)).sum())
