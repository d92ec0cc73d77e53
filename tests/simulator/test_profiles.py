"""Profiles: dated snapshots that don't depend on where a simulation begins."""

from pathlib import Path

import numpy as np

from replay.lake import Lake
from replay.snapshot import Snapshot, connect
from simulator.scenario import load_scenario
from simulator.write import simulate

SMALL = {"clicks_per_day": 2000, "seed": 11}


def profiles(home: Path, **changes: object) -> dict[tuple[str, str], tuple[int, float]]:
    lake = Lake.create(home, "USD")
    simulate(lake, load_scenario("quiet", {**SMALL, **changes}))
    with connect() as connection:
        Snapshot.take(lake).create_views(connection)
        rows = connection.execute(
            "SELECT key, valid_from::VARCHAR, account_age_days, rfm_score FROM profiles_user"
        ).fetchall()
    return {(key, night): (age, score) for key, night, age, score in rows}


def test_a_later_start_agrees_with_the_nights_before_it(tmp_path: Path) -> None:
    both = profiles(tmp_path / "both", days=2)
    second = profiles(tmp_path / "second", days=1, start="2026-03-02T00:00Z")
    shared = set(both) & set(second)
    assert len(shared) > 50
    assert [both[key] for key in shared] == [second[key] for key in shared]


def test_accounts_age_by_a_day_a_night_and_are_of_every_age(tmp_path: Path) -> None:
    nights = profiles(tmp_path / "lake", days=3)
    ages: dict[str, list[int]] = {}
    for (key, _), (age, _) in sorted(nights.items(), key=lambda item: item[0][1]):
        ages.setdefault(key, []).append(age)
    first = np.array([seen[0] for seen in ages.values()])
    assert first.min() < 30
    assert first.max() > 1500
    several = [seen for seen in ages.values() if len(seen) > 1]
    assert several
    renewed = sum(seen[-1] <= seen[0] for seen in several)
    assert renewed < len(several) / 20  # an account ends now and then, and another begins
