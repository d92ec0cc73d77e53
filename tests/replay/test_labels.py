"""Purchasing clicks against a reading of the definition, on clicks and purchases that collide."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.config import LakeConfig
from replay.labels import HOUR, purchasing_clicks
from replay.lake import Lake
from replay.snapshot import Snapshot
from replay.span import Span
from tests.lakes import click, make_lake

Row = dict[str, Any]
START = 1_772_323_200_000_000 - HOUR  # an hour before a midnight, so that files are cut there
SPAN = Span(START + HOUR, START + 3 * HOUR)
GRID = st.integers(0, 8).map(lambda k: START + k * HOUR // 2)
USER = st.sampled_from(["u", "v", None])
ADVERTISER = st.sampled_from(["a", "b"])


def purchase(ts: int, **columns: object) -> Row:
    return {"purchase_id": f"p{ts}-{len(columns)}", "ts": ts, **columns}


@st.composite
def logs(draw: st.DrawFn) -> tuple[list[Row], list[Row]]:
    places = draw(st.lists(st.tuples(GRID, USER, ADVERTISER, st.integers(0, 1)), max_size=8))
    clicks = [
        click(ts, seq, f"c{n}", user_id=user, advertiser_id=advertiser)
        for n, (ts, user, advertiser, seq) in enumerate(places)
    ]
    named = st.sampled_from([None, None, "c0", "c1", "gone"])
    bought = draw(st.lists(st.tuples(GRID, USER, ADVERTISER | st.none(), named), max_size=5))
    purchases = [
        purchase(ts, user_id=user, advertiser_id=advertiser, click_id=named)
        for ts, user, advertiser, named in bought
    ]
    return clicks, purchases


def definition(clicks: Sequence[Row], purchases: Sequence[Row], known_by: int) -> set[str]:
    """Section 2 of the design, read aloud; one hour for attribution."""
    found = set()
    for p in purchases:
        if p["ts"] >= known_by:
            continue
        if p["click_id"] is not None:
            found.add(p["click_id"])
            continue
        before = [
            c
            for c in clicks
            if c["user_id"] is not None
            and c["user_id"] == p["user_id"]
            and p["ts"] - HOUR <= c["ts"] <= p["ts"]
            and p["advertiser_id"] in (None, c["advertiser_id"])
        ]
        if before:
            last = max(before, key=lambda c: (c["ts"], c["seq"], c["click_id"]))
            found.add(last["click_id"])
    return {c["click_id"] for c in clicks if SPAN.start <= c["ts"] < SPAN.end} & found


def lake_of(folder: Path | str, clicks: Sequence[Row], purchases: Sequence[Row]) -> Lake:
    home = make_lake(folder, clicks, purchases=purchases).home
    return Lake(home, LakeConfig(currency="USD", attribution_hours=1))


def found(lake: Lake, known_by: int = SPAN.end) -> list[str]:
    ids: list[str] = purchasing_clicks(Snapshot.take(lake), SPAN, known_by).to_pylist()
    return ids


@settings(max_examples=50, deadline=None)
@given(log=logs(), known_by=st.sampled_from([SPAN.start + 1, SPAN.end, SPAN.end + HOUR]))
def test_purchasing_clicks_are_those_of_the_definition(
    log: tuple[list[Row], list[Row]], known_by: int
) -> None:
    with TemporaryDirectory() as folder:
        assert found(lake_of(folder, *log), known_by) == sorted(definition(*log, known_by))


AT = SPAN.start + HOUR


@pytest.mark.parametrize(("age", "expected"), [(-1, []), (0, ["c"]), (HOUR, ["c"]), (HOUR + 1, [])])
def test_the_edges_of_the_attribution_window(tmp_path: Path, age: int, expected: list[str]) -> None:
    bought = [purchase(AT + age, user_id="u1")]
    lake = lake_of(tmp_path, [click(AT, click_id="c")], bought)
    assert found(lake, AT + 2 * HOUR) == expected


@pytest.mark.parametrize(("known_by", "expected"), [(AT, []), (AT + 1, ["c"])])
def test_a_purchase_is_known_only_once_it_has_happened(
    tmp_path: Path, known_by: int, expected: list[str]
) -> None:
    lake = lake_of(tmp_path, [click(AT, click_id="c")], [purchase(AT, click_id="c")])
    assert found(lake, known_by) == expected


def test_of_ties_the_last_in_log_order_counts(tmp_path: Path) -> None:
    clicks = [click(AT, 1, "b"), click(AT, 1, "a"), click(AT, 0, "z")]
    assert found(lake_of(tmp_path, clicks, [purchase(AT, user_id="u1")])) == ["b"]


def test_a_named_click_that_is_not_in_the_log_has_no_stand_in(tmp_path: Path) -> None:
    bought = [purchase(AT, user_id="u1", click_id="gone")]
    assert found(lake_of(tmp_path, [click(AT)], bought)) == []


def test_a_lake_without_purchases(tmp_path: Path) -> None:
    assert found(lake_of(tmp_path, [click(AT)], [])) == []
