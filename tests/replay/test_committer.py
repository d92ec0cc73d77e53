"""From answers to rows of the lake: each click once, whatever is damaged, repeated or away."""

import fcntl
import json
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from replay.committer import LOCK, Committer
from replay.lake import Lake
from replay.segments import FLUSHED, find_writers
from replay.spool import SLACK, Spool
from replay.writers import path_of, read_flushed
from scorer.errors import ReplayError
from scorer.serving.ports import Answer
from tests.answers import REALS, START, answer, ids, left, rows, undecided
from tests.lakes import add_rows, click, make_lake
from tests.versions import at_least

HOUR = 3_600_000_000
SECOND = 1_000_000
MIDNIGHT = START + 12 * HOUR


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return make_lake(tmp_path / "lake")


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


def log(spool: Path, *answers: Answer) -> Path:
    """Log answers as a worker that lives and ends; return the segment."""
    worker = Spool(spool, rotate_every=60)
    worker.opened(START, len(answers))
    worker.put(answers, START)
    assert worker.close() == 0
    (segment,) = worker.folder.glob("*.jsonl")
    return segment


def commit(lake: Lake, spool: Path, *answers: Answer) -> Committer:
    """Log answers and commit them with a committer that knows nothing of earlier ones."""
    log(spool, *answers)
    committer = Committer(lake, spool)
    committer.tick()
    return committer


def test_an_answer_becomes_a_click_and_a_decision(lake: Lake, spool: Path) -> None:
    commit(lake, spool, answer(1, click={"ip": "10.0.0.1", "query": 'a "quoted"\nline é'}))
    (found,), (decision,) = rows(lake, "clicks"), rows(lake, "decisions")
    assert (found["click_id"], found["query"], found["ad_id"]) == (
        "c1",
        'a "quoted"\nline é',
        None,
    )
    assert (found["source"], found["store_epoch"], found["ip"]) == ("live", "e1", "10.0.0.1")
    assert (found["ts"], found["seq"]) == (decision["ts"], decision["seq"])
    assert found["ingested_at"] > found["ts"]
    assert decision["reals"] == REALS
    assert decision["facts"] == [1, 2, 2**31 - 1]
    assert (left(spool), rows(lake, "quarantine")) == ([], [])


def test_rows_stand_in_log_order_and_under_their_date(lake: Lake, spool: Path) -> None:
    """A batch that spans midnight; equal times fall back to seq, and that to the id's bytes."""
    stamps = [MIDNIGHT, MIDNIGHT - 1, MIDNIGHT + 5, MIDNIGHT - 1, MIDNIGHT, MIDNIGHT]
    answers = [answer(n, ts, seq=7) for n, ts in enumerate(stamps)]
    answers.append(answer(9, MIDNIGHT, seq=6, click={"click_id": "z"}))
    commit(lake, spool, *answers)
    for table in ("clicks", "decisions"):
        assert ids(lake, table) == ["c1", "c3", "z", "c0", "c4", "c5", "c2"]
        days = sorted(path.name for path in (lake.home / table).glob("date=*"))
        assert days == ["date=2026-03-01", "date=2026-03-02"]


@pytest.mark.parametrize(
    ("answers", "kept"),
    [
        ([undecided(1, START), answer(1, START + 9)], 1),
        ([answer(1, START + 9), answer(1, START + 8)], 1),
        ([answer(1, START, seq=5), answer(1, START, seq=4)], 1),
        ([undecided(1, START, source="unstamped"), undecided(1, START + 9)], 1),
        ([undecided(1, START), undecided(1, START + 9)], 0),
    ],
    ids=["decided first", "earlier", "lower seq", "stamped by the store", "of two undecided"],
)
def test_of_one_click_in_a_batch_the_best_answer_stays(
    lake: Lake, spool: Path, answers: Sequence[Answer], kept: int
) -> None:
    committer = commit(lake, spool, *answers, answer(2))
    assert sorted(ids(lake, "clicks")) == sorted(ids(lake, "decisions")) == ["c1", "c2"]
    (found,) = [row for row in rows(lake, "decisions") if row["click_id"] == "c1"]
    assert (found["seq"], found["decision"]) == (answers[kept].seq, answers[kept].decision)
    assert committer.counts.duplicates == 1


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


GOOD = [answer(n) for n in range(4)]
DAMAGE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "torn": (lambda data: data[:-30], "Invalid JSON"),
    "a hole": (lambda data: data[:-200] + b"\0" * 100 + data[-100:], "Invalid JSON"),
    "no object": (lambda data: data + b"17\n", "an object"),
    "an empty line": (lambda data: data + b"\n", "Invalid JSON"),
    "a column less": (lambda data: _last(data, b'"seq":', b'"sea":'), "Field required"),
    "a negative price": (lambda data: _last(data, b":250000", b":-25000"), "greater than"),
    "a wild time": (lambda data: _last(data, b'"ts":', b'"ts":9999'), "cannot"),
    "a fact too large": (lambda data: _last(data, b'"facts":[', b'"facts":[9999999999,'), "cannot"),
    "another word": (lambda data: _last(data, b'"valid"', b'"maybe"'), "Input should be"),
    "no UTF-8": (lambda data: _last(data, b"adv1", b"a\xff\xfev"), "unicode"),
}


def _last(data: bytes, old: bytes, new: bytes) -> bytes:
    """Replace the last of some bytes."""
    before, found, after = data.rpartition(old)
    assert found
    return before + new + after


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_line_goes_to_quarantine_and_the_others_land(
    lake: Lake, spool: Path, damage: str
) -> None:
    change, reason = DAMAGE[damage]
    other, segment = log(spool, answer(7)), log(spool, *GOOD)
    segment.write_bytes(change(segment.read_bytes()))
    committer = Committer(lake, spool)
    committer.tick()
    (bad,) = rows(lake, "quarantine")
    there = 5 if damage in {"no object", "an empty line"} else 4
    assert bad["file"] == f"{segment.parent.name}/{segment.name}"
    assert bad["line"] == there
    assert reason in bad["reason"]
    assert sorted(ids(lake, "clicks")) == ["c0", "c1", "c2", *["c3"] * (there - 4), "c7"]
    assert sorted(ids(lake, "decisions")) == sorted(ids(lake, "clicks"))
    assert committer.counts.quarantined == 1
    assert not other.exists()


def test_features_of_a_wrong_width_are_left_out(lake: Lake, spool: Path) -> None:
    """Only those; where the version is not stored nothing is known of its spec."""
    version = at_least(lake, "v1", 2)
    known: dict[str, Any] = {"spec_digest": version.spec.digest, "facts": [4], "reals": []}
    assert (len(version.spec.facts), len(version.spec.reals)) == (1, 0)
    commit(
        lake,
        spool,
        answer(0, **known),
        answer(1, **{**known, "facts": [4, 1]}),
        answer(2, **{**known, "reals": [0.5]}),
        answer(3, **{**known, "model_version": "gone"}),
        undecided(4),
    )
    found = {row["click_id"]: (row["facts"], row["reals"]) for row in rows(lake, "decisions")}
    assert found == {
        "c0": ([4], []),
        "c1": (None, None),
        "c2": (None, None),
        "c3": ([4], []),
        "c4": (None, None),
    }
    assert [row["row"] for row in rows(lake, "quarantine")] == ["1 clicks", "1 clicks"]
    assert len(ids(lake, "clicks")) == 5


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


class Clock:
    """A clock that stands until it is set; µs."""

    def __init__(self) -> None:
        self.at = START

    def __call__(self) -> int:
        return self.at


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
    _until_floors(spool, START + 10 * SECOND - SLACK, START + 30 * SECOND - SLACK)
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


def _until_floors(spool: Path, *floors: int) -> None:
    """Wait until the workers have told these floors."""
    while sorted(writer.floor or 0 for writer in find_writers(spool)) != sorted(floors):
        time.sleep(0.005)


def test_a_backlog_moves_flushed_until_as_it_lands(
    lake: Lake, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches of one segment each: what is told in between is true then."""
    monkeypatch.setattr("replay.batches.MOST_BYTES", 1)
    clock = Clock()
    worker = Spool(spool, clock=clock, rotate_every=0.02)
    for number in range(3):
        clock.at += 10 * SECOND
        worker.opened(clock.at, 1)
        worker.put([answer(number, clock.at)], clock.at)
        while len(list(worker.folder.glob("*.jsonl"))) <= number:
            time.sleep(0.005)
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


def test_a_new_life_of_a_spool_goes_on_numbering(lake: Lake, spool: Path) -> None:
    """A spool's folder that lost its batches, as from an older copy, loses no click."""
    commit(lake, spool, answer(1))
    commit(lake, spool, answer(2))
    shutil.rmtree(spool / "batches")
    commit(lake, spool, answer(3))
    assert ids(lake, "clicks") == ["c1", "c2", "c3"]
    (done,) = (spool / "batches").glob("*.done")
    assert json.loads(done.read_text())["number"] == 3
