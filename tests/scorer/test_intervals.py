"""Intervals against published examples, and against what defines them."""

from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorer.intervals import clopper_pearson_upper, newcombe

TABLES = st.tuples(*[st.integers(0, 12)] * 4)


@pytest.mark.parametrize(
    ("part", "whole", "upper"), [(81, 263, 0.3676), (15, 148, 0.1617), (0, 20, 0.1684)]
)
def test_clopper_pearson_as_published(part: int, whole: int, upper: float) -> None:
    """Newcombe, Statistics in Medicine 17 (1998), 857–872, table I, the exact method."""
    assert float(clopper_pearson_upper(part, whole)) == pytest.approx(upper, abs=5e-5)


@settings(deadline=None)
@given(whole=st.integers(1, 60), share=st.floats(0, 1), level=st.sampled_from([0.8, 0.95, 0.99]))
def test_so_few_have_the_chance_that_defines_the_upper_end(
    whole: int, share: float, level: float
) -> None:
    part = min(int(share * whole), whole - 1)
    p = float(clopper_pearson_upper(part, whole, level))
    chance = sum(comb(whole, k) * p**k * (1 - p) ** (whole - k) for k in range(part + 1))
    assert chance == pytest.approx((1 - level) / 2, rel=1e-9)


def test_clopper_pearson_takes_arrays_and_their_edges() -> None:
    parts, wholes = np.array([[0, 3], [5, 1]]), np.array([0, 5])
    found = clopper_pearson_upper(parts, wholes)
    assert found.shape == (2, 2)
    assert found.tolist() == [[1.0, float(clopper_pearson_upper(3, 5))], [1.0, found[1, 1]]]
    assert 0.2 < found[1, 1] < found[0, 1] < 1


def test_millions_of_rows_keep_the_upper_end_close() -> None:
    assert 0.01 < float(clopper_pearson_upper(100_000, 10_000_000)) < 0.0101


@pytest.mark.parametrize(
    ("table", "interval", "digits"),
    [
        # R. G. Newcombe, Statistics in Medicine 17 (1998), 2635–2650, method 10
        ((36, 12, 2, 0), (0.0569, 0.3404), 4),
        # D. G. Altman et al., Statistics with confidence (2000), table 6.2
        ((14, 5, 0, 22), (0.011, 0.226), 3),
        # M. W. Fagerland, S. Lydersen, P. Laake, Statistics in Medicine 33 (2014), 2850–2875
        ((1, 1, 7, 12), (-0.507, -0.026), 3),
    ],
)
def test_newcombe_as_published(
    table: tuple[int, int, int, int], interval: tuple[float, float], digits: int
) -> None:
    both, only_first, only_second, _ = table
    found = newcombe(both, only_first, only_second, sum(table))
    assert tuple(round(end, digits) for end in found) == interval


@given(table=TABLES.filter(any))
def test_newcombe_holds_the_difference_and_mirrors(table: tuple[int, int, int, int]) -> None:
    both, only_first, only_second, neither = table
    whole = sum(table)
    low, high = newcombe(both, only_first, only_second, whole)
    assert -1 <= low <= (only_first - only_second) / whole <= high <= 1
    assert newcombe(both, only_second, only_first, whole) == pytest.approx((-high, -low))
    assert newcombe(neither, only_first, only_second, whole) == pytest.approx((low, high))


def test_the_correlation_makes_the_interval_of_the_paired_narrower() -> None:
    wide, narrow = newcombe(25, 25, 25, 100), newcombe(45, 5, 5, 100)
    assert narrow[1] - narrow[0] < (wide[1] - wide[0]) / 2
