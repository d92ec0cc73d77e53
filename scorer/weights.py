"""Sample weights: every hour of the week counts the same, logged in or not, human or not.

Clicks are many by day and few by night, and humans' are few at all times. Fitted to plain clicks, a
network learns the afternoon's robots and forgets the night. So every non-empty cell of

    hour of day × weekday × logged in × label

gets the same total weight. A click alone in its cell would then weigh as much as the thousands of
another cell, so one click's weight is capped. Weights have a price, which is told: n clicks with
weights w are worth no more than (Σ w)² / Σ w² clicks without (L. Kish, "Survey sampling", 1965,
section 11.7).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from scorer.calendar import WEEK_HOURS, hours_of_week
from scorer.errors import BadInput

Weights = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]

CELLS = WEEK_HOURS * 2 * 2


@dataclass(frozen=True)
class SampleWeights:
    """What each click counts, and what that costs.

    `values` is (n,), its mean 1 but for the cap; `cells` counts the non-empty cells, `capped` the
    clicks whose weight was cut; `effective` is Kish's effective sample size, 0 where n is 0.
    """

    values: Weights
    cells: int
    capped: int
    effective: float


def cell_weights(
    ts: Integers, logged_in: Flags, human: Flags, cap: float, zone: str = "UTC"
) -> SampleWeights:
    """Give every non-empty cell the same total weight, but no click more than `cap`.

    `ts` is in µs, UTC; hours and weekdays are those of `zone`. Before the cap the mean weight is 1;
    a cell that the cap touches carries less than the others. Raises BadInput where the cap is no
    finite number of at least 1.

    >>> ts = np.array([0, 1, 2, 3_600_000_000])              # three in the first hour, one after it
    >>> flags = np.zeros(4, dtype=np.bool_)
    >>> even = cell_weights(ts, flags, flags, cap=10)
    >>> [round(float(value), 3) for value in even.values], even.cells, even.capped
    ([0.667, 0.667, 0.667, 2.0], 2, 0)
    >>> round(even.effective, 6)
    3.0
    >>> held = cell_weights(ts, flags, flags, cap=1.5)
    >>> float(held.values.max()), held.capped
    (1.5, 1)
    """
    check_cap(cap)
    cells = (hours_of_week(ts, zone) * 2 + logged_in) * 2 + human
    return _even(cells, CELLS, cap)


def label_weights(human: Flags) -> SampleWeights:
    """Give the two labels the same total weight, and look at nothing else.

    >>> label_weights(np.array([True, False, False, False])).values.tolist()
    [2.0, 0.6666666865348816, 0.6666666865348816, 0.6666666865348816]
    """
    return _even(human.astype(np.int64), 2, np.inf)


def check_cap(cap: float) -> None:
    """Raise BadInput where a weight cap is no finite number of at least 1, the mean weight."""
    if not 1 <= cap < np.inf:
        raise BadInput(f"a weight cap of {cap:g} can't be used: give a number of at least 1")


def _even(cells: Integers, most: int, cap: float) -> SampleWeights:
    """Weigh clicks by the number, below `most`, of each one's cell."""
    counts = np.bincount(cells, minlength=most)
    filled = int(np.count_nonzero(counts))
    whole = len(cells) / max(filled, 1) / np.maximum(counts, 1)  # a click's weight, by its cell
    held = np.minimum(whole, cap)
    total, squares = counts @ held, counts @ np.square(held)
    return SampleWeights(
        values=held.astype(np.float32)[cells],
        cells=filled,
        capped=int(counts[whole > cap].sum()),
        effective=float(total * total / squares) if filled else 0.0,
    )
