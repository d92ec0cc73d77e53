"""Skew of profile columns and of reals: what the live cache may have had, and what not."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from replay.compaction import compact
from replay.skew.comparison import measure, prepare
from replay.skew.lookups import landings
from replay.snapshot import Snapshot
from replay.span import Span, now_micros
from scorer.errors import Inconsistent
from scorer.spec import parse_spec
from tests.lakes import Row, add_rows, click, make_lake
from tests.replay.skew.plain_service import ALL, HOUR, MINUTE, reasons
from tests.versions import START, at_least, ignore, logged

AGE = parse_spec(
    {"profiles": [{"table": "user", "column": "age", "default": 7.0}], "flags": {}}, "age"
)
NOW = now_micros() // HOUR * HOUR
LATER = NOW + 24 * HOUR  # a snapshot of then lands in time, one of EARLIER does not
EARLIER = NOW - 24 * HOUR


def test_numbers_are_compared_by_their_bits(tmp_path: Path) -> None:
    """No number equals itself, and −0 is not 0."""
    nan = float("nan")
    rows = [click(START + k, k, f"c{k}", user_id=f"u{k}") for k in range(4)]
    ages = [{"key": f"u{k}", "valid_from": START, "age": age} for k, age in enumerate([nan, 0.0])]
    lake = make_lake(tmp_path, profiles_user=ages)
    version = at_least(lake, "v", 2, feature="logged_in", spec=AGE)
    values = [-nan, -0.0, 7.0, nan]
    decisions = [logged(r, version, "valid", [1], [v]) for r, v in zip(rows, values, strict=True)]
    add_rows(lake, "decisions", decisions)
    add_rows(lake, "clicks", rows)
    found = measure(prepare(lake, ALL), 5, ignore)
    assert {e.click_id for e in found.examples} == {"c1", "c3"}
    assert found.to_json()["features"][1]["largest"]["logged"] is None


def snapshots(*valid: int) -> Sequence[Row]:
    return [{"key": "u1", "valid_from": at, "age": float(k)} for k, at in enumerate(valid)]


@pytest.mark.parametrize(
    ("ages", "reason"),
    [([0.0, 1.0, 1.0], None), ([0.0, 0.0, 1.0], "unexplained"), ([7.0, 1.0, 1.0], "unexplained")],
)
def test_a_snapshot_that_landed_in_time_must_have_been_used(
    tmp_path: Path, ages: list[float], reason: str | None
) -> None:
    assert profile_skew(tmp_path, snapshots(LATER, LATER + HOUR), LATER, ages) == reason


@pytest.mark.parametrize(
    ("ages", "reason"),
    [([0.0, 0.0, 7.0], "profile"), ([0.0, 2.0, 1.0], "unexplained")],
)
def test_a_snapshot_that_landed_late_may_have_been_missed(
    tmp_path: Path, ages: list[float], reason: str
) -> None:
    rows = snapshots(EARLIER, EARLIER + HOUR, EARLIER + 5 * HOUR)
    assert profile_skew(tmp_path, rows, EARLIER, ages) == reason


def profile_skew(home: Path, rows: Sequence[Row], first: int, ages: list[float]) -> str | None:
    """Log these ages for clicks at, 1 h after and 2 h after `first`; return the gravest reason."""
    clicks = [click(first + k * HOUR, k, f"c{k}", user_id="u1") for k in range(3)]
    lake = make_lake(home, profiles_user=rows)
    version = at_least(lake, "v", 2, feature="logged_in", spec=AGE)
    decisions = [
        logged(row, version, "valid", [1], [age]) for row, age in zip(clicks, ages, strict=True)
    ]
    add_rows(lake, "decisions", decisions)
    add_rows(lake, "clicks", clicks)
    found = measure(prepare(lake, Span(first, first + 9 * HOUR)), 5, ignore)
    return found.reasons[0].name if found.reasons else None


def test_a_compaction_lands_nothing_anew(tmp_path: Path) -> None:
    """The first snapshot landed in time for its valid_from, though its file is younger."""
    rows = [
        {"key": "u1", "valid_from": LATER, "age": 1.0},
        {"key": "u1", "valid_from": LATER + MINUTE, "age": 2.0},
    ]
    lake = make_lake(tmp_path, profiles_user=rows[:1])
    add_rows(lake, "profiles_user", rows[1:])
    (compacted,) = [c for c in compact(lake, LATER + 48 * HOUR, LATER + 48 * HOUR) if c.files]
    assert compacted.files == 2
    landed = landings(Snapshot.take(lake), "profiles_user")
    *_, first, second, merged = landed["landed"].to_pylist()
    assert first <= second == merged < now_micros()
    version = at_least(lake, "v", 2, feature="logged_in", spec=AGE)
    row = click(LATER + HOUR, user_id="u1")
    add_rows(lake, "decisions", [logged(row, version, "valid", [1], [1.0])])
    add_rows(lake, "clicks", [row])
    found = measure(prepare(lake, Span(LATER, LATER + 9 * HOUR)), 5, ignore)
    assert reasons(found) == {"unexplained": (1, 1)}


def test_a_table_s_log_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    rows = snapshots(EARLIER)
    lake = make_lake(tmp_path, profiles_user=rows)
    snapshot = Snapshot.take(lake)
    (tmp_path / "profiles_user" / "_delta_log" / f"{0:020d}.json").write_text("{}\n")
    with pytest.raises(Inconsistent, match=r"0+\.json, a commit of table profiles_user"):
        landings(snapshot, "profiles_user")
