"""kill -9 of a run at random times, and of what resumes it: the bytes are those of a whole run.

The soak kills more often. REPLAY_KILLS sets the number of kills, REPLAY_SEED the seed that every
run prints.
"""

import os
import shutil
from collections import Counter
from dataclasses import dataclass
from random import Random, SystemRandom

import pytest

from replay.lake import Lake
from replay.runs import RunFolder, run_ids, unfinished_ids
from replay.unfinished import PLAN, drop, slices_done
from tests.recovery.kills import Command
from tests.replay.interrupting import (
    RUN,
    SLICES,
    Outcome,
    inodes,
    outcome,
    resume,
    short_slices,
)


@dataclass(frozen=True)
class Whole:
    """A run that nothing interrupted: what it came to, how many steps it took and how long."""

    lake: Lake
    outcome: Outcome
    steps: int
    seconds: float

    def kill(self, command: Command, draw: Random) -> bool:
        """Kill a command at any time, or shortly after any step; tell whether it still ran."""
        if draw.random() < 0.3:
            return command.kill_after(self.lake.home, draw.uniform(0, self.seconds))
        return command.kill_after(self.lake.home, draw.expovariate(200), draw.randrange(self.steps))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    lake = short_slices(tmp_path_factory.mktemp("whole") / "lake")
    assert RUN.finish(lake.home) == 0  # compiles, and waits for the fork server
    first = outcome(lake)
    steps, seconds = RUN.steps(lake.home)
    assert outcome(lake) == first
    assert len(first.parts) >= 2 * SLICES
    return Whole(lake, first, len(steps), seconds)


def left(lake: Lake) -> tuple[str, int] | None:
    """Return the run that is not finished, and how many slices are done; drop one unplanned."""
    for run_id in unfinished_ids(lake):
        folder = lake.home / "runs" / f".{run_id}.unfinished"
        if (folder / PLAN).exists():
            return run_id, slices_done(RunFolder(folder), SLICES)
        assert resume(run_id).finish(lake.home) == 2
        drop(lake, run_id)
    return None


def live(whole: Whole, draw: Random, most: int) -> Counter[str]:
    """Begin a run and kill it, and what resumes it, up to `most` times; then finish it."""
    lake, hits = whole.lake, Counter[str]()
    shutil.rmtree(lake.home / "runs")
    hits["begun"] += whole.kill(RUN, draw)
    found = left(lake)
    for _ in range(draw.randrange(most)):
        if found:
            hits[stage(found[1])] += 1
            hits["resumed"] += whole.kill(resume(found[0]), draw)
            found = left(lake)
    finish(whole, found)
    return hits


def finish(whole: Whole, found: tuple[str, int] | None) -> None:
    """Resume what a kill left, or else begin anew; see that it ends as a whole run does."""
    lake = whole.lake
    if found:
        run_id, done = found
        folder = lake.home / "runs" / f".{run_id}.unfinished"
        before = {name: node for name, node in inodes(folder).items() if number(name) < done}
        assert len(before) == 2 * done
        assert resume(run_id).finish(lake.home) == 0
        assert before.items() <= inodes(lake.home / "runs" / run_id).items()  # none made again
    elif not run_ids(lake):
        assert RUN.finish(lake.home) == 0
    assert outcome(lake) == whole.outcome
    assert unfinished_ids(lake) == []
    assert len(run_ids(lake)) == 1


def stage(done: int) -> str:
    """Say how far a run was when it was killed."""
    return "none done" if not done else "some done" if done < SLICES else "all done"


def number(part: str) -> int:
    return int(part.removesuffix(".parquet").rpartition("-")[2])


def kill_many(whole: Whole, kills: int, most: int) -> Counter[str]:
    """Kill so often; print the seed, and what was hit."""
    seed = int(os.environ.get("REPLAY_SEED") or SystemRandom().randrange(2**32))
    print(f"\nREPLAY_SEED={seed}")  # noqa: T201  the way to repeat it
    draw, hits = Random(seed), Counter[str]()
    while hits["begun"] + hits["resumed"] < kills:
        hits += live(whole, draw, most)
    print(f"seed {seed}: {dict(hits)}")  # noqa: T201
    return hits


def test_kills_at_random_times(whole: Whole) -> None:
    hits = kill_many(whole, 20, most=6)
    assert hits["some done"] > 0


@pytest.mark.soak
def test_a_kill_before_each_step(whole: Whole) -> None:
    for step in range(whole.steps):
        shutil.rmtree(whole.lake.home / "runs")
        assert RUN.kill_before(whole.lake.home, step)
        finish(whole, left(whole.lake))


@pytest.mark.soak
def test_kills_at_random_times_for_long(whole: Whole) -> None:
    hits = kill_many(whole, int(os.environ.get("REPLAY_KILLS", "500")), most=8)
    assert min(hits[name] for name in ("begun", "resumed", "some done")) > 5
