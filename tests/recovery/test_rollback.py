"""Rolling back: where it goes, where it never goes, and what it says where it can't."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recovery.production import Move, promote, rollback
from replay.errors import LakeBusy
from replay.lake import Lake
from replay.production import Production, Promotion, read_production
from replay.span import now_micros
from replay.training import open_registry
from scorer.errors import ReplayError
from tests.lakes import make_lake
from tests.scorer.models import stored

NAMES = ("v1", "v2", "v3")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """v1, v2 and v3 were promoted in this order, at 1, 2 and 3."""
    made = make_lake(tmp_path / "lake")
    for at, name in enumerate(NAMES, 1):
        stored(open_registry(made), name, "velocity", seed=at)
        promote(made, name, "me", "why", {}, at)
    return made


def moves(lake: Lake) -> list[tuple[str, str]]:
    return [(row.action, row.model_version) for row in read_production(lake).history]


PROMOTED = [("promote", name) for name in NAMES]


def refusal(lake: Lake, to: str | None = None) -> str:
    """Return what a rollback is refused with, nothing having been changed."""
    before = moves(lake)
    with pytest.raises(ReplayError) as refused:
        rollback(lake, "me", 99, to=to)
    assert moves(lake) == before
    said = str(refused.value)
    assert "\n" not in said
    return said


def test_a_rollback_is_one_row_with_what_stood_before(lake: Lake) -> None:
    move = rollback(lake, "me", 7)
    assert move.before == "v3"
    assert vars(move.row) == {
        "at": 7,
        "model_version": "v2",
        "action": "rollback",
        "by": "me",
        "reason": "rolled back from v3",
        "metrics": "{}",
    }
    assert read_production(lake).history[-1] == move.row
    assert read_production(lake).production() == "v2"


def test_each_rollback_goes_one_back_until_nothing_is_left(lake: Lake) -> None:
    assert [rollback(lake, "me", at).row.model_version for at in (7, 8)] == ["v2", "v1"]
    assert refusal(lake) == (
        "there is nothing to roll back to: no version that was not rolled back from (v3, v2) was "
        "in production before 'v1'; `replay models promote VERSION --reason WHY` puts another one "
        "there"
    )


def test_a_version_that_was_left_once_is_never_gone_back_to(lake: Lake) -> None:
    rollback(lake, "me", 7)
    promote(lake, "v3", "me", "undone", {}, 8)
    promote(lake, "v1", "me", "another try", {}, 9)
    assert rollback(lake, "me", 10).row.model_version == "v2"
    assert "'v3' was rolled back from at 1970-01-01T00:00:00.000010Z" in refusal(lake, "v3")


def test_a_rollback_goes_to_the_version_it_is_given(lake: Lake) -> None:
    move = rollback(lake, "me", 7, "both are wrong", "v1")
    assert (move.before, move.row.model_version) == ("v3", "v1")
    assert move.row.reason == "both are wrong"
    assert list(read_production(lake).left()) == ["v3", "v2"]
    assert "there is nothing to roll back to" in refusal(lake)
    assert "'v2' was rolled back from at 1970-01-01T00:00:00.000007Z" in refusal(lake, "v2")


def test_no_rollback_goes_to_what_never_stood_or_stands(lake: Lake) -> None:
    stored(open_registry(lake), "v4", "velocity")
    assert "'v4' was never in production" in refusal(lake, "v4")
    assert "'v3' is in production already; nothing was changed" in refusal(lake, "v3")


def test_where_nothing_stands_there_is_nothing_to_roll_back(tmp_path: Path) -> None:
    lake = make_lake(tmp_path)
    assert refusal(lake).startswith("nothing was ever in production")
    assert not (lake.home / "promotions").exists()
    stored(open_registry(lake), "v1", "velocity")
    promote(lake, "v1", "me", "why", {}, 1)
    assert "no version was in production before 'v1'" in refusal(lake)


def test_what_is_damaged_or_gone_is_not_gone_back_to(lake: Lake) -> None:
    folder = lake.home / "models" / "v2"
    weights = folder / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    said = refusal(lake)
    assert said.startswith(
        "production can't go back to 'v2' (`replay models rollback --to VERSION` "
    )
    assert str(weights) in said
    folder.rename(lake.home / "v2")
    assert "goes further back): no model version named 'v2'" in refusal(lake)
    assert rollback(lake, "me", 9, to="v1").row.model_version == "v1"


def test_a_version_that_is_gone_is_left_all_the_same(lake: Lake) -> None:
    (lake.home / "models" / "v3").rename(lake.home / "v3")
    assert rollback(lake, "me", 9).row.model_version == "v2"


def test_who_began_before_another_moved_the_pointer_is_told(lake: Lake) -> None:
    asked = now_micros()
    rollback(lake, "her", now_micros())
    late_ones: list[Callable[[], Move]] = [
        lambda: rollback(lake, "me", now_micros(), asked=asked),
        lambda: promote(lake, "v1", "me", "why", {}, now_micros(), asked=asked),
    ]
    for late in late_ones:
        with pytest.raises(LakeBusy, match=r"first: rollback to v2 by 'her' at 2.*nothing"):
            late()
    assert moves(lake) == [*PROMOTED, ("rollback", "v2")]
    assert rollback(lake, "me", now_micros(), asked=now_micros()).row.model_version == "v1"


def test_a_rollback_comes_after_the_rows_of_a_clock_that_ran_ahead(lake: Lake) -> None:
    ahead = now_micros() + 3_600_000_000
    promote(lake, "v1", "me", "why", {}, ahead)
    row = rollback(lake, "me", now_micros(), asked=now_micros()).row
    assert (row.model_version, row.at) == ("v3", ahead + 1)


@given(st.lists(st.sampled_from(["back", "far back", "a", "b", "c"]), max_size=12))
def test_no_walk_leads_back_to_where_a_rollback_left(walk: list[str]) -> None:
    production, left = Production(()), set[str]()
    for at, step in enumerate(walk):
        now, goal, action = production.production(), step, "promote"
        if step in ("back", "far back"):
            names = [row.model_version for row in production.history]
            eligible = [name for name in names if name != now and name not in left]
            if not eligible:
                assert production.previous() is None
                continue
            assert production.previous() == eligible[-1]
            goal, action = eligible[-1 if step == "back" else 0], "rollback"
            left.update(names[len(names) - names[::-1].index(goal) :])
        if goal != now:
            row = Promotion(at, goal, action, "", "", "")
            production = Production((*production.history, row))
