"""One consistent view: pinned in order, as it was known at a time, pruned without losing a row."""

import json
import shutil
from pathlib import Path

import pytest
from deltalake import DeltaTable

from replay.errors import BadTime
from replay.lake import Lake
from replay.snapshot import Snapshot, connect
from replay.span import Span
from replay.tables import LOG_TABLES
from tests.lakes import add_rows, click, make_lake

FIRST = 1_772_323_200_000_000


def ids(snapshot: Snapshot, span: Span | None = None, name: str = "clicks") -> list[str]:
    with connect() as connection:
        source = snapshot.source(name, span)
        found = connection.sql(f"SELECT click_id FROM {source} ORDER BY 1").fetchall()
    return [click_id for (click_id,) in found]


def restamp(home: Path, name: str, stamps: list[int]) -> None:
    """Set the commits' own timestamps (ms), as another clock would have."""
    for version, stamp in enumerate(stamps):
        path = home / name / "_delta_log" / f"{version:020d}.json"
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        for line in lines:
            if "commitInfo" in line:
                line["commitInfo"]["timestamp"] = stamp
        path.write_text("\n".join(map(json.dumps, lines)))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Three commits of one click each; version 0 makes the table."""
    clicks = [click(FIRST + i, i, f"c{i}") for i in range(3)]
    return make_lake(tmp_path / "lake", clicks, commits=[[0], [1], [2]])


def test_a_snapshot_does_not_see_later_commits(lake: Lake) -> None:
    snapshot = Snapshot.take(lake)
    add_rows(lake, "clicks", [click(FIRST + 9, 9, "c9")])
    assert ids(snapshot) == ["c0", "c1", "c2"]
    assert ids(Snapshot.take(lake)) == ["c0", "c1", "c2", "c9"]


def test_clicks_are_pinned_first_so_that_what_they_need_is_there(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    original = Lake.delta

    def delta(self: Lake, name: str) -> DeltaTable | None:
        opened.append(name)
        if len(opened) == 2:
            # A writer commits, as all must, the decision and then its click, while we pin.
            add_rows(lake, "decisions", [{"click_id": "new", "ts": FIRST, "seq": 0}])
            add_rows(lake, "clicks", [click(FIRST, 0, "new")])
        return original(self, name)

    monkeypatch.setattr(Lake, "delta", delta)
    snapshot = Snapshot.take(lake)
    monkeypatch.undo()
    assert opened[0] == LOG_TABLES[0].name == "clicks"
    # Torn the harmless way: a decision without its click, and never a click without its decision.
    assert "new" not in ids(snapshot)
    assert ids(snapshot, name="decisions") == ["new"]


def test_as_of_follows_the_commits_own_timestamps(lake: Lake, tmp_path: Path) -> None:
    restamp(lake.home, "clicks", [1000, 2000, 3000, 4000])
    copied = tmp_path / "copied"
    shutil.copytree(lake.home, copied, copy_function=shutil.copy)  # with new file times
    for home in (lake.home, copied):
        known = Lake.open(home)
        assert ids(Snapshot.take(known, 1_000_000)) == []
        assert ids(Snapshot.take(known, 2_999_999)) == ["c0"]
        assert ids(Snapshot.take(known, 3_000_000)) == ["c0", "c1"]
        assert ids(Snapshot.take(known, 10**15)) == ["c0", "c1", "c2"]


def test_a_clock_that_stepped_back_hides_nothing(lake: Lake) -> None:
    restamp(lake.home, "clicks", [1000, 5000, 3000, 6000])
    assert ids(Snapshot.take(lake, 3_000_000)) == []
    assert ids(Snapshot.take(lake, 5_000_000)) == ["c0", "c1"]


def test_a_time_before_the_first_commit_is_one_line(lake: Lake, tmp_path: Path) -> None:
    restamp(lake.home, "clicks", [1000, 2000, 3000, 4000])
    with pytest.raises(BadTime, match=r"before the lake's first clicks .*1970-01-01T00:00:01Z"):
        Snapshot.take(lake, 999_999)
    empty = Lake.create(tmp_path / "empty", "USD")
    with pytest.raises(BadTime, match=r"before the lake's first clicks were committed$"):
        Snapshot.take(empty, FIRST)


def test_a_table_that_came_later_is_empty_as_of_before(lake: Lake) -> None:
    restamp(lake.home, "clicks", [1000, 2000, 3000, 4000])
    add_rows(lake, "decisions", [{"click_id": "c0", "ts": FIRST, "seq": 0}])
    snapshot = Snapshot.take(lake, 4_000_000)
    assert snapshot.versions == {"clicks": 3}
    assert ids(snapshot, name="decisions") == []


@pytest.mark.parametrize("fraction", [0, 1, 999, 1000, 1500, 999_999])
def test_pruning_by_cut_statistics_loses_no_row(tmp_path: Path, fraction: int) -> None:
    ts = FIRST + fraction
    lake = make_lake(tmp_path, [click(ts, 0, "x")])
    snapshot = Snapshot.take(lake)
    assert ids(snapshot, Span(ts, ts + 1)) == ["x"]
    assert ids(snapshot, Span(ts - 10_000, ts)) == []
    assert ids(snapshot, Span(ts + 1, ts + 10_000)) == []
    assert snapshot.rows("clicks", Span(ts, ts + 1)) == 1


def test_an_empty_lake_has_no_span(tmp_path: Path) -> None:
    snapshot = Snapshot.take(Lake.create(tmp_path, "USD"))
    assert (snapshot.log_span(), snapshot.versions, snapshot.rows("clicks")) == (None, {}, 0)
    assert ids(snapshot) == []


def test_log_span_covers_every_click(lake: Lake) -> None:
    span = Snapshot.take(lake).log_span()
    assert span is not None
    assert span.start <= FIRST
    assert span.end > FIRST + 2


def test_views_bear_the_tables_names(lake: Lake) -> None:
    with connect() as connection:
        Snapshot.take(lake).create_views(connection)
        found = connection.sql("SELECT click_id FROM clicks LEFT JOIN decisions USING (click_id)")
        assert len(found.fetchall()) == 3
