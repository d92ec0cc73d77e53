"""Days that follow: a simulation that goes on writes what one of all the days would have."""

import json
from pathlib import Path

import pytest

from replay.cli import main
from replay.lake import Lake
from replay.snapshot import Snapshot
from simulator.digest import digest_tables
from simulator.errors import DaysTaken
from simulator.scenario import Scenario
from simulator.write import simulate
from tests.simulator.production import EVERYTHING, HOUR, POINTER, furnished, small

# Incidents that the seam between the days runs through, or whose aftermath reaches over it.
ACROSS = [
    {"kind": "bad_model", "begins_hour": 44, "hours": 8},
    {"kind": "service_down", "begins_hour": 47, "hours": 2},
    {"kind": "counters_stale", "begins_hour": 40, "age_hours": 6},
    {"kind": "log_twice", "begins_hour": 46, "hours": 1.5, "after_minutes": 90},
    {"kind": "log_late", "begins_hour": 45, "hours": 1.5, "late_hours": 2},
]


def at_once_and_in_parts(tmp_path: Path, **changes: object) -> tuple[dict[str, str], ...]:
    def scenario(days: int) -> Scenario:
        return small("service_down", days=days, clicks_per_day=1000, **changes)

    whole, parts = furnished(tmp_path / "whole"), furnished(tmp_path / "parts")
    simulate(whole, scenario(3), POINTER)
    simulate(parts, scenario(2), POINTER)
    simulate(parts, scenario(3), POINTER, since=scenario(2).span.end)
    return digests(whole), digests(parts)


def digests(lake: Lake) -> dict[str, str]:
    return digest_tables(Snapshot.take(lake, tables=EVERYTHING))


def test_days_that_follow_are_those_of_one_simulation(tmp_path: Path) -> None:
    whole, parts = at_once_and_in_parts(tmp_path, incidents=ACROSS)
    assert parts == whole


def test_a_robot_that_learns_goes_on_from_what_it_learned(tmp_path: Path) -> None:
    robots = [{"kind": "background", "share": 0.06}, {"kind": "adaptive", "share": 0.4}]
    whole, parts = at_once_and_in_parts(tmp_path, incidents=[], robots=robots)
    assert parts == whole


def test_days_that_are_there_are_not_written_again(tmp_path: Path) -> None:
    lake = furnished(tmp_path / "lake")
    scenario = small("service_down", clicks_per_day=500, incidents=[])
    simulate(lake, scenario, POINTER)
    with pytest.raises(DaysTaken, match=r"already has .* clicks in .2026-03-02T00"):
        simulate(lake, scenario, POINTER, since=scenario.span.start + 24 * HOUR)


def run(capsys: pytest.CaptureFixture[str], home: Path, *args: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as exit_:
        main(["simulate", "--scenario", "quiet", *args, "--home", str(home)])
    out, err = capsys.readouterr()
    return int(str(exit_.value.code)), out, err


def test_the_command_goes_on_by_a_day(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    home, few = tmp_path / "lake", ("--clicks-per-day", "300")
    assert run(capsys, home, *few, "--append")[0] == 2
    assert run(capsys, home, *few, "--days", "1")[0] == 0
    code, out, _ = run(capsys, home, *few, "--append", "--json")
    made = json.loads(out)
    assert code == 0
    assert (made["from"], made["to"]) == ("2026-03-02T00:00:00Z", "2026-03-03T00:00:00Z")
    code, out, err = run(capsys, home, "--clicks-per-day", "400", "--append")
    assert (code, out) == (2, "")
    assert "other settings" in err
    assert err.count("\n") == 1
