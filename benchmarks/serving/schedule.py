"""When requests are due: an open loop, which does not wait for answers before it sends on."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Arrivals = Literal["fixed", "poisson"]
SECOND = 1_000_000_000


def schedule(rate: float, seconds: float, arrivals: Arrivals = "fixed", seed: int = 1) -> Ints:
    """Return when each request is due, ns after the start, all before `seconds`, in order.

    >>> schedule(4, 1).tolist()
    [0, 250000000, 500000000, 750000000]
    """
    count = round(rate * seconds)
    if arrivals == "fixed":
        return (np.arange(count) * (SECOND / rate)).astype(np.int64)
    # Given their number, a Poisson process's arrivals lie like so many uniform draws.
    rng = np.random.default_rng(seed)
    return np.sort(rng.integers(0, round(seconds * SECOND), rng.poisson(rate * seconds)))
