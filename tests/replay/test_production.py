"""What stands in production, read from its history."""

from pathlib import Path
from typing import Any

import pytest

from replay.production import Production
from replay.snapshot import Snapshot
from scorer.errors import Inconsistent
from tests.lakes import make_lake

DAY = 86_400_000_000


def row(at: int, version: str, action: str = "promote") -> dict[str, Any]:
    texts = {"by": "me", "reason": "why", "metrics": "{}"}
    return {"at": at, "model_version": version, "action": action, **texts}


def read(home: Path, *actions: str) -> Production:
    """Read a history written as `v1`, or `<v1` for a rollback to v1, one a day."""
    rows = [
        row((n + 1) * DAY, action.lstrip("<"), "rollback" if action[0] == "<" else "promote")
        for n, action in enumerate(actions)
    ]
    return Production.read(Snapshot.take(make_lake(home, promotions=rows[::-1])))


@pytest.mark.parametrize(
    ("actions", "production", "previous"),
    [
        ([], None, None),
        (["a"], "a", None),
        (["a", "b"], "b", "a"),
        (["a", "b", "a"], "a", "b"),
        (["a", "b", "<a"], "a", None),
        (["a", "b", "c", "<b"], "b", "a"),
        (["a", "b", "<a", "c"], "c", "a"),
        (["a", "b", "<a", "b", "c"], "c", "a"),
    ],
)
def test_production_and_previous(
    tmp_path: Path, actions: list[str], production: str | None, previous: str | None
) -> None:
    pointer = read(tmp_path, *actions)
    assert (pointer.production(), pointer.previous()) == (production, previous)


def test_a_version_stands_from_its_time_on(tmp_path: Path) -> None:
    pointer = read(tmp_path, "a", "b")
    times = (DAY - 1, DAY, 2 * DAY - 1, 2 * DAY, 9 * DAY)
    assert [pointer.at(ts) for ts in times] == [None, "a", "a", "b", "b"]


def test_an_action_without_a_meaning(tmp_path: Path) -> None:
    lake = make_lake(tmp_path, promotions=[row(DAY, "a", "demote")])
    with pytest.raises(Inconsistent, match="'demote'"):
        Production.read(Snapshot.take(lake))
