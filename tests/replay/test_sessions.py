"""Robotic sessions of a span, by the clicks around it, against a reading of the definition."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.config import LakeConfig
from replay.lake import Lake
from replay.sessions import robotic_sessions
from replay.snapshot import Snapshot
from replay.span import Span
from tests.lakes import click, make_lake

HOUR = 3_600_000_000
START = 1_772_323_200_000_000
SPAN = Span(START, START + 2 * HOUR)
PLACES = st.tuples(
    st.integers(-4, 8).map(lambda k: START + k * HOUR // 2), st.sampled_from(["a", "b", None])
)


def found(folder: Path | str, clicks: Sequence[dict[str, Any]], known_by: int) -> list[str]:
    lake = Lake(make_lake(folder, clicks).home, LakeConfig(currency="USD", session_clicks=2))
    return sorted(robotic_sessions(Snapshot.take(lake), SPAN, known_by).to_pylist())


def definition(places: Sequence[tuple[int, str | None]], known_by: int) -> list[str]:
    """More than 2 clicks in some half-open hour, an hour on both sides of the span looked at."""
    end = SPAN.end + HOUR if known_by > SPAN.end + HOUR else max(SPAN.end, known_by)
    seen = [(ts, s) for ts, s in places if SPAN.start - HOUR <= ts < end and s is not None]
    return sorted(
        {
            session
            for first, session in seen
            if sum(s == session and first <= ts < first + HOUR for ts, s in seen) > 2
        }
    )


@settings(max_examples=40, deadline=None)
@given(
    places=st.lists(PLACES, max_size=14),
    known_by=st.sampled_from([SPAN.end, SPAN.end + HOUR // 2, SPAN.end + 9 * HOUR]),
)
def test_robotic_sessions_are_those_of_the_definition(
    places: list[tuple[int, str | None]], known_by: int
) -> None:
    clicks = [click(ts, n, f"c{n}", session_id=s) for n, (ts, s) in enumerate(places)]
    with TemporaryDirectory() as folder:
        assert found(folder, clicks, known_by) == definition(places, known_by)


@pytest.mark.parametrize(("known_by", "sessions"), [(SPAN.end, []), (SPAN.end + 1, ["a"])])
def test_clicks_that_are_not_known_yet_make_no_session_robotic(
    tmp_path: Path, known_by: int, sessions: list[str]
) -> None:
    times = (SPAN.end - 2, SPAN.end - 1, SPAN.end)
    clicks = [click(ts, session_id="a") for ts in times]
    assert found(tmp_path, clicks, known_by) == sessions
