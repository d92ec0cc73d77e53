"""A run recorded as the production decisions of a log that has none there."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from replay.cli import main
from replay.lake import Lake
from replay.recording import REASON, record_run
from replay.runs import run_folder
from replay.snapshot import Snapshot, connect
from replay.span import Span
from scorer.errors import BadInput, Inconsistent
from tests.lakes import add_rows, click, make_lake
from tests.versions import BOTH, HOUR, START, TWO_DAYS, Ran, at_least, burst, logged, run

DAY = 24 * HOUR
MIDNIGHT = START + 12 * HOUR


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Clicks on both sides of a midnight, one of them before the span, and a profile."""
    clicks = [click(START - 1, 0, "before", user_id="u"), *burst(3)]
    clicks += burst(3, "w", MIDNIGHT - 1_000_000)
    profile = {"key": "u", "valid_from": START - DAY, "age": 1.5}
    made = make_lake(tmp_path, clicks, profiles_user=[profile])
    at_least(made, "v", 2, spec=BOTH)
    return made


def decisions(lake: Lake) -> list[dict[str, Any]]:
    source = Snapshot.take(lake).source("decisions")
    with connect(1) as connection:
        query = f"SELECT * FROM {source} ORDER BY ts, seq, click_id"
        rows: list[dict[str, Any]] = connection.sql(query).to_arrow_table().to_pylist()
    return rows


def test_a_recorded_run_is_what_production_decided(lake: Lake) -> None:
    first = run(lake, "v")
    assert first.summary.changes["missing"].clicks == 6
    assert record_run(lake, first.manifest.run_id) == 6
    rows = decisions(lake)
    for column in ("click_id", "ts", "seq", "probability", "threshold", "slice", "decision"):
        assert [row[column] for row in rows] == [row[column] for row in first.rows("decisions")]
    assert [row["facts"] for row in rows[:3]] == [[2, 2, 1], [3, 3, 1], [4, 4, 1]]
    assert [row["reals"] for row in rows] == [[1.5]] * 3 + [[7.0]] * 3
    assert {(row["reason"], row["model_version"]) for row in rows} == {(REASON, "v")}


@pytest.mark.parametrize("features", ["recomputed", "logged"])
def test_a_rerun_of_the_same_version_changes_nothing(lake: Lake, features: str) -> None:
    first = run(lake, "v")
    record_run(lake, first.manifest.run_id)
    again = run(lake, "v", features=features)
    assert again.rows("changes") == []
    for column in ("probability", "decision"):
        was, now = (r.by_click("decisions", column) for r in (first, again))
        assert now == was


def test_another_version_differs_by_its_model_alone(lake: Lake) -> None:
    record_run(lake, run(lake, "v").manifest.run_id)
    at_least(lake, "other", 4, spec=BOTH)
    causes = run(lake, "other").by_click("changes", "cause")
    assert causes == dict.fromkeys(["u0", "u1", "w1", "w2"], "model")


def test_the_same_run_again_adds_nothing(lake: Lake) -> None:
    run_id = run(lake, "v").manifest.run_id
    assert [record_run(lake, run_id) for _ in range(3)] == [6, 0, 0]
    assert len(decisions(lake)) == 6


def test_the_features_are_those_that_the_run_saw(lake: Lake) -> None:
    """A click and a profile that land later change nothing about it."""
    run_id = run(lake, "v").manifest.run_id
    add_rows(lake, "clicks", [click(START - 2, 0, "late", user_id="u"), click(START, 5, "in")])
    add_rows(lake, "profiles_user", [{"key": "u", "valid_from": START - HOUR, "age": 9.0}])
    assert record_run(lake, run_id) == 6
    assert decisions(lake)[0]["facts"] == [2, 2, 1]
    assert decisions(lake)[0]["reals"] == [1.5]


def test_a_span_with_decisions_is_refused(lake: Lake) -> None:
    run_id = run(lake, "v").manifest.run_id
    add_rows(lake, "decisions", [logged(click(MIDNIGHT, 1, "w1"), None, "valid")])
    with pytest.raises(BadInput, match="production already has 1 decisions in"):
        record_run(lake, run_id)
    assert len(decisions(lake)) == 1


def test_spans_side_by_side_are_recorded_one_after_the_other(lake: Lake) -> None:
    early, late = Span(START, MIDNIGHT), Span(MIDNIGHT, MIDNIGHT + DAY)
    runs = [run(lake, "v", span).manifest.run_id for span in (early, late)]
    overlapping = run(lake, "v", Span(MIDNIGHT - 1, MIDNIGHT + DAY)).manifest.run_id
    assert [record_run(lake, run_id) for run_id in runs] == [4, 2]
    with pytest.raises(BadInput, match="production already has 2 decisions"):
        record_run(lake, overlapping)


@pytest.mark.parametrize(
    "make",
    [
        lambda lake: run(lake, "v", sample="50%"),
        lambda lake: run(lake, "v", where="seq >= 0"),
        lambda lake: run(lake, "v", features="logged"),
    ],
)
def test_a_run_of_some_clicks_or_of_other_features_is_refused(
    lake: Lake, make: Callable[[Lake], Ran]
) -> None:
    run_id = make(lake).manifest.run_id
    with pytest.raises(BadInput, match="is no record of production"):
        record_run(lake, run_id)
    assert decisions(lake) == []


def test_a_run_that_was_changed_by_hand_is_refused(lake: Lake) -> None:
    run_id = run(lake, "v").manifest.run_id
    part = run_folder(lake, run_id).part("decisions", 0)
    rows = pq.read_table(part)
    for damage in (rows.slice(1), rows.take(list(range(len(rows)))[::-1])):
        pq.write_table(damage, part)
        with pytest.raises(Inconsistent, match="does not hold the clicks of the log"):
            record_run(lake, run_id)
    part.write_bytes(part.read_bytes()[:-5])
    with pytest.raises(Inconsistent, match="can't be read"):
        record_run(lake, run_id)
    assert decisions(lake) == []


def test_a_version_that_was_exchanged_is_refused(lake: Lake) -> None:
    run_id = run(lake, "v").manifest.run_id
    for file in (lake.home / "models" / "v").iterdir():
        file.unlink()
    (lake.home / "models" / "v").rmdir()
    at_least(lake, "v", 3, spec=BOTH)
    with pytest.raises(Inconsistent, match="was made with another v"):
        record_run(lake, run_id)


def test_the_command(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    run(lake, "v", TWO_DAYS)
    run_id = run(lake, "v").manifest.run_id
    line = ["import", "decisions", "--from-run", run_id, "--home", str(lake.home), "--json"]
    for added in (6, 0):
        with pytest.raises(SystemExit) as stop:
            main(line)
        assert stop.value.code == 0
        assert json.loads(capsys.readouterr().out) == {"run_id": run_id, "added": added}
