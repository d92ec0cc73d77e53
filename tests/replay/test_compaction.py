"""Compaction changes files and nothing else."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from replay.commands.lake import lake as lake_command
from replay.compaction import DAY, Compacted, compact
from replay.errors import LakeBusy
from replay.lake import Lake
from replay.snapshot import Snapshot, connect
from replay.tables import CLICKS
from tests.lakes import add_rows, click, make_lake, to_table

FIRST = 1_772_323_200_000_000  # 2026-03-01
NOW = FIRST + 2 * DAY + 7


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Three days of clicks in files that overlap; the third is today."""
    clicks = [click(FIRST + day * DAY + t * 1000, t) for day in range(3) for t in range(20)]
    commits = [[day * 20 + t for day in range(3) for t in range(k, 20, 4)] for k in (2, 0, 3, 1)]
    profile = {"key": "u1", "valid_from": FIRST}
    lake = make_lake(
        tmp_path / "lake", clicks, commits=commits, profiles_user=[{**profile, "age": 1.5}]
    )
    add_rows(lake, "profiles_user", [{**profile, "key": "u2", "is_staff": True}])
    return lake


def digest(snapshot: Snapshot, name: str = "clicks") -> object:
    with connect() as connection:
        source = snapshot.source(name)
        rows = connection.sql(f"SELECT * FROM {source} ORDER BY ALL").to_arrow_table().to_pylist()
    return [dict(sorted(row.items())) for row in rows]


def files(lake: Lake, name: str = "clicks") -> list[str]:
    return [Path(file.path).parent.name[-1] for file in Snapshot.take(lake).pinned[name].files]


def test_closed_days_become_one_file_with_the_same_rows(lake: Lake) -> None:
    before, profiles = (digest(Snapshot.take(lake), name) for name in ("clicks", "profiles_user"))
    done = {table.table: table for table in compact(lake, NOW, NOW)}
    assert done["clicks"] == Compacted("clicks", days=2, files=8, rows=40)
    assert done["profiles_user"] == Compacted("profiles_user", days=1, files=2, rows=2)
    assert files(lake) == list("123333")
    assert digest(Snapshot.take(lake)) == before
    assert digest(Snapshot.take(lake), "profiles_user") == profiles
    first = Snapshot.take(lake).pinned["clicks"].files[0]
    with connect() as connection:
        found = connection.sql(f"SELECT seq FROM read_parquet('{first.path}')").fetchall()
    assert [seq for (seq,) in found] == list(range(20))


def test_a_second_time_does_nothing(lake: Lake) -> None:
    compact(lake, NOW, NOW)
    versions = Snapshot.take(lake).versions
    assert all(table.days == 0 for table in compact(lake, NOW, NOW))
    assert Snapshot.take(lake).versions == versions


def test_only_days_that_ended_before_the_time(lake: Lake) -> None:
    compact(lake, FIRST + DAY, NOW)
    assert files(lake) == list("122223333")
    compact(lake, FIRST + 2 * DAY - 1, NOW)
    assert files(lake) == list("122223333")


def test_earlier_versions_and_as_of_still_read(lake: Lake) -> None:
    delta = lake.delta("clicks")
    assert delta is not None
    stamps = [entry["timestamp"] * 1000 for entry in delta.history()]
    pinned = Snapshot.take(lake)
    known = [digest(Snapshot.take(lake, stamp)) for stamp in stamps[:-1]]
    before = digest(pinned)
    compact(lake, NOW, NOW)
    assert digest(pinned) == before
    assert [digest(Snapshot.take(lake, stamp)) for stamp in stamps[:-1]] == known


def test_rows_appended_meanwhile_are_kept(lake: Lake) -> None:
    pin = Snapshot.take(lake).pinned["clicks"]
    delta = lake.delta("clicks")
    assert delta is not None
    paths = [f"{Path(f.path).parent.name}/{Path(f.path).name}" for f in pin.files[:4]]
    rows = to_table(CLICKS, [click(FIRST + t * 1000, t) for t in range(20)])
    add_rows(lake, "clicks", [click(FIRST + 5, 99, "late")])
    assert lake.rewrite(delta, "clicks", paths, rows.to_batches()) == 20
    found = digest(Snapshot.take(lake))
    assert isinstance(found, list)
    assert len(found) == 61
    assert sum(row["click_id"] == "late" for row in found) == 1


def test_of_two_rewrites_at_once_the_second_is_refused(lake: Lake) -> None:
    before = digest(Snapshot.take(lake))
    pin = Snapshot.take(lake).pinned["clicks"]
    delta = lake.delta("clicks")
    assert delta is not None
    paths = [f"{Path(f.path).parent.name}/{Path(f.path).name}" for f in pin.files[:4]]
    compact(lake, NOW, NOW)
    rows = to_table(CLICKS, [click(FIRST + t * 1000, t) for t in range(20)])
    with pytest.raises(LakeBusy):
        lake.rewrite(delta, "clicks", paths, rows.to_batches())
    assert digest(Snapshot.take(lake)) == before


def test_the_command_says_what_it_did(lake: Lake) -> None:
    arguments = ["compact", "--home", str(lake.home)]
    first = CliRunner().invoke(lake_command, [*arguments, "--json", "--before", "2026-03-02"])
    (clicks, *_) = json.loads(first.stdout)
    assert clicks == {"table": "clicks", "days": 1, "files": 4, "rows": 20}
    assert "clicks" in CliRunner().invoke(lake_command, arguments).stdout
    assert CliRunner().invoke(lake_command, arguments).stdout.startswith("nothing to do")
