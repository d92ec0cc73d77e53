"""What the keeper tells of production: which version stands, and which are kept warm."""

from pathlib import Path

import pytest

from recovery.production import promote, rollback
from replay.errors import NotALake
from replay.lake import Lake
from replay.live.keeper import StandingKeeper
from replay.live.standing import StandingFile
from replay.span import now_micros
from scorer.errors import Inconsistent
from scorer.serving.ports import Standing
from tests.lakes import add_rows, make_lake
from tests.versions import at_least


class Kept:
    """A lake, its keeper, and a worker's view."""

    def __init__(self, home: Path) -> None:
        self.lake: Lake = make_lake(home / "lake")
        self.spool = home
        self.keeper = StandingKeeper(self.lake, home)
        self.pointer = StandingFile(home)
        self.at = 0

    def add(self, version: str, action: str = "promote") -> None:
        self.at += 1
        row = {"at": self.at, "model_version": version, "action": action, "by": "test"}
        add_rows(self.lake, "promotions", [{**row, "reason": "because", "metrics": "{}"}])

    def told(self) -> tuple[str | None, tuple[str, ...]]:
        self.at += 1
        self.keeper.look(self.at)
        standing = self.pointer.standing()
        assert standing.checked_at == self.at
        return standing.production, standing.warm


def test_the_previous_and_the_latest_version_are_kept_warm(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    assert kept.told() == (None, ())
    for name in ("v1", "v2", "v3"):
        at_least(kept.lake, name, 2)
    assert kept.told() == (None, ("v3",))
    kept.add("v1")
    assert kept.told() == ("v1", ("v3",))
    kept.add("v2")
    assert kept.told() == ("v2", ("v1", "v3"))
    kept.add("v3")
    assert kept.told() == ("v3", ("v2",))
    kept.add("v1", "rollback")
    assert kept.told() == ("v1", ("v3",)), "a rollback left v2 and v3; v3 is the latest"
    at_least(kept.lake, "v4", 2)
    assert kept.told() == ("v1", ("v4",))
    kept.add("gone")
    kept.add("v4")
    assert kept.told() == ("v4", ()), "a version that is not stored has no counters to keep"


def test_what_stood_before_the_lake_went_stays(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    at_least(kept.lake, "v1", 2)
    kept.add("v1")
    kept.told()
    kept.lake.home.rename(tmp_path / "away")
    with pytest.raises(NotALake, match="away"):
        kept.keeper.look(9)
    assert kept.pointer.standing() == Standing("v1", (), 2)
    (tmp_path / "away").rename(kept.lake.home)
    kept.add("v1", "rollback")
    assert kept.told() == ("v1", ())


def test_a_lake_that_was_put_back_to_an_earlier_state_is_read_anew(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    for name in ("v1", "v2"):
        at_least(kept.lake, name, 2)
        kept.add(name)
    assert kept.told() == ("v2", ("v1",))
    log = kept.lake.home / "promotions" / "_delta_log"
    sorted(log.glob("*.json"))[-1].unlink()
    assert kept.told() == ("v1", ("v2",))


def test_a_rollback_reaches_the_workers_as_a_promotion_does(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    for name in ("v1", "v2"):
        at_least(kept.lake, name, 2)
        promote(kept.lake, name, "test", "because", {}, now_micros())
        assert kept.told()[0] == name
    rollback(kept.lake, "test", now_micros())
    assert kept.told() == ("v1", ("v2",)), "v2 stays warm as the latest: a rollback can be undone"
    promote(kept.lake, "v2", "test", "undone", {}, now_micros())
    assert kept.told() == ("v2", ("v1",))


def test_a_table_that_cannot_be_read_leaves_what_stood(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    at_least(kept.lake, "v1", 2)
    kept.add("v1")
    kept.told()
    kept.add("v1", "demote")
    with pytest.raises(Inconsistent, match="'demote'"):
        kept.told()
    assert kept.pointer.standing().production == "v1"
