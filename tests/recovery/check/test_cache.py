"""Simulated lakes are kept by content, seen whole or not at all, and never written to again."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from recovery.check import cache as module
from recovery.check.cache import LEFT_BEHIND, LEFT_BEHIND_SECONDS, SimulatedLakes
from replay.config import find_cache
from replay.lake import Lake
from replay.snapshot import Snapshot
from simulator.scenario import Scenario, load_scenario
from tests.recovery.check.worlds import BOUNDS, REPAIR, scenario_file
from tests.versions import ignore


@pytest.fixture
def scenario(tmp_path: Path) -> Scenario:
    return load_scenario(str(scenario_file(tmp_path, clicks=200)))


def _unheard(units: int) -> None:
    pytest.fail(f"{units} clicks are drawn again")


def clicks(home: Path) -> int:
    return Snapshot.take(Lake.open(home)).rows("clicks")


def test_what_changes_no_row_finds_the_same_lake(scenario: Scenario, tmp_path: Path) -> None:
    lakes = SimulatedLakes(tmp_path / "cache")
    home = lakes.lake(scenario, ignore)
    before = {path: path.stat() for path in home.rglob("*")}
    other = scenario.model_copy(update={"title": "another", "bounds": None})
    assert lakes.has(other)
    assert lakes.lake(other, _unheard) == home
    assert {path: path.stat() for path in home.rglob("*")} == before


@pytest.mark.parametrize("changes", [{"seed": 6}, {"clicks_per_day": 201}])
def test_another_seed_or_size_is_another_lake(
    scenario: Scenario, tmp_path: Path, changes: dict[str, int]
) -> None:
    lakes = SimulatedLakes(tmp_path / "cache")
    lakes.lake(scenario, ignore)
    assert not lakes.has(scenario.model_copy(update=changes))


def test_another_code_is_another_lake(
    scenario: Scenario, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lakes = SimulatedLakes(tmp_path / "cache")
    lakes.lake(scenario, ignore)
    monkeypatch.setattr(module, "_source_digest", lambda: "another")
    assert not lakes.has(scenario)


def test_the_code_that_counts_is_that_of_three_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("scorer", "replay", "simulator"):
        (tmp_path / name / "specs").mkdir(parents=True)
        monkeypatch.setattr(getattr(module, name), "__path__", [str(tmp_path / name)])
    digests = set()
    for file in ("scorer/a.py", "scorer/specs/default.toml", "replay/a.py", "simulator/b.py"):
        (tmp_path / file).write_text("1")
        digests.add(module._source_digest.__wrapped__())
    (tmp_path / "simulator" / "notes.md").write_text("1")
    digests.add(module._source_digest.__wrapped__())
    assert len(digests) == 4


def test_of_two_at_once_one_lake_is_kept(scenario: Scenario, tmp_path: Path) -> None:
    lakes = SimulatedLakes(tmp_path / "cache")
    done: list[int] = []

    def another_comes_first(_units: int) -> None:
        if not done:
            done.append(0)
            done[0] = clicks(SimulatedLakes(tmp_path / "cache").lake(scenario, ignore))

    home = lakes.lake(scenario, another_comes_first)
    assert [clicks(home)] == done
    assert list(home.parent.iterdir()) == [home]


def test_what_fails_leaves_nothing(scenario: Scenario, tmp_path: Path) -> None:
    lakes = SimulatedLakes(tmp_path / "cache")

    def fail(_units: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lakes.lake(scenario, fail)
    assert list((tmp_path / "cache" / "lakes").iterdir()) == []


def test_what_was_killed_is_not_used_and_is_swept_later(scenario: Scenario, tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from recovery.check.cache import SimulatedLakes;"
        "from simulator.scenario import load_scenario;"
        "SimulatedLakes(Path(sys.argv[1])).lake("
        "load_scenario(sys.argv[2]), lambda units: os.kill(os.getpid(), 9))"
    )
    where = (str(tmp_path / "cache"), str(tmp_path / "small.toml"))
    done = subprocess.run([sys.executable, "-c", script, *where], check=False)
    assert done.returncode == -signal.SIGKILL
    lakes = SimulatedLakes(tmp_path / "cache")
    assert not lakes.has(scenario)
    home = lakes.lake(scenario, ignore)
    assert clicks(home) > 400
    [left] = home.parent.glob(f"{LEFT_BEHIND}*")
    long_ago = time.time() - LEFT_BEHIND_SECONDS - 1
    os.utime(left, (long_ago, long_ago))
    lakes.lake(scenario.model_copy(update={"seed": 6}), ignore)
    assert not left.exists()


def test_scenarios_with_one_history_share_its_versions(tmp_path: Path) -> None:
    lakes = SimulatedLakes(tmp_path / "cache")
    one = load_scenario(str(scenario_file(tmp_path, REPAIR, clicks=1000)))
    later = {**one.incidents[0].model_dump(), "begins_hour": 36}
    two = load_scenario(str(tmp_path / "small.toml"), {"incidents": [later]})
    homes = {lakes.lake(each, ignore) for each in (one, two)}
    assert len(homes) == 2
    assert len(list((tmp_path / "cache" / "versions").iterdir())) == 1


def test_the_folder_is_the_options_the_environments_or_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("REPLAY_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    assert find_cache(None) == tmp_path / ".cache" / "replay"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert find_cache(None) == tmp_path / "Library" / "Caches" / "replay"
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert find_cache(None) == Path("/xdg/replay")
    monkeypatch.setenv("REPLAY_CACHE", "/mine")
    assert find_cache(None) == Path("/mine")
    assert find_cache("~/other") == tmp_path / "other"


def test_bounds_are_no_part_of_a_name(tmp_path: Path) -> None:
    bounds = BOUNDS.replace("0.02", "0.03")
    one = load_scenario(str(scenario_file(tmp_path, clicks=200)))
    two = load_scenario(str(scenario_file(tmp_path, bounds, name="two", clicks=200)))
    assert one.bounds != two.bounds
    lakes = SimulatedLakes(tmp_path / "cache")
    assert lakes._place(one) == lakes._place(two)
