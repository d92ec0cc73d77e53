"""From answers to rows of the lake: each click once, whatever is lost, cut or done twice."""

from pathlib import Path

import pytest

from replay.committer import Committer
from replay.lake import Lake
from replay.spool import Spool
from tests.answers import REALS, answer, left, rows
from tests.lakes import make_lake
from tests.versions import START

HOUR = 3_600_000_000


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return make_lake(tmp_path / "lake")


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


def log(spool: Path, *answers: object) -> None:
    """Log answers as a worker that lives and ends."""
    worker = Spool(spool, rotate_every=60)
    worker.opened(START, len(answers))
    worker.put(answers, START)  # type: ignore[arg-type]
    assert worker.close() == 0


def test_an_answer_becomes_a_click_and_a_decision(lake: Lake, spool: Path) -> None:
    log(spool, answer(1, click={"ip": "10.0.0.1", "query": 'a "quoted"\nline'}))
    committer = Committer(lake, spool)
    committer.tick()
    (click,), (decision,) = rows(lake, "clicks"), rows(lake, "decisions")
    assert (click["click_id"], click["query"], click["ad_id"]) == ("c1", 'a "quoted"\nline', None)
    assert (click["source"], click["store_epoch"], click["ip"]) == ("live", "e1", "10.0.0.1")
    assert (click["ts"], click["seq"]) == (decision["ts"], decision["seq"])
    assert decision["reals"] == REALS
    assert decision["facts"] == [1, 2, 2**31 - 1]
    assert left(spool) == []
    assert not rows(lake, "quarantine")
    committer.leave()
