"""kill -9 at every step of a promotion and a rollback, and at random times.

After a kill the pointer is where it was or where it was to go, with a history that can be read; and
the next command moves it as if nothing had happened.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from random import Random, SystemRandom

import pytest

from recovery.production import promote
from replay.lake import Lake
from replay.production import read_production
from tests.lakes import make_lake
from tests.recovery.kills import Command
from tests.versions import at_least

BEFORE = [("promote", "v1"), ("promote", "v2")]


@dataclass(frozen=True)
class Stage:
    """A command, the row that it adds, and the row that the command after it adds."""

    command: Command
    adds: tuple[str, str]
    following: Command
    then: tuple[str, str]


PROMOTE_V3 = Command(("models", "promote", "v3", "--reason", "why", "--by", "me"))
ROLLBACK = Command(("models", "rollback", "--by", "me"))
STAGES = {
    "promote": Stage(PROMOTE_V3, ("promote", "v3"), ROLLBACK, ("rollback", "v2")),
    "rollback": Stage(ROLLBACK, ("rollback", "v1"), PROMOTE_V3, ("promote", "v3")),
}


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """v1 and v2 were promoted, v3 is stored."""
    lake = make_lake(tmp_path_factory.mktemp("origin") / "lake")
    for at, name in enumerate(("v1", "v2", "v3"), 1):
        at_least(lake, name, 2)
        if name != "v3":
            promote(lake, name, "me", "why", {}, at)
    return lake.home


def copied(origin: Path, home: Path) -> Path:
    return Path(shutil.copytree(origin, home))


def state(home: Path) -> list[tuple[str, str]]:
    """Return what a reader finds."""
    return [(row.action, row.model_version) for row in read_production(Lake.open(home)).history]


def check(stage: Stage, home: Path) -> bool:
    """Check what a kill left, and what the next commands make of it; tell whether it had moved."""
    found = state(home)
    whole = [*BEFORE, stage.adds]
    assert found in (BEFORE, whole)
    if found == BEFORE:
        assert stage.command.finish(home) == 0
    assert state(home) == whole
    assert stage.following.finish(home) == 0
    assert state(home) == [*whole, stage.then]
    return found == whole


@pytest.mark.parametrize("name", STAGES)
def test_a_kill_before_each_step(origin: Path, tmp_path: Path, name: str) -> None:
    stage = STAGES[name]
    steps, _ = stage.command.steps(copied(origin, tmp_path / "whole"))
    assert len(steps) > 5, steps
    moved = []
    for place, step in enumerate(steps):
        home = copied(origin, tmp_path / str(place))
        assert stage.command.kill_before(home, place), step
        moved.append(check(stage, home))
    assert moved == sorted(moved)
    assert (moved[0], moved[-1]) == (False, True)


def test_kills_at_random_times(origin: Path, tmp_path: Path) -> None:
    seed = int(os.environ.get("REPLAY_SEED") or SystemRandom().randrange(2**32))
    print(f"\nREPLAY_SEED={seed}")  # noqa: T201  the way to repeat it
    draw = Random(seed)
    seconds = {
        name: stage.command.steps(copied(origin, tmp_path / name))[1]
        for name, stage in STAGES.items()
    }
    killed = 0
    for number in range(1_000):
        name = draw.choice(list(STAGES))
        home = copied(origin, tmp_path / str(number))
        if STAGES[name].command.kill_after(home, draw.uniform(0, seconds[name])):
            check(STAGES[name], home)
            killed += 1
        shutil.rmtree(home)
        if killed == 20:
            return
    pytest.fail(f"{killed} kills of 1,000 came in time")
