"""Metrics against counting by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorer.calibration import NEVER
from scorer.counts import Counts, count, count_by
from scorer.metrics import (
    SESSION_WINDOW,
    Share,
    curve,
    decision_rate,
    fpr,
    ivr,
    paired_difference,
    robotic,
    robotic_coverage,
    wilson,
)

HALF = SESSION_WINDOW // 2
TIME = st.integers(0, 5).map(lambda k: k * HALF) | st.sampled_from([HALF - 1, SESSION_WINDOW - 1])
CLICKS = st.lists(st.tuples(st.sampled_from([-1, 0, 1]), TIME), max_size=12)


def by_hand(clicks: list[tuple[int, int]], k: int) -> list[bool]:
    """A session is robotic if some half-open hour that begins at a click holds more than k."""
    marked = set()
    for session, start in clicks:
        inside = [t for s, t in clicks if s == session and start <= t < start + SESSION_WINDOW]
        if session >= 0 and len(inside) > k:
            marked.add(session)
    return [session in marked for session, _ in clicks]


@settings(deadline=None)
@given(clicks=CLICKS, k=st.integers(1, 4))
def test_robotic_sessions_by_hand(clicks: list[tuple[int, int]], k: int) -> None:
    session = np.array([s for s, _ in clicks], dtype=np.int64)
    ts = np.array([t for _, t in clicks], dtype=np.int64)
    assert robotic(ts, session, k).tolist() == by_hand(clicks, k)


def test_coverage_is_unknown_without_robotic_clicks() -> None:
    none = np.zeros(3, dtype=np.bool_)
    assert robotic_coverage(~none, none).rate is None


def test_wilson_holds_the_rate_and_is_symmetric() -> None:
    for whole in (1, 7, 1000):
        for part in range(0, whole + 1, max(1, whole // 7)):
            low, high = wilson(part, whole)
            assert 0 <= low <= part / whole <= high <= 1
            assert wilson(whole - part, whole) == pytest.approx((1 - high, 1 - low))


def test_wilson_as_published() -> None:
    # 81 of 263: 0.2553 to 0.3662 (Newcombe, Statistics in Medicine 17, 1998, table I)
    assert Share(81, 263).interval == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert Share(0, 20).interval == pytest.approx((0, 0.1611), abs=5e-5)


ROWS = st.lists(st.tuples(*[st.booleans()] * 4, st.integers(0, 2)), max_size=12)


@given(rows=ROWS)
def test_counts_by_group_are_the_shares_of_each_group(rows: list[tuple[bool, ...]]) -> None:
    table = np.array([row[:4] for row in rows], np.bool_).reshape(-1, 4)
    groups = np.array([row[4] for row in rows], np.int64)
    invalid, decided, purchasing, robots = table.T
    by = count_by(groups, invalid, decided, purchasing, robots)
    assert list(by) == sorted({int(group) for group in groups})
    for group, found in by.items():
        mine = groups == group
        assert found.ivr == ivr(invalid[mine])
        assert found.fpr == fpr(invalid[mine], purchasing[mine])
        assert found.robotic_coverage == robotic_coverage(invalid[mine], robots[mine])
        assert found.decision_rate == decision_rate(decided[mine])
    assert sum(by.values(), Counts()) == count(invalid, decided, purchasing, robots)


@given(rows=st.lists(st.tuples(st.booleans(), st.booleans()), max_size=12))
def test_a_paired_difference_counts_where_the_two_differ(rows: list[tuple[bool, bool]]) -> None:
    first, second = np.array(rows, np.bool_).reshape(-1, 2).T
    found = paired_difference(first, second)
    assert (found.only_first, found.only_second) == (
        rows.count((True, False)),
        rows.count((False, True)),
    )
    assert (found.first, found.second) == (ivr(first), ivr(second))
    if rows:
        assert found.value == pytest.approx(first.mean() - second.mean())
    else:
        assert (found.value, found.interval) == (None, (-1.0, 1.0))


PROBABILITY = st.sampled_from([0.0, 0.25, 0.5, float(np.float32(0.9)), 1.0, float("nan")])


@given(rows=st.lists(st.tuples(PROBABILITY, st.booleans()), max_size=12))
def test_a_curve_counts_at_every_threshold(rows: list[tuple[float, bool]]) -> None:
    p = np.array([row[0] for row in rows], np.float32)
    purchasing = np.array([row[1] for row in rows], np.bool_)
    found = curve(p, purchasing)
    distinct = sorted({value for value, _ in rows if value == value}, reverse=True)
    assert found.thresholds.tolist() == [NEVER, *distinct]
    for threshold, invalid, lost in zip(found.thresholds, found.invalid, found.lost, strict=True):
        assert invalid == (p >= threshold).sum()
        assert lost == ((p >= threshold) & purchasing).sum()
    assert (found.clicks, found.purchases) == (len(rows), purchasing.sum())
    assert np.isnan(found.fpr).all() == (not purchasing.any())
    assert np.isnan(found.ivr).all() == (not rows)
