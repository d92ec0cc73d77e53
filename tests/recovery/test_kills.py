"""kill -9 at every step of publish, deliver and revert, and at random times.

A lake is prepared to stand before each stage. After a kill the ledger is as before the stage or as
after it, and each sink has a part of it; then the same command runs to its end, and ledger and
sinks are as if nothing had happened.

The soak kills a publish, a delivery and a revert of 100,000 verdicts each. REPLAY_KILLS sets the
number of kills, REPLAY_SEED the seed that every run prints.
"""

import os
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random, SystemRandom
from tempfile import TemporaryDirectory

import pytest

from tests.recovery.cases import (
    SINK,
    Case,
    Servers,
    Stage,
    large,
    ledger,
    make_case,
    without_delivery,
)
from tests.recovery.kills import Command
from tests.recovery.ledgers import base
from tests.servers import Receiver, redis_server

SIDES = ("before", "after")


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    """A dozen clicks that collide, and real servers to deliver to."""
    origin = base(0)
    home = tmp_path_factory.mktemp("case") / "lake"
    origin.copy(home)
    with redis_server() as stream, Receiver() as hook:
        yield make_case(home, origin.clicks, origin.production, "two", Servers(stream, hook))


@pytest.mark.parametrize("number", [0, 1, 2], ids=["publish", "deliver", "revert"])
def test_a_kill_before_each_step(case: Case, number: int, tmp_path: Path) -> None:
    ready = case.copy(tmp_path / "ready")
    for earlier in case.stages[:number]:
        assert without_delivery(earlier).command.finish(ready) == 0
    stage, prepared = without_delivery(case.stages[number]), replace(case, home=ready)
    steps, _ = stage.command.steps(prepared.copy(tmp_path / "whole"))
    assert len(steps) > 8, steps
    reached = []
    for place, step in enumerate(steps):
        home = prepared.copy(tmp_path / f"{place}")
        assert stage.command.kill_before(home, place), step
        reached.append(prepared.state(home))
        prepared.check_part(home)
        assert stage.command.finish(home) == 0, step
        assert prepared.state(home) == stage.after, step
        if stage.name == "deliver":
            prepared.check_whole(home)
        shutil.rmtree(home)
    assert reached == sorted(reached)
    assert [reached[0], reached[-1]] == [stage.before, stage.after]


def test_a_file_that_a_kill_cut_anywhere(case: Case, tmp_path: Path) -> None:
    """A small write is whole or not there at all, so that the cut is made here."""
    home = case.copy(tmp_path / "lake")
    for stage in case.stages[:2]:
        assert stage.command.finish(home) == 0
    size = (home / SINK).stat().st_size
    for place in (0, 1, size // 3, size // 2, size - 2, size - 1):
        os.truncate(home / SINK, place)
        assert case.stages[1].command.finish(home) == 0
        case.check_whole(home)


@dataclass
class Toll:
    """What a number of kills hit: "publish before" its commit, "deliver part" of the sink, …"""

    hits: Counter[str] = field(default_factory=Counter)
    lives: int = 0

    @property
    def kills(self) -> int:
        """How many there were."""
        return self.hits.total()

    def __str__(self) -> str:
        hits = ", ".join(f"{name} {count:,}" for name, count in sorted(self.hits.items()))
        return f"{self.kills:,} kills ({hits}) on {self.lives:,} lakes, none left anything between"


@dataclass(frozen=True)
class Pace:
    """How many steps a stage takes, and how long, undisturbed; delivery is a stage of its own."""

    steps: int
    seconds: float

    def kill(self, command: Command, home: Path, draw: Random) -> bool:
        """Kill a command at any time, or shortly after any step; tell whether it still ran."""
        if draw.random() < 0.5:
            return command.kill_after(home, draw.uniform(0, self.seconds))
        shortly = draw.expovariate(2 * self.steps / self.seconds)
        return command.kill_after(home, shortly, draw.randrange(self.steps))


def live(case: Case, home: Path, paces: Mapping[str, Pace], draw: Random, most: int) -> Toll:
    """Lead one lake through the stages, killing each up to `most` times.

    Some lakes deliver by a command of their own, others as they publish.
    """
    toll, apart = Toll(lives=1), draw.random() < 0.5
    case.copy(home)
    for stage in case.stages:
        if stage.name == "deliver" and not apart:
            continue
        chosen = without_delivery(stage) if apart else stage
        reached = stage.before
        for _ in range(draw.randint(1, most)):
            if not paces[stage.name].kill(chosen.command, home, draw):
                continue
            found = case.state(home)
            assert found in (reached, stage.after)
            reached = found
            toll.hits[hit(stage, home, reached)] += 1
            case.check_part(home)
        assert chosen.command.finish(home) == 0
        assert case.state(home) == stage.after
    assert case.stages[1].command.finish(home) == 0
    case.check_whole(home)
    shutil.rmtree(home)
    return toll


def hit(stage: Stage, home: Path, reached: int) -> str:
    """Say what a kill left."""
    if stage.name != "deliver":
        return f"{stage.name} {'before' if reached == stage.before else 'after'}"
    sink = home / SINK
    sent = sink.read_bytes().count(b"\n") if sink.exists() else 0
    return "deliver " + ("none" if not sent else "part" if sent < ledger(home).num_rows else "all")


def measured(case: Case, home: Path) -> dict[str, Pace]:
    """Take the pace of each stage."""
    case.copy(home)
    case.stages[0].command.finish(home)  # the first process also waits for the fork server
    shutil.rmtree(home)
    case.copy(home)
    paces = {s.name: Pace(*counted(without_delivery(s), home)) for s in case.stages}
    shutil.rmtree(home)
    return paces


def counted(stage: Stage, home: Path) -> tuple[int, float]:
    """Run a stage with its steps counted."""
    steps, seconds = stage.command.steps(home)
    return len(steps), seconds


def kill_many(case: Case, folder: Path, kills: int, most: int, workers: int) -> Toll:
    """Kill at random times, so often; print the seed, and what was hit."""
    seed = int(os.environ.get("REPLAY_SEED") or SystemRandom().randrange(2**32))
    print(f"\nREPLAY_SEED={seed}")  # noqa: T201  the way to repeat it
    started, paces = time.monotonic(), measured(case, folder / "measured")
    total = Toll()

    def work(worker: int) -> None:
        draw = Random(f"{seed}/{worker}")
        while total.kills < kills:
            home = folder / f"{worker}-{total.lives}"
            toll = live(case, home, paces, draw, most)
            total.hits.update(toll.hits)
            total.lives += 1

    with ThreadPoolExecutor(workers) as pool:
        for done in [pool.submit(work, worker) for worker in range(workers)]:
            done.result()
    minutes = (time.monotonic() - started) / 60
    print(f"seed {seed}: {total}; {minutes:.1f} min")  # noqa: T201
    return total


def test_kills_at_random_times(case: Case, tmp_path: Path) -> None:
    assert kill_many(case, tmp_path, kills=50, most=8, workers=1).kills >= 50


@pytest.mark.soak
def test_kills_of_a_large_publish() -> None:
    with TemporaryDirectory(prefix="replay-kills-") as folder:
        case = large(Path(folder) / "lake", 100_000)
        assert case.states[1].num_rows >= 100_000
        kills = int(os.environ.get("REPLAY_KILLS", "1000"))
        toll = kill_many(case, Path(folder), kills, most=40, workers=2)
        both = [toll.hits[f"{name} {side}"] for name in ("publish", "revert") for side in SIDES]
        assert min(both) > kills // 50
