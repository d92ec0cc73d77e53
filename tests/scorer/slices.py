"""Clicks of many slices for the tests of calibration: few probabilities, or drawn from a market."""

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from scorer.curves import Clicks

DEVICES, PLACES = 4, 10
KEYS = tuple(f"device=d{d},place=p{p}" for d in range(DEVICES) for p in range(PLACES))

Row = tuple[float, bool, bool, int]  # probability, purchasing, robotic, slice
PROBABILITY = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])  # few values: ties everywhere
ROWS = st.lists(
    st.tuples(PROBABILITY, st.booleans(), st.booleans(), st.integers(0, 2)), min_size=1, max_size=14
)


def clicks(rows: Sequence[Row], keys: Sequence[str] = ("d=a,l=n", "d=a,l=y", "d=b,l=n")) -> Clicks:
    """Return these rows."""
    p, purchasing, robotic, slices = (list(part) for part in zip(*rows, strict=True))
    return Clicks(
        np.array(p, dtype=np.float32),
        np.array(purchasing, dtype=np.bool_),
        np.array(robotic, dtype=np.bool_),
        np.array(slices, dtype=np.int64),
        tuple(keys),
    )


def market(seed: int, purchases: int, rows: int = 60_000, apart: float = 0.3) -> Clicks:
    """Draw clicks of 40 slices of very different size; humans of some devices look like robots."""
    random = np.random.default_rng(seed)
    weights = np.tile(1 / (1 + np.arange(PLACES)), DEVICES)
    slices = random.choice(len(KEYS), size=rows, p=weights / weights.sum())
    robot = random.random(rows) < 0.3
    humans = random.beta(1.2 + apart * (slices // PLACES), 6)
    p = np.where(robot, random.beta(5, 2, size=rows), humans).astype(np.float32)
    purchasing = np.zeros(rows, dtype=np.bool_)
    purchasing[random.choice(np.flatnonzero(~robot), size=purchases, replace=False)] = True
    robotic = robot & (random.random(rows) < 0.5)
    return Clicks(p, purchasing, robotic, slices.astype(np.int64), KEYS)
