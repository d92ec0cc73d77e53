"""From the spool to the lake: each click once, whatever is away; and up to when it is whole."""

import fcntl
import json
import shutil
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from replay.lake import Lake
from replay.live import batches
from replay.live.committer import LOCK, Committer
from replay.live.segments import FLUSHED, find_writers
from replay.live.spool import SLACK, Spool
from replay.live.writers import path_of, read_flushed
from scorer.errors import ReplayError
from tests.answers import START, answer, commit, ids, left, log, undecided
from tests.lakes import add_rows, click

HOUR = 3_600_000_000
SECOND = 1_000_000


def test_a_click_that_the_lake_has_is_dropped(lake: Lake, spool: Path) -> None:
    """By this committer, by one before it, by an import; here and on another machine."""
    committer = commit(lake, spool, answer(1), answer(2))
    log(spool, answer(2), answer(3))
    committer.tick()
    add_rows(lake, "clicks", [click(START + 4 * SECOND, click_id="c4")])
    log(spool, answer(3), answer(4), answer(5))
    committer.tick()
    assert committer.counts.duplicates == 3
    other = commit(lake, spool.with_name("other"), answer(1), answer(4), answer(5), answer(6))
    assert other.counts.duplicates == 3
    log(spool, answer(6), answer(7))
    committer.tick()
    assert sorted(ids(lake, "clicks")) == [f"c{n}" for n in range(1, 8)]
    assert sorted(ids(lake, "decisions")) == [f"c{n}" for n in (1, 2, 3, 5, 6, 7)]


@pytest.mark.parametrize(("hours", "there"), [(0, 1), (2, 1), (3, 2), (-1, 2)])
def test_the_horizon_looks_back_from_the_click(
    lake: Lake, spool: Path, hours: int, there: int
) -> None:
    """With a horizon of 2 hours: to the begin of the hour that lies 2 before the click's own."""
    add_rows(lake, "clicks", [click(START, click_id="c1")])
    log(spool, answer(1, START + hours * HOUR), answer(2, START + 40 * HOUR))
    Committer(lake, spool, horizon=2 * HOUR).tick()
    assert ids(lake, "clicks").count("c1") == there


def test_a_decision_whose_click_did_not_land_is_no_reason_to_drop_the_click(
    lake: Lake, spool: Path
) -> None:
    """Another machine died between its two commits: its decision stands, the click lands now."""
    add_rows(lake, "decisions", [{"click_id": "c1", "ts": START + SECOND, "decision": "invalid"}])
    committer = commit(lake, spool, answer(1), answer(2))
    assert ids(lake, "decisions") == ["c1", "c2"]
    assert ids(lake, "clicks") == ["c1", "c2"]
    assert committer.counts.duplicates == 0


def test_a_lake_that_is_away_is_not_begun_anew(lake: Lake, spool: Path) -> None:
    """As where it is a file system that is not mounted."""
    commit(lake, spool, answer(1))
    committer = Committer(lake, spool)
    away = lake.home.rename(lake.home.with_name("away"))
    lake.home.mkdir()
    log(spool, answer(2))
    with pytest.raises(ReplayError):
        committer.tick()
    assert list(lake.home.iterdir()) == []
    lake.home.rmdir()
    log(spool, answer(3))
    with pytest.raises((ReplayError, OSError)):
        committer.tick()
    away.rename(lake.home)
    committer.tick()
    assert ids(lake, "clicks") == ["c1", "c2", "c3"]
    assert left(spool) == []


def test_a_lake_moved_away_before_a_commit_is_not_begun_anew(lake: Lake, spool: Path) -> None:
    log(spool, answer(1))
    committer = Committer(lake, spool)
    raised: list[Exception] = []

    def tick() -> None:
        try:
            committer.tick()
        except (ReplayError, OSError) as exc:
            raised.append(exc)

    running = threading.Thread(target=tick)
    with lake.lock():
        running.start()
        _eventually(lambda: batches.pending(spool) is not None)
        time.sleep(0.2)  # it waits for the lock
        away = lake.home.rename(lake.home.with_name("away"))
    running.join()
    assert raised
    assert not lake.home.exists()
    away.rename(lake.home)
    committer.tick()
    assert ids(lake, "clicks") == ["c1"]


@pytest.mark.parametrize("table", ["decisions", "clicks"])
def test_a_table_that_cannot_be_written_stops_the_batch(
    lake: Lake, spool: Path, table: str
) -> None:
    """What landed of it before lands no second time."""
    committer = commit(lake, spool, answer(1))
    logs = lake.home / table / "_delta_log"
    shutil.move(logs, logs.with_name("kept"))
    logs.write_text("in the way")
    log(spool, answer(2))
    with pytest.raises((ReplayError, OSError)):
        committer.tick()
    log(spool, answer(3))
    logs.unlink()
    shutil.move(logs.with_name("kept"), logs)
    for again in (committer, Committer(lake, spool)):
        again.tick()
    assert ids(lake, "clicks") == ids(lake, "decisions") == ["c1", "c2", "c3"]


def test_two_committers_on_a_spool_take_turns(lake: Lake, spool: Path) -> None:
    log(spool, answer(1))
    first, second = (threading.Event(), threading.Event())
    with (spool / LOCK).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting = threading.Thread(target=Committer(lake, spool).run, args=(first,))
        waiting.start()
        waiting.join(0.7)
        assert ids(lake, "clicks") == []
        first.set()
        waiting.join()
    assert ids(lake, "clicks") == []
    second.set()
    Committer(lake, spool).run(second)
    assert ids(lake, "clicks") == ["c1"]


def test_a_committer_that_runs_outlives_the_lake_being_away(
    lake: Lake, spool: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It says so once, however often it tries, and says that it is over."""
    stop = threading.Event()
    running = threading.Thread(target=Committer(lake, spool, every=0.02).run, args=(stop,))
    running.start()
    log(spool, answer(1))
    _eventually(lambda: ids(lake, "clicks") == ["c1"])
    away = lake.home.rename(lake.home.with_name("away"))
    log(spool, answer(2))
    _eventually(lambda: len(caplog.records) == 1)
    time.sleep(0.3)
    away.rename(lake.home)
    _eventually(lambda: ids(lake, "clicks") == ["c1", "c2"])
    log(spool, answer(3))
    stop.set()
    running.join()
    assert ids(lake, "clicks") == ["c1", "c2", "c3"]
    assert read_flushed(next((lake.home / "writers").glob("*.json"))).closed
    first, last = [record.getMessage() for record in caplog.records]
    assert first.startswith("decisions wait in the spool: ")
    assert last.endswith("works again")


def _eventually(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not true():
        assert time.monotonic() < until
        time.sleep(0.02)


class Clock:
    """A clock that stands until it is set; µs."""

    def __init__(self) -> None:
        self.at = START

    def __call__(self) -> int:
        return self.at


def test_commits_lie_apart_while_little_waits(
    lake: Lake, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Meanwhile the lake is said to be whole only up to what it has."""
    clock = Clock()
    committer = Committer(lake, spool, clock=clock, apart_per_commit=3600)
    log(spool, answer(1))
    committer.tick(at_once=False)
    before = committer.flushed_until
    log(spool, answer(2))
    clock.at += 10 * SECOND
    committer.tick(at_once=False)
    assert (ids(lake, "clicks"), committer.flushed_until) == (["c1"], before)
    committer.leave()
    assert not read_flushed(next((lake.home / "writers").glob("*.json"))).closed
    monkeypatch.setattr("replay.live.batches.MOST_BYTES", 100)
    committer.tick(at_once=False)
    assert (ids(lake, "clicks"), committer.flushed_until) == (["c1", "c2"], clock.at - SLACK)


def test_flushed_until_follows_the_slowest_worker(lake: Lake, spool: Path) -> None:
    clock = Clock()
    committer = Committer(lake, spool, clock=clock)
    committer.tick()
    assert committer.flushed_until == START - SLACK
    quick, slow = (Spool(spool, clock=clock, rotate_every=0.02) for _ in range(2))
    clock.at += 10 * SECOND
    slow.opened(clock.at, 1)
    clock.at += 10 * SECOND
    quick.opened(clock.at, 1)
    quick.put([answer(1, clock.at)], clock.at)
    clock.at += 10 * SECOND
    floors = sorted(START + after * SECOND - SLACK for after in (10, 30))
    _eventually(lambda: sorted(w.floor or 0 for w in find_writers(spool)) == floors)
    committer.tick()
    assert ids(lake, "clicks") == ["c1"]
    said = read_flushed(next((lake.home / "writers").glob("*.json")))
    assert (said.flushed_until, said.closed) == (START + 10 * SECOND - SLACK, False)
    assert (spool / FLUSHED).read_text() == str(said.flushed_until)
    slow.put([undecided(2, START + 10 * SECOND)], START + 10 * SECOND)
    for worker in (quick, slow):
        assert worker.close() == 0
    committer.leave()  # not yet: the last click is not in the lake
    assert not read_flushed(path_of(lake.home, said.spool)).closed
    clock.at += 10 * SECOND
    committer.tick()
    assert committer.flushed_until == START + 40 * SECOND - SLACK
    committer.leave()
    assert read_flushed(path_of(lake.home, said.spool)).closed
    assert find_writers(spool) == []


def test_a_backlog_moves_flushed_until_as_it_lands(
    lake: Lake, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches of one segment each: what is told in between is true then."""
    monkeypatch.setattr("replay.live.batches.MOST_BYTES", 1)
    clock = Clock()
    worker = Spool(spool, clock=clock, rotate_every=0.02)
    for number in range(3):
        clock.at += 10 * SECOND
        worker.opened(clock.at, 1)
        worker.put([answer(number, clock.at)], clock.at)
        _eventually(partial(_has_segments, worker, number + 1))
    committer = Committer(lake, spool, clock=clock)
    told: list[tuple[int, int]] = []
    publish = committer._publish

    def listen(flushed_until: int, *, closed: bool = False) -> None:
        publish(flushed_until, closed=closed)
        told.append((flushed_until, len(ids(lake, "clicks"))))

    monkeypatch.setattr(committer, "_publish", listen)
    committer.tick()
    due = [0, *(START + (k + 1) * 10 * SECOND - SLACK for k in range(3))]
    assert told == [(0, 0), *((due[k + 1], k + 1) for k in range(3))]
    assert worker.close() == 0


def _has_segments(worker: Spool, count: int) -> bool:
    return len(list(worker.folder.glob("*.jsonl"))) >= count


def test_a_new_life_of_a_spool_goes_on_numbering(lake: Lake, spool: Path) -> None:
    """A spool's folder that lost its batches, as from an older copy, loses no click."""
    commit(lake, spool, answer(1))
    commit(lake, spool, answer(2))
    shutil.rmtree(spool / "batches")
    commit(lake, spool, answer(3))
    assert ids(lake, "clicks") == ["c1", "c2", "c3"]
    (done,) = (spool / "batches").glob("*.done")
    assert json.loads(done.read_text())["number"] == 3
