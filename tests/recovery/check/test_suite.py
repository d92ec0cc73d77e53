"""Which scenarios are checked, and bounds that can't be held."""

from pathlib import Path

import pytest

from recovery.check.suite import choose
from replay.lake import Lake
from simulator.errors import BadScenario, UnknownScenario
from simulator.mark import days_written
from simulator.scenario import load_scenario, shipped
from simulator.write import simulate
from tests.recovery.check.worlds import BOUNDS, scenario_file

HOUR = 3_600_000_000
UNBOUNDED = {"sample", "training"}


def test_every_shipped_scenario_with_bounds_is_a_case() -> None:
    names = [case.name for case in choose(())]
    assert names == [name for name in shipped() if name not in UNBOUNDED]


def test_fast_ones_are_a_part_that_repairs_and_detects() -> None:
    fast = choose((), fast=True)
    assert {case.name for case in fast} < {case.name for case in choose(())}
    assert any(case.bounds.on_repair for case in fast)
    assert any(case.bounds.detection for case in fast)


def test_the_first_hours_only_fill_windows() -> None:
    [case] = choose(("quiet",))
    assert case.span.start - case.scenario.span.start == 25 * HOUR
    assert case.span.end == case.scenario.span.end


def test_a_name_given_twice_is_one_case() -> None:
    assert len(choose(("quiet", "quiet"))) == 1


def test_an_unknown_scenario_comes_with_the_nearest() -> None:
    with pytest.raises(UnknownScenario, match="Did you mean quiet"):
        choose(("qiuet",))


def test_a_scenario_without_bounds_is_refused() -> None:
    with pytest.raises(BadScenario, match=r"scenario sample has no \[bounds\]"):
        choose(("sample",))


def test_a_single_day_is_refused(tmp_path: Path) -> None:
    path = scenario_file(tmp_path)
    text = path.read_text().replace("days = 2", "days = 1")
    path.write_text(text.replace("begins_hour = 32", "begins_hour = 12"))
    with pytest.raises(BadScenario, match="give it at least 2 days"):
        choose((str(path),))


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        (
            BOUNDS.replace("rival", "session_mimic"),
            "no robots of kind 'session_mimic' here. It has background, burst, rival",
        ),
        (
            BOUNDS.replace("rival", "brust"),
            "no robots of kind 'brust' here. Did you mean burst",
        ),
        (BOUNDS.replace("human_fpr", "human_frp", 1), "bounds: no key named 'human_frp'. Did you"),
        (BOUNDS.replace("0.02", "1.5"), "bounds.human_fpr: Input should be less than or equal"),
        (BOUNDS.replace("rival = 0.5", "rival = -1"), "bounds.detection.rival"),
        ("[bounds]\nfast = true", "bounds: no bound is given"),
    ],
)
def test_bounds_that_do_not_hold_are_named(tmp_path: Path, bounds: str, message: str) -> None:
    with pytest.raises(BadScenario, match=message):
        choose((str(scenario_file(tmp_path, bounds)),))


@pytest.mark.parametrize("key", ["repair_recall", "repair_precision"])
def test_a_bound_on_repair_needs_an_incident(tmp_path: Path, key: str) -> None:
    path = scenario_file(tmp_path, "")
    path.write_text(f"{path.read_text()}\n[bounds]\n{key} = 0.5\n")
    with pytest.raises(BadScenario, match=f"bounds.{key}: the scenario has no incident to repair"):
        choose((str(path),))


def test_a_lake_can_be_appended_to_under_other_bounds(tmp_path: Path) -> None:
    scenario = load_scenario(str(scenario_file(tmp_path, clicks=200)))
    lake = Lake.create(tmp_path / "lake", "USD")
    simulate(lake, scenario)
    assert days_written(lake, scenario.model_copy(update={"bounds": None})) == 2
