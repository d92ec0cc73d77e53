"""From answers to rows: log order, the best answer of several, damaged lines apart."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from replay.lake import Lake
from replay.live.committer import Committer
from scorer.serving.ports import Answer
from tests.answers import REALS, START, answer, commit, ids, left, log, rows, undecided
from tests.versions import at_least

MIDNIGHT = START + 12 * 3_600_000_000


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
