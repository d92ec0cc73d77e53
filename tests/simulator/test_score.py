"""The figures of a score, on a lake written by hand, and the command that shows them."""

import json
from pathlib import Path

import pytest

from replay.cli import main
from replay.errors import BadInput
from replay.lake import Lake
from simulator.score import Money, score_run
from tests.lakes import Row, add_rows, make_lake
from tests.versions import at_least, burst, logged, run

PRICE = 250_000  # micros, of every click


def lake(home: Path) -> Lake:
    """Four clicks of one user; a version of ours calls the third and the fourth invalid.

    Production: valid, invalid, undecided, valid. It should have been: valid, valid, invalid,
    invalid. The first, third and fourth are a robot's.
    """
    rows = burst(4)
    made = make_lake(home, rows)
    version = at_least(made, "v1", 3)
    was = ["valid", "invalid", "undecided", "valid"]
    tables: dict[str, list[Row]] = {
        "decisions": [logged(row, version, d) for row, d in zip(rows, was, strict=True)],
        "truth": [
            {**_key(row), "actor": "a", "kind": kind, "is_robot": kind != "human"}
            for row, kind in zip(rows, ["burst", "human", "burst", "crawler"], strict=True)
        ],
        "decision_truth": [
            {**_key(row), "decision": should, "incident_id": incident}
            for row, should, incident in zip(
                rows, ["valid", "valid", "invalid", "invalid"], [None, "i-1", "i-1", "i-2"],
                strict=True,
            )
        ],
    }  # fmt: skip
    for name, found in tables.items():
        add_rows(made, name, found)
    return made


def _key(row: Row) -> dict[str, object]:
    return {"click_id": row["click_id"], "ts": row["ts"]}


def test_figures_are_those_of_hand(tmp_path: Path) -> None:
    made = lake(tmp_path / "lake")
    scores = score_run(made, run(made, "v1").manifest.run_id)
    assert [row.name for row in scores.rows] == [
        *("all", "i-1", "i-2", "none"),
        *("burst", "crawler", "human"),
    ]
    whole = scores.whole
    # The second, third and fourth change; of a human, to valid, and of robots, to invalid.
    assert (whole.precision.part, whole.precision.whole) == (3, 3)
    assert (whole.recall.part, whole.recall.whole) == (3, 3)
    assert whole.healthy_before == Money(2 * PRICE, PRICE)
    assert whole.healthy_after == Money(0, 0)
    assert whole.truth_before == Money(3 * PRICE, PRICE)
    assert whole.truth_after == Money(PRICE, 0)  # the robot's first click, which v1 lets pass
    assert scores.of("i-1").healthy_before == Money(PRICE, PRICE)
    assert scores.of("none").recall.rate is None
    assert scores.of("crawler").precision.whole == 1


def test_a_worse_version_is_scored_as_worse(tmp_path: Path) -> None:
    made = lake(tmp_path / "lake")
    at_least(made, "v2", 1)  # calls every click invalid
    whole = score_run(made, run(made, "v2").manifest.run_id).whole
    # The first, third and fourth change, all of robots; the human's is left invalid.
    assert (whole.precision.part, whole.precision.whole) == (3, 3)
    assert (whole.recall.part, whole.recall.whole) == (2, 3)
    assert whole.healthy_after == Money(0, 2 * PRICE)
    assert whole.truth_after == Money(0, PRICE)
    assert whole.healthy_after.net == -2 * PRICE


def test_a_lake_without_truth_cannot_be_scored(tmp_path: Path) -> None:
    made = make_lake(tmp_path / "lake", burst(4))
    at_least(made, "v1", 3)
    ran = run(made, "v1")
    with pytest.raises(BadInput, match="the truth of 0 of the 4 clicks"):
        score_run(made, ran.manifest.run_id)


def test_the_command_shows_it(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    made = lake(tmp_path / "lake")
    run_id = run(made, "v1").manifest.run_id
    for options, check in ((("--json",), json.loads), ((), str)):
        with pytest.raises(SystemExit) as exit_:
            main(["simulate", "score", "--run", "latest", "--home", str(made.home), *options])
        assert exit_.value.code == 0
        out, _ = capsys.readouterr()
        assert run_id in str(check(out))
        assert "i-1" in out
