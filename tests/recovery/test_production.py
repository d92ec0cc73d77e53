"""Promotions: one row each, one winner when two come at once."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from recovery.production import promote
from replay.errors import LakeBusy
from replay.lake import Lake
from replay.production import Production
from replay.snapshot import Snapshot
from replay.training import open_registry
from scorer.errors import BadInput, BadModelFile, UnknownModel
from tests.lakes import make_lake
from tests.scorer.models import stored


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    made = make_lake(tmp_path / "lake")
    for name in ("v1", "v2", "v3"):
        stored(open_registry(made), name, "velocity")
    return made


def history(lake: Lake) -> list[tuple[int, str]]:
    rows = Production.read(Snapshot.take(lake)).history
    return [(row.at, row.model_version) for row in rows]


def test_a_promotion_is_one_row(lake: Lake) -> None:
    row = promote(lake, "v1", "me", "why", {"fpr": None}, at=7).row
    assert Production.read(Snapshot.take(lake)).history == (row,)
    assert vars(row) == {
        "at": 7,
        "model_version": "v1",
        "action": "promote",
        "by": "me",
        "reason": "why",
        "metrics": '{"fpr": null}',
    }


def test_rows_keep_their_order_where_a_clock_steps_back(lake: Lake) -> None:
    for name, at in (("v1", 100), ("v2", 50), ("v3", 101)):
        promote(lake, name, "me", "why", {}, at)
    assert history(lake) == [(100, "v1"), (101, "v2"), (102, "v3")]


def test_of_two_at_once_one_wins_and_the_other_is_told(lake: Lake) -> None:
    promote(lake, "v1", "me", "why", {}, at=1)
    for at in range(10, 20):  # until they do collide
        start = Barrier(2)

        def attempt(name: str, at: int = at, start: Barrier = start) -> str:
            start.wait()
            try:
                return promote(lake, name, "me", "why", {}, at).row.model_version
            except LakeBusy as exc:
                return str(exc)

        before = history(lake)
        names = [n for n in ("v1", "v2", "v3") if n != before[-1][1]]
        with ThreadPoolExecutor(2) as pool:
            said = list(pool.map(attempt, names))
        won = [name for name in names if name in said]
        assert won
        assert sorted(n for _, n in history(lake)[len(before) :]) == won
        if len(won) == 1:
            assert any("another writer committed to promotions first" in text for text in said)
            return
    pytest.fail("ten pairs of promotions never collided")


@pytest.mark.parametrize("reason", ["", " \n"])
def test_a_promotion_needs_a_reason(lake: Lake, reason: str) -> None:
    with pytest.raises(BadInput, match="needs a reason"):
        promote(lake, "v1", "me", reason, {}, at=1)
    assert history(lake) == []


def test_what_stands_in_production_is_not_promoted_again(lake: Lake) -> None:
    promote(lake, "v1", "me", "why", {}, at=1)
    with pytest.raises(BadInput, match="'v1' is in production already"):
        promote(lake, "v1", "me", "why", {}, at=2)
    assert history(lake) == [(1, "v1")]


def test_only_a_sound_version_can_be_promoted(lake: Lake) -> None:
    with pytest.raises(UnknownModel):
        promote(lake, "v9", "me", "why", {}, at=1)
    weights = lake.home / "models" / "v2" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(BadModelFile, match=r"v2/weights\.safetensors"):
        promote(lake, "v2", "me", "why", {}, at=1)
    assert history(lake) == []
