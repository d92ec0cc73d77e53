"""kill -9 of the committer before every step that may leave something, and of all at any time.

After each kill another committer goes on; in the end every click that was answered is in the lake
exactly once, its decision beside it, and the spool is empty.

The soak lets workers log and a committer commit, and kills either at random, again and again.
REPLAY_KILLS sets the number of kills, REPLAY_SEED the seed that every run prints.
"""

import os
import shutil
import signal
import sys
import time
from pathlib import Path
from random import Random, SystemRandom

import pytest

from replay.lake import Lake
from replay.live.committer import Committer
from replay.live.spool import Spool
from tests import committing, spooling
from tests.answers import START, answer, ids, left, rows
from tests.committing import commit
from tests.lakes import click, make_lake

HOUR = 3_600_000_000
PATIENCE = 2.0  # s; on a machine that has much else to do
MIDNIGHT = START + 12 * HOUR
TORN = b'{"click":{"click_id":"t"'


def prepare(root: Path) -> None:
    """Leave a lake, and a spool with damage, repeats, a torn end and midnight within."""
    make_lake(root / "lake", [click(START, click_id="c0")])
    for number in range(2):
        worker = Spool(root / "spool", rotate_every=60)
        worker.opened(START, 4)
        worker.put([answer(n, MIDNIGHT - 2 + n) for n in range(number, number + 4)], START)
        worker.close()
    closed = next(worker.folder.glob("*.jsonl"))
    torn = closed.with_name("0000000001.open")
    torn.write_bytes(closed.read_bytes().replace(b':"c', b':"d') + TORN)
    committer = Committer(Lake.open(root / "lake"), root / "spool")
    committer._begin()


def check(root: Path) -> None:
    """Say that everything landed once."""
    lake = Lake.open(root / "lake")
    Committer(lake, root / "spool").tick()
    due = sorted(f"{name}{n}" for name in "cd" for n in range(1, 5))
    assert sorted(ids(lake, "clicks")) == ["c0", *due]
    assert sorted(ids(lake, "decisions")) == due
    stamps = {row["click_id"]: (row["ts"], row["seq"]) for row in rows(lake, "clicks")}
    for row in rows(lake, "decisions"):
        assert (row["ts"], row["seq"]) == stamps[row["click_id"]]
    assert [row["row"] for row in rows(lake, "quarantine")] == [TORN.decode()]
    assert not list((root / "spool").glob("*-*-*"))
    assert left(root / "spool") == []


@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.soak)])
def test_a_kill_before_each_step(tmp_path: Path, every: int) -> None:
    ready = tmp_path / "ready"
    prepare(ready)
    whole = shutil.copytree(ready, tmp_path / "whole")
    code, steps = commit(whole)
    assert code == 0
    assert len(steps) > 50, steps
    check(whole)
    for step in range(0, len(steps), every):
        root = shutil.copytree(ready, tmp_path / f"{step}")
        assert commit(root, step)[0] == -signal.SIGKILL, steps[step]
        check(root)
        shutil.rmtree(root)


class Storm:
    """Two workers that log and a committer that commits, until each is killed and replaced."""

    def __init__(self, root: Path, draw: Random) -> None:
        self.killed = 0
        self.due: set[int] = set()  # answered so long ago that they may not be lost
        self.told: set[int] = set()
        self.widest = 0.0  # s before a kill that an answer was given and lost
        self._root, self._draw = root, draw
        self._lives = 0
        self._workers = [self._life(), self._life()]
        self._committer = committing.start(root, pause=0.05)
        self._ended: list[tuple[spooling.Life, float]] = []

    def kill(self) -> None:
        """Kill one of the three, or end a worker as its supervisor does, and start another."""
        if self._draw.random() < 0.5:
            self._committer.kill()
            self._committer.join()
            self._committer = committing.start(self._root, pause=0.05)
        else:
            place = self._draw.randrange(2)
            self._end(place, self._draw.choice([signal.SIGKILL, signal.SIGTERM]))
            self._workers[place] = self._life()

    def end(self) -> None:
        """End all, the committer first, so that something is left to commit."""
        self._committer.kill()
        self._committer.join()
        for place in range(2):
            self._end(place, signal.SIGKILL)

    def lost(self, there: set[int]) -> set[int]:
        """Return what was told and is not there; note how old the oldest was at its kill."""
        for life, at in self._ended:
            told = life.told()
            self.widest = max([self.widest, *(at - told[n] for n in set(told) - there)])
            life.said.close()
        return self.told - there

    def _life(self) -> spooling.Life:
        self._lives += 1
        said = self._root / f"said-{self._lives}"
        return spooling.start(self._root / "spool", self._lives * 1_000_000, said)

    def _end(self, place: int, sign: signal.Signals) -> None:
        life = self._workers[place]
        at = life.end(sign)
        told = life.told()
        self.told |= set(told)
        self.killed += sign == signal.SIGKILL
        self.due |= {n for n, t in told.items() if sign == signal.SIGTERM or t < at - PATIENCE}
        self._ended.append((life, at))


@pytest.mark.soak
def test_a_storm_of_kills(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was answered is there once, but for the very latest of a worker that was killed."""
    kills = int(os.environ.get("REPLAY_KILLS", "300"))
    seed = int(os.environ.get("REPLAY_SEED", SystemRandom().randrange(10**6)))
    draw = Random(seed)
    lake, spool = make_lake(tmp_path / "lake"), tmp_path / "spool"
    storm = Storm(tmp_path, draw)
    for _ in range(kills):
        time.sleep(draw.expovariate(1.0))
        storm.kill()
    storm.end()
    committer = Committer(lake, spool)
    committer.tick()
    found = ids(lake, "clicks")
    there = {int(click_id.removeprefix("c")) for click_id in found}
    lost = storm.lost(there)
    with capsys.disabled():
        sys.stdout.write(
            f"\nREPLAY_SEED={seed}: {kills:,} kills; of {len(found):,} clicks {len(lost):,} were "
            f"lost by {storm.killed:,} killed workers, the oldest {1000 * storm.widest:.0f} ms "
            "old\n"
        )
    assert len(found) == len(there)
    assert sorted(found) == sorted(ids(lake, "decisions"))
    assert storm.due <= there
    assert len(there - storm.told) <= spooling.AT_ONCE * storm.killed
    assert left(spool) == []
    assert len(rows(lake, "quarantine")) <= storm.killed
