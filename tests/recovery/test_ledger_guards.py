"""What keeps the ledger right when others write to the lake, or the disk fails, meanwhile."""

import errno
import shutil
from pathlib import Path

import pytest
from deltalake import DeltaTable

import replay.lake
from recovery.history import published_runs
from recovery.publishing import propose_revert, publish
from recovery.reconcile import reconcile
from replay.cli import main
from replay.errors import LakeUnwritable
from replay.lake import Lake
from replay.snapshot import Snapshot, connect
from replay.tables import LOG_TABLES
from scorer.errors import BadInput, Inconsistent
from tests.lakes import add_rows, click
from tests.recovery.corrections import SOON, SPAN, known, known_clicks, known_lake
from tests.recovery.ledgers import all_terms, stored
from tests.versions import START, logged, run

ALL = all_terms(rebill=True)
CLICKS = {row["click_id"]: row for row in known_clicks()}


def typed(*line: str) -> int | str | None:
    with pytest.raises(SystemExit) as stop:
        main(line)
    return stop.value.code


def values(lake: Lake, table: str, column: str) -> list[object]:
    snapshot = Snapshot.take(lake, tables=LOG_TABLES)
    with connect(1) as connection:
        rows = connection.sql(f"SELECT {column} FROM {snapshot.source(table)}").fetchall()
    return [value for (value,) in rows]


def test_a_decision_that_lands_after_a_verdict_is_quarantined(tmp_path: Path) -> None:
    lake = known().copy(tmp_path)
    publish(lake, known().id("two"), ALL, SOON)
    file = tmp_path / "late.csv"
    file.write_text("click_id,decision,reason\nu5,invalid,late\nwarm,valid,late\n")
    assert typed("import", "decisions", str(file), "--home", str(lake.home)) == 0
    assert values(lake, "quarantine", "reason") == [
        "the click has a verdict already, which started from no decision"
    ]
    decided = values(lake, "decisions", "click_id")
    assert "warm" in decided
    assert "u5" not in decided
    assert reconcile(lake).reconciles


def test_a_run_is_not_recorded_where_verdicts_stand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lake = known_lake(tmp_path, said={})
    run_id = run(lake, "two", SPAN).manifest.run_id
    publish(lake, run_id, ALL, SOON)
    line = ("import", "decisions", "--from-run", run_id, "--home", str(lake.home))
    assert typed(*line) == 2
    assert "only before anything is published" in capsys.readouterr().err
    assert reconcile(lake).reconciles


def test_decisions_that_land_between_netting_and_commit_are_netted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As another machine's import may: publication looks again before it commits."""
    lake = known_lake(tmp_path, said={"u0": "valid"})
    run_id = run(lake, "two", SPAN).manifest.run_id
    taken = replay.lake.Lake.append
    landed: list[bool] = []

    def late(self: Lake, name: str, *args: object) -> int:
        if name == "verdicts" and not landed:
            landed.append(True)
            add_rows(lake, "decisions", [logged(CLICKS["u5"], None, "invalid")])
        return taken(self, name, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(replay.lake.Lake, "append", late)
    publish(lake, run_id, ALL, SOON)
    assert landed
    assert "u5" not in {row["click_id"] for row in stored(lake)}
    assert reconcile(lake).reconciles


def test_an_error_after_the_commit_is_no_error_of_the_commit(tmp_path: Path) -> None:
    """Delta writes a checkpoint now and then, after its commit; here it finds no place for it."""
    lake = known().copy(tmp_path)
    table = lake.ready("verdicts")
    table.alter.set_table_properties({"delta.checkpointInterval": "1"})
    last = lake.home / "verdicts" / "_delta_log" / "_last_checkpoint"
    last.unlink()
    last.mkdir()
    record = publish(lake, known().id("two"), ALL, SOON)
    assert len(stored(lake)) == record.verdicts == 4
    again = publish(lake, known().id("two"), ALL, SOON)
    assert (again, len(stored(lake))) == (record, 4)


def test_a_full_disk_leaves_no_files_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = known().copy(tmp_path)

    def full(_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(replay.lake, "keep", full)
        for _ in range(2):
            with pytest.raises(LakeUnwritable, match="the disk is full"):
                publish(lake, known().id("two"), ALL, SOON)
    assert list((lake.home / "verdicts").rglob("*.parquet")) == []
    publish(lake, known().id("two"), ALL, SOON)
    assert len(stored(lake)) == 4


def test_a_click_that_is_decided_twice_is_not_corrected_twice(tmp_path: Path) -> None:
    lake = known_lake(tmp_path, said={"u0": "valid"})
    run_id = run(lake, "two", SPAN).manifest.run_id
    for _ in range(2):
        add_rows(lake, "decisions", [logged(CLICKS["u5"], None, "valid")])
    with pytest.raises(Inconsistent, match="would be published twice"):
        publish(lake, run_id, ALL, SOON)
    assert stored(lake) == []


def test_a_run_of_a_copy_with_as_many_commits_is_not_published(tmp_path: Path) -> None:
    here, there = (known().copy(tmp_path / name) for name in ("here", "there"))
    add_rows(here, "clicks", [click(START + 7_000_000, 7, "only-here", user_id="u")])
    add_rows(there, "clicks", [click(START + 8_000_000, 8, "only-there", user_id="u")])
    made = run(there, "two", SPAN).manifest
    shutil.copytree(there.home / "runs" / made.run_id, here.home / "runs" / made.run_id)
    clicks = DeltaTable(here.home / "clicks")
    assert clicks.version() == made.table_versions["clicks"]
    with pytest.raises(BadInput, match="a copy of this lake that went on by itself"):
        publish(here, made.run_id, ALL, SOON)
    assert stored(here) == []


def test_latest_reverts_what_was_published_last(tmp_path: Path) -> None:
    lake = known().copy(tmp_path)
    for name in ("four", "two"):
        publish(lake, known().id(name), ALL, SOON)
    assert propose_revert(lake, "latest", ALL, SOON).proposal.run_id == known().id("two")
    assert published_runs(lake)[-1].run_id == known().id("two")
