"""The threshold at a budget, against trying every threshold."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scorer.calibration import NEVER, Calibration, Floats, threshold_at
from scorer.errors import BadInput, NotTrainable

PROBABILITY = st.sampled_from([0.0, 0.25, 0.5, 1.0])  # few values: ties everywhere
HUMANS = st.lists(PROBABILITY, min_size=1, max_size=12)


def smallest(budget: str, humans: Floats) -> float:
    """Try each float32 at which a decision can change, from below."""
    above = np.nextafter(humans, np.float32(2))
    for threshold in sorted({np.float32(0), *humans, *above}):
        if (humans >= threshold).sum() <= Fraction(budget) * len(humans):
            return float(threshold)
    raise AssertionError


@settings(deadline=None)
@given(budget=st.sampled_from(["0.01", "0.1", "0.25", "0.5", "0.75", "1.0"]), drawn=HUMANS)
@example(budget="0.29", drawn=[k / 128 for k in range(100)])  # 0.29 × 100 < 29 in floating point
def test_the_smallest_threshold_that_holds_the_budget(budget: str, drawn: list[float]) -> None:
    humans = np.array(drawn, dtype=np.float32)
    threshold = threshold_at(float(budget), humans)
    assert threshold == smallest(budget, humans)
    assert Calibration(overall=threshold).thresholds(["any"])[0] == smallest(budget, humans)


def test_a_threshold_that_nothing_reaches() -> None:
    assert threshold_at(0.01, np.ones(99, dtype=np.float32)) == NEVER


@pytest.mark.parametrize("budget", [0.0, -0.1, 1.01, float("nan"), float("inf")])
def test_a_budget_that_is_no_share(budget: float) -> None:
    with pytest.raises(BadInput, match="above 0 and at most 1"):
        threshold_at(budget, np.ones(3, dtype=np.float32))


def test_no_human_no_threshold() -> None:
    with pytest.raises(NotTrainable, match="no purchasing click"):
        threshold_at(0.01, np.empty(0, dtype=np.float32))
