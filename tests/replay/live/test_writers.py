"""Up to when the log is settled, by what each machine's committer said last."""

import json
from pathlib import Path

import pytest

from replay.cli import main
from replay.lake import Lake
from replay.live.writers import Flushed, log_lags, path_of, settled_until, write_flushed
from replay.run import Request, prepare
from replay.span import Span, now_micros
from tests.lakes import make_lake
from tests.versions import HOUR, START, at_least, burst

SECOND = 1_000_000


def said(
    lake: Lake, spool: str, until: int, at: int | None = None, *, closed: bool = False
) -> Path:
    """Let a machine's committer speak."""
    spoken = until if at is None else at
    write_flushed(
        lake.home,
        Flushed(spool=spool, host="web", flushed_until=until, at=spoken, closed=closed),
    )
    return path_of(lake.home, spool)


def test_without_a_service_everything_is_settled(tmp_path: Path) -> None:
    assert settled_until(log_lags(make_lake(tmp_path), START), START) == START


def test_the_lowest_of_the_open_ones_counts(tmp_path: Path) -> None:
    lake = make_lake(tmp_path)
    said(lake, "aa", START - 3 * SECOND)
    said(lake, "bb", START - 5 * SECOND)
    said(lake, "cc", START - 9 * SECOND, closed=True)
    said(lake, "dd", START + SECOND)
    lags = log_lags(lake, START)
    assert [lag.micros for lag in lags] == [3 * SECOND, 5 * SECOND, 0, 0]
    assert settled_until(lags, START) == START - 5 * SECOND
    said(lake, "bb", START - SECOND)
    assert settled_until(log_lags(lake, START), START) == START - 3 * SECOND


@pytest.mark.parametrize(("silence", "hinted"), [(60 * SECOND, False), (60 * SECOND + 1, True)])
def test_a_machine_long_silent_is_told_how_to_go(
    tmp_path: Path, silence: int, hinted: bool
) -> None:
    lake = make_lake(tmp_path)
    path = said(lake, "aa", START - HOUR, START - silence)
    (lag,) = log_lags(lake, START)
    assert (lag.hint is not None and f"remove {path}" in lag.hint) == hinted
    said(lake, "aa", START - HOUR, START - silence, closed=True)
    assert log_lags(lake, START)[0].hint is None


@pytest.mark.parametrize("text", ["", "{", '{"spool": "aa"}', "[]", '{"flushed_until": "x"}'])
def test_a_damaged_file_settles_nothing(tmp_path: Path, text: str) -> None:
    lake = make_lake(tmp_path)
    said(lake, "aa", START).write_text(text)
    (lag,) = log_lags(lake, START)
    assert settled_until([lag], START) == 0
    assert lag.hint is not None
    assert "is damaged" in lag.hint


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    made = make_lake(tmp_path / "lake", burst(4))
    at_least(made, "v1", 3)
    return made


SPAN = Span(START, START + 10 * SECOND)


@pytest.mark.parametrize(("until", "notes"), [(SPAN.end, 0), (SPAN.end - 1, 1)])
def test_a_run_hears_of_a_log_that_is_behind(lake: Lake, until: int, notes: int) -> None:
    said(lake, "aa", until, now_micros())
    prepared = prepare(lake, Request("v1", SPAN))
    assert prepared.settled_until == until
    assert len([note for note in prepared.notes if note.startswith("unsettled: web")]) == notes


def test_as_of_an_earlier_time_less_is_settled(lake: Lake) -> None:
    at = now_micros()
    said(lake, "aa", at + HOUR, at)
    assert prepare(lake, Request("v1", SPAN, as_of=at)).settled_until == at
    said(lake, "aa", at - 1, at)
    assert prepare(lake, Request("v1", SPAN, as_of=at)).settled_until == at - 1


def test_plan_and_status_name_the_machine(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    path = said(lake, "aa", START)
    said(lake, "bb", START, closed=True)
    span = ["--from", "2026-03-01T12:00", "--to", "2026-03-01T12:01"]
    for command in (["run", *span, "--model", "v1", "--plan"], ["status"]):
        shown = " ".join(output(capsys, command, lake).split())
        assert shown.count("log web:") == 1
        assert f"remove {path}" in shown
        document = json.loads(output(capsys, [*command, "--json"], lake))
        found = [(log["spool"], log["closed"]) for log in document["logs"]]
        assert found == [("aa", False), ("bb", True)]


def output(capsys: pytest.CaptureFixture[str], command: list[str], lake: Lake) -> str:
    with pytest.raises(SystemExit) as ended:
        main([*command, "--home", str(lake.home)])
    assert not ended.value.code
    return capsys.readouterr().out
