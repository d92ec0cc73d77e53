"""A run against who clicked, on the lake that is written by hand for scores."""

from pathlib import Path

import pytest

from replay.errors import BadInput
from scorer.metrics import Share
from simulator.judge import judge_repair, judge_run
from tests.lakes import make_lake
from tests.simulator.test_score import PRICE
from tests.simulator.test_score import lake as four_clicks
from tests.versions import at_least, burst, run


def test_figures_are_those_of_hand(tmp_path: Path) -> None:
    made = four_clicks(tmp_path / "lake")
    judged = judge_run(made, run(made, "v1").manifest.run_id)
    assert judged.detection() == {"burst": Share(1, 2), "crawler": Share(1, 1)}
    assert judged.human_fpr() == Share(0, 1)
    assert judged.human_fpr_by_slice() == {"device=desktop,logged_in=true": Share(0, 1)}
    assert judged.wrongly_credited() == Share(0, 3 * PRICE)  # production bills all but the second


def test_what_a_strict_version_would_credit(tmp_path: Path) -> None:
    made = four_clicks(tmp_path / "lake")
    at_least(made, "v2", 1)  # calls every click invalid
    judged = judge_run(made, run(made, "v2").manifest.run_id)
    assert judged.human_fpr() == Share(1, 1)
    assert judged.wrongly_credited() == Share(0, 3 * PRICE)  # the human's was not billed


def test_a_human_that_is_billed_and_called_a_robot_is_credited_wrongly(tmp_path: Path) -> None:
    made = make_lake(
        tmp_path / "lake",
        rows := burst(2),
        truth=[
            {"click_id": row["click_id"], "ts": row["ts"], "actor": "a", "kind": kind,
             "is_robot": kind != "human"}
            for row, kind in zip(rows, ["burst", "human"], strict=True)
        ],
    )  # fmt: skip
    at_least(made, "v1", 2)
    judged = judge_run(made, run(made, "v1").manifest.run_id)
    assert judged.wrongly_credited() == Share(PRICE, 2 * PRICE)


def test_repair_is_of_the_incidents_clicks(tmp_path: Path) -> None:
    made = four_clicks(tmp_path / "lake")
    # Of the second to the fourth, made wrong by incidents, each is then decided truly.
    repair = judge_repair(made, run(made, "v1").manifest.run_id)
    assert (repair.recall, repair.precision) == (Share(3, 3), Share(3, 3))
    at_least(made, "v2", 1)
    repair = judge_repair(made, run(made, "v2").manifest.run_id)
    # The human's stays invalid: not put right, and no change. The first is no incident's.
    assert (repair.recall, repair.precision) == (Share(2, 3), Share(2, 2))


def test_a_lake_without_truth_cannot_be_judged(tmp_path: Path) -> None:
    made = make_lake(tmp_path / "lake", burst(4))
    at_least(made, "v1", 3)
    with pytest.raises(BadInput, match="the truth of 0 of the 4 clicks"):
        judge_run(made, run(made, "v1").manifest.run_id)
