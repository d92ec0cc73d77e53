"""`replay skew` as a command: exit codes, JSON, the file of values, and what people read."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from replay.cli import main
from tests.replay.skew.plain_service import MINUTE, SECOND, SPEC, PlainService
from tests.versions import START

SPAN = ("--from", "2026-03-01", "--to", "2026-03-03")


def typed(*args: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(["skew", *args])
    assert isinstance(stopped.value.code, int)
    return stopped.value.code


def flushed(*, new_epoch: bool) -> PlainService:
    service = PlainService()
    for number in range(20):
        if number == 12:
            service.flush(new_epoch=new_epoch)
        service.take(START + number * SECOND, user_id="u", ip=None)
    return service


def test_a_clean_log_exits_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    service = PlainService()
    service.take(START)
    service.lake(tmp_path)
    assert typed(*SPAN, "--home", str(tmp_path)) == 0
    assert capsys.readouterr().out.splitlines() == [
        "from 2026-03-01T00:00:00Z",
        "to   2026-03-03T00:00:00Z",
        "1 clicks: 1 equal, 0 different, 0 missing",
        "Every feature of every compared click is equal.",
    ]


def test_a_flush_exits_0_and_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flushed(new_epoch=True).lake(tmp_path)
    assert typed(*SPAN, "--home", str(tmp_path)) == 0
    said = capsys.readouterr().out
    assert "20 clicks: 12 equal, 8 different, 0 missing\nEvery difference has a reason." in said
    (line,) = [line for line in said.splitlines() if " e2 " in line]
    assert line.split()[:8] == [
        *("2026-03-01", "12:00:12", "e2", "8", "8"),
        *("2026-03-01", "12:00:19", "clicks_user_1m,"),
    ]
    assert "unexplained, from when on" not in said


def test_lost_keys_exit_1_and_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flushed(new_epoch=False).lake(tmp_path)
    out = tmp_path / "values.parquet"
    assert typed(*SPAN, "--home", str(tmp_path), "--out", str(out), "--examples", "2") == 1
    said = capsys.readouterr().out
    assert "8 clicks differ and nothing explains it." in said
    (line,) = [line for line in said.splitlines() if "lacks clicks" in line]
    assert line.split() == [
        *("2026-03-01", "12:00:12", "lacks", "clicks", "8", "2026-03-01", "12:00:19"),
        *("clicks_user_1m,", "clicks_user_1h", "+1", "k12"),
    ]
    assert sum(line.startswith("unexplained   2026") for line in said.splitlines()) == 2
    values = pq.read_table(out)
    assert values.num_rows == 17
    assert values["click_id"].to_pylist().count("k12") == 3
    assert set(values["reason"].to_pylist()) == {"unexplained"}
    assert set(values["recomputed"].to_pylist()) == {*range(13, 21), 1000}
    assert not list(tmp_path.glob(".*unfinished"))


def test_json_is_one_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flushed(new_epoch=True).lake(tmp_path)
    assert typed(*SPAN, "--home", str(tmp_path), "--json", "--examples", "1") == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert document["start"] == "2026-03-01T00:00:00Z"
    assert (document["clicks"], document["equal"], document["different"]) == (20, 12, 8)
    assert document["specs"] == {SPEC.digest: 20}
    (flush,) = document["flushes"]
    assert flush["at"] == "2026-03-01T12:00:12Z"
    assert flush["features"] == {"clicks_user_1m": 8, "clicks_user_1h": 8, "gap_ms_user": 1}
    assert document["reasons"] == [{"name": "flush", "clicks": 8, "values": 17}]
    (example,) = document["examples"]
    assert example == {
        "reason": "flush",
        "ts": "2026-03-01T12:00:12Z",
        "click_id": "k12",
        "feature": "clicks_user_1m",
        "logged": 1,
        "recomputed": 13,
        "others": 2,
    }
    assert document["bucket"] == 1
    assert len(document["times"]) == 20


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--from", "soon", "--to", "now"), "'soon' is no time"),
        (("--from", "2026-03-02", "--to", "2026-03-02"), "is not before --to"),
        (("--from", "2020-01-01", "--to", "2020-01-02"), "no click in"),
        ((*SPAN, "--out", "/"), "names no file"),
        ((*SPAN, "--examples", "-1"), "-1 is not in the range"),
        (("--from", "2026-03-02"), "Missing option '--to'"),
    ],
)
def test_bad_input_costs_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], args: tuple[str, ...], says: str
) -> None:
    service = PlainService()
    service.take(START)
    service.lake(tmp_path)
    assert typed(*args, "--home", str(tmp_path)) == 2
    captured = capsys.readouterr()
    assert says in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_nothing_to_compare_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    service = PlainService()
    service.take(START, stamped=False)
    service.lake(tmp_path)
    assert typed(*SPAN, "--home", str(tmp_path)) == 0
    said = capsys.readouterr().out
    assert "Nothing could be compared." in said
    assert "missing: 1, the decision was logged without features" in said


def test_text_from_outside_cannot_move_the_cursor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service = PlainService()
    service.take(START)
    service.take(START + MINUTE, click_id="c\x1b[31m")
    row, facts, reals = service.decided[1]
    assert facts
    service.decided[1] = row, [7, *facts[1:]], reals
    service.lake(tmp_path)
    assert typed(*SPAN, "--home", str(tmp_path)) == 1
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert "c\\x1b[31m" in said
