"""Metrics against counting by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorer.metrics import SESSION_WINDOW, Share, robotic, robotic_coverage, wilson

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
