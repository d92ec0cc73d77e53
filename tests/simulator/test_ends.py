"""A simulation that was killed between its last clicks and its end goes on when started again."""

from pathlib import Path

import pytest

from replay.lake import Lake
from replay.snapshot import Snapshot
from simulator import write
from simulator.digest import digest_tables
from simulator.errors import DaysTaken
from simulator.landing import Landing
from simulator.write import simulate
from tests.simulator.production import EVERYTHING, POINTER, furnished, small


class Killed(Exception):
    pass


def killed(*_: object) -> None:
    raise Killed


def digests(lake: Lake) -> dict[str, str]:
    return digest_tables(Snapshot.take(lake, tables=EVERYTHING))


@pytest.mark.parametrize(("owner", "step"), [(Landing, "close"), (write, "write_mark")])
def test_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: object, step: str
) -> None:
    late = {"kind": "log_late", "begins_hour": 43, "hours": 1, "late_hours": 4}
    scenario = small("log_late", clicks_per_day=500, incidents=[late])
    whole, half = furnished(tmp_path / "whole"), furnished(tmp_path / "half")
    simulate(whole, scenario, POINTER)
    with monkeypatch.context() as patch:
        patch.setattr(owner, step, killed)
        with pytest.raises(Killed):
            simulate(half, scenario, POINTER)
    simulate(half, scenario, POINTER)
    assert digests(half) == digests(whole)
    with pytest.raises(DaysTaken):
        simulate(half, scenario, POINTER)
