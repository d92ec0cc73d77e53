"""A worker's spool: what it keeps, what it tells, and what its death can lose."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from replay.errors import LakeUnwritable
from replay.live import spool as spool_module
from replay.live.committer import Committer
from replay.live.segments import Writer, find_writers, remove_empty
from replay.live.spool import FORGOTTEN, REMEMBERED, SLACK, Spool
from tests import spooling
from tests.answers import SECOND, START, answer, ids, rows
from tests.disks import full_disk
from tests.lakes import make_lake

PATIENCE = 60.0


class Clock:
    """Stands until it is set; µs."""

    def __init__(self) -> None:
        self.at = START

    def __call__(self) -> int:
        return self.at


def eventually(true: object) -> None:
    """Wait until a function returns True."""
    assert callable(true)
    until = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < until
        time.sleep(0.005)


def lines(folder: Path) -> list[str]:
    """Return the click ids of a worker's segments, in order."""
    files = sorted(path for path in folder.iterdir() if path.suffix in {".open", ".jsonl"})
    return [
        json.loads(line)["click"]["click_id"]
        for path in files
        for line in path.read_bytes().splitlines()
    ]


def writer(spool: Path) -> Writer:
    (found,) = find_writers(spool)
    return found


def put(worker: Spool, *numbers: int, arrived: int = START) -> None:
    worker.opened(arrived, len(numbers))
    worker.put([answer(n, arrived) for n in numbers], arrived)


def test_answers_are_written_soon_and_in_order(tmp_path: Path) -> None:
    """Long before their segment is closed, which a living worker's reader does not see."""
    worker = Spool(tmp_path, rotate_every=3600)
    put(worker, *range(5))
    put(worker, *range(5, 9))
    eventually(lambda: not worker.waiting)
    assert lines(worker.folder) == [f"c{n}" for n in range(9)]
    assert writer(tmp_path).segments == ()
    assert worker.close() == 0
    (segment,) = writer(tmp_path).segments
    assert segment.path.name == f"0000000000-{segment.floor}.jsonl"
    assert not writer(tmp_path).alive


def test_segments_follow_each_other(tmp_path: Path) -> None:
    worker = Spool(tmp_path, rotate_every=0.01)
    for number in range(4):
        put(worker, number)
        eventually(lambda n=number: len(writer(tmp_path).segments) > n)
    assert worker.close() == 0
    assert [segment.number for segment in writer(tmp_path).segments] == [0, 1, 2, 3]
    assert lines(worker.folder) == ["c0", "c1", "c2", "c3"]


def test_an_awaited_click_holds_the_floor(tmp_path: Path) -> None:
    clock = Clock()
    worker = Spool(tmp_path, rotate_every=0.01, clock=clock)
    assert writer(tmp_path).floor == START - SLACK
    worker.opened(START + 3 * SECOND, 2)
    worker.opened(START + 5 * SECOND, 1)
    clock.at = START + 9 * SECOND
    eventually(lambda: writer(tmp_path).floor == START + 3 * SECOND - SLACK)
    worker.put([answer(1, START + 3 * SECOND)], START + 3 * SECOND)
    eventually(lambda: len(writer(tmp_path).segments) == 1)
    assert writer(tmp_path).floor == START + 3 * SECOND - SLACK
    worker.put([answer(2, START + 3 * SECOND)], START + 3 * SECOND)
    eventually(lambda: writer(tmp_path).floor == START + 5 * SECOND - SLACK)
    worker.put([answer(3, START + 5 * SECOND)], START + 5 * SECOND)
    eventually(lambda: writer(tmp_path).floor == START + 9 * SECOND - SLACK)
    assert worker.close() == 0


@pytest.mark.parametrize(("late", "held"), [(0, True), (1, False)])
def test_a_click_that_is_never_put_is_given_up(tmp_path: Path, late: int, *, held: bool) -> None:
    clock = Clock()
    worker = Spool(tmp_path, rotate_every=0.01, clock=clock)
    worker.opened(START, 1)
    clock.at = START + FORGOTTEN + late
    floor = START if held else clock.at
    eventually(lambda: writer(tmp_path).floor == floor - SLACK)
    worker.close()


def test_stamps_before_their_arrival_lower_the_floor(tmp_path: Path) -> None:
    """A store whose clock is behind; for as long as that was seen lately, and not for a repeat."""
    clock = Clock()
    worker = Spool(tmp_path, rotate_every=0.01, clock=clock)
    for arrived, behind, repeated in ((0, 4, False), (1, 9, True), (2, 3, False)):
        clock.at = START + arrived * SECOND
        worker.opened(clock.at, 1)
        stamp = clock.at - behind * SECOND
        worker.put([answer(arrived, stamp, repeated=repeated)], clock.at)
    eventually(lambda: writer(tmp_path).floor == clock.at - SLACK - 4 * SECOND)
    clock.at += REMEMBERED
    eventually(lambda: writer(tmp_path).floor == clock.at - SLACK - 4 * SECOND)
    clock.at += REMEMBERED
    eventually(lambda: writer(tmp_path).floor == clock.at - SLACK)
    worker.close()


def test_a_full_queue_has_no_room_and_drops_nothing(tmp_path: Path) -> None:
    worker = Spool(tmp_path, limit=3, flush_every=1.0)
    put(worker, 0, 1)
    room = [worker.has_room()]
    put(worker, 2, 3)
    room.append(worker.has_room())
    eventually(worker.has_room)
    assert worker.close() == 0
    assert lines(worker.folder) == ["c0", "c1", "c2", "c3"]
    assert room == [True, False]


@pytest.mark.parametrize("size", [0, 700])
def test_a_full_disk_is_told_and_outlived(tmp_path: Path, size: int) -> None:
    """It may cut a line; what was put meanwhile waits, and all is written once there is room."""
    worker = Spool(tmp_path, rotate_every=0.02)
    with full_disk(size):
        put(worker, 0, 1, 2)
        eventually(lambda: not worker.has_room())
        put(worker, 3)
        time.sleep(0.2)
        assert (worker.has_room(), worker.waiting) == (False, 4)
        assert "cannot be written" in str(worker.problem)
    eventually(worker.has_room)
    put(worker, 4)
    assert worker.close() == 0
    assert worker.problem is None
    assert lines(worker.folder) == [f"c{n}" for n in range(5)]


def test_a_disk_that_stays_full_costs_what_was_not_written(tmp_path: Path) -> None:
    worker = Spool(tmp_path)
    put(worker, 0)
    eventually(lambda: not worker.waiting)
    with full_disk():
        put(worker, 1, 2)
        assert worker.close(patience=0.2) == 2
    assert lines(worker.folder) == ["c0"]
    with pytest.raises(RuntimeError, match="closed"):
        put(worker, 3)


def test_a_disk_that_is_nearly_full_is_told(tmp_path: Path) -> None:
    worker = Spool(tmp_path, reserve=1 << 62)
    eventually(lambda: not worker.has_room())
    assert "nearly full" in str(worker.problem)
    put(worker, 0)
    assert worker.close() == 0
    assert lines(worker.folder) == ["c0"]


def test_a_spool_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LakeUnwritable, match="Not a directory"):
        Spool(tmp_path / "file" / "spool")


def test_folders_of_the_dead_are_removed_once_empty(tmp_path: Path) -> None:
    alive, dead, full = (Spool(tmp_path) for _ in range(3))
    put(full, 0)
    dead.close()
    full.close()
    remove_empty(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([alive.folder, full.folder])
    alive.close()


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_what_the_end_of_a_worker_process_costs(tmp_path: Path, end: signal.Signals) -> None:
    """SIGTERM nothing; kill -9 the latest answers alone: what is there has no gap."""
    lake, spool = make_lake(tmp_path / "lake"), tmp_path / "spool"
    life = spooling.start(spool, 0, tmp_path / "said")
    life.until(300)
    committer = Committer(lake, spool)
    committer.tick()
    early = len(ids(lake, "clicks"))
    life.until(600)
    life.end(end)
    told = life.told()
    life.said.close()
    assert life.process.returncode == (0 if end == signal.SIGTERM else -end)
    committer.tick()
    there = ids(lake, "clicks")
    assert sorted(there) == sorted(ids(lake, "decisions")) == sorted(set(there))
    assert set(there) == {f"c{n}" for n in range(len(there))}
    if end == signal.SIGTERM:
        assert len(there) == len(told)
        assert not rows(lake, "quarantine")
    else:
        # Some more may be there, of which the process had no time to tell.
        assert early <= len(there) <= len(told) + spooling.AT_ONCE
    assert find_writers(spool) == []


def test_a_worker_loads_no_lake() -> None:
    """Of Arrow, DuckDB and Delta nothing; they cost memory, a slow start and the tail."""
    script = f"import sys, {spool_module.__name__}; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, text=True
    ).stdout.split()
    assert not {"duckdb", "deltalake", "pyarrow", "torch", "replay.lake"} & set(loaded)
