"""What stands in production, and its last day."""

import json
from pathlib import Path
from typing import Any

import pytest

from replay.cli import main
from replay.cursors import Cursor, write_cursor
from replay.lake import Lake
from replay.span import Span
from replay.status import HourStatus, read_status
from scorer.metrics import Share
from tests.lakes import add_rows, click, make_lake
from tests.versions import HOUR, START, at_least, burst, logged, run, verdict

DAY = 24 * HOUR


def promotion(at: int, version: str, action: str = "promote") -> dict[str, Any]:
    row = {"at": at, "model_version": version, "action": action}
    return {**row, "by": "me", "reason": "r", "metrics": "{}"}


def decided(lake: Lake, *says: tuple[int, str | None]) -> None:
    """Add clicks at these times, each with production's word on it."""
    rows = [click(ts, n, f"c{n}") for n, (ts, _) in enumerate(says)]
    known = zip(rows, says, strict=True)
    add_rows(lake, "decisions", [logged(row, None, said) for row, (_, said) in known if said])
    add_rows(lake, "clicks", rows)


def test_an_empty_lake(tmp_path: Path) -> None:
    found = read_status(make_lake(tmp_path), START)
    assert (found.production, found.since, found.last_click, found.day) == (None,) * 4
    assert (found.ivr, found.undecided) == (Share(0, 0), Share(0, 0))


def test_the_last_day_ends_with_the_log(tmp_path: Path) -> None:
    """A click one µs too old for it is left out; hours without a click have no row."""
    lake = make_lake(tmp_path)
    decided(
        lake,
        (START - DAY, "invalid"),
        (START - DAY + 1, "invalid"),
        (START - 1, "valid"),
        (START, None),
        (START, "undecided"),
        (START, "invalid"),
    )
    found = read_status(lake, START + 90 * DAY)
    assert found.day == Span(START + 1 - DAY, START + 1)
    assert found.hours == (
        HourStatus(START - DAY, 1, 1, 0, 0),
        HourStatus(START - HOUR, 1, 0, 0, 0),
        HourStatus(START, 3, 1, 1, 1),
    )
    assert (found.ivr, found.undecided) == (Share(2, 5), Share(2, 5))


def test_the_last_day_ends_now_where_the_log_goes_on(tmp_path: Path) -> None:
    lake = make_lake(tmp_path)
    decided(lake, (START - 1, "invalid"), (START, "valid"), (START + 9 * DAY, "valid"))
    found = read_status(lake, START)
    assert found.day == Span(START - DAY, START)
    assert found.ivr == Share(1, 1)
    assert found.last_click == START + 9 * DAY


def test_production_since_when_and_what_was_before(tmp_path: Path) -> None:
    history = [promotion(1, "a"), promotion(2, "b"), promotion(3, "a", "rollback")]
    lake = make_lake(tmp_path, promotions=history)
    found = read_status(lake, START)
    assert (found.production, found.since, found.previous) == ("a", 3, None)


def test_open_incidents_alone_are_named(tmp_path: Path) -> None:
    row = {"from_ts": START, "kind": "burst", "summary": "many clicks"}
    rows = [
        {**row, "incident_id": "i1", "to_ts": None},
        {**row, "incident_id": "i2", "to_ts": START},
    ]
    found = read_status(make_lake(tmp_path, incidents=rows), START)
    assert found.open_incidents == ("i1: many clicks",)


def test_runs_with_changes_and_no_verdict_are_not_published(tmp_path: Path) -> None:
    rows = burst(2)
    lake = make_lake(tmp_path)
    b = at_least(lake, "b", 2)
    a = at_least(lake, "a", 3)
    add_rows(lake, "decisions", [logged(row, a, "valid", [n]) for n, row in enumerate(rows, 1)])
    add_rows(lake, "clicks", rows)
    run(lake, a.name)  # changes nothing
    done, waiting = (run(lake, b.name).manifest.run_id for _ in range(2))
    add_rows(lake, "verdicts", [verdict(rows[1], "invalid", 1, done)])
    (line,) = read_status(lake, START).unpublished_runs
    assert line.startswith(f"{waiting}: b on 2026-03-01T12:00:00Z to ")
    assert line.endswith(", 1 changes")


def test_sinks_and_how_far_they_are_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lake = make_lake(
        tmp_path, verdicts=[verdict(row, "invalid", n) for n, row in enumerate(burst(5), 1)]
    )
    with (lake.home / "replay.toml").open("a") as file:
        file.write('[sinks.new]\nkind = "ndjson"\n[sinks.odd]\n[sinks.half]\nkind = "x"\n')
    lake = Lake.open(lake.home)
    write_cursor(lake, Cursor(sink="half", kind="x", ledger_seq=2).failed("it is away", START))
    (lake.home / "sinks" / "odd.json").write_text("{")
    new, odd, half = read_status(lake, START + 60_000_000).sinks
    assert (new.ledger_seq, new.verdicts, new.micros, new.problem) == (0, 5, 60_000_000, None)
    assert (odd.verdicts, odd.micros, odd.kind) == (None, None, "None")
    assert (half.ledger_seq, half.verdicts, half.micros) == (2, 3, 58_000_000)
    with pytest.raises(SystemExit) as stop:
        main(["status", "--home", str(lake.home)])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert "sink            new (ndjson): 5 verdicts behind, for " in text
    assert f"{lake.home / 'sinks' / 'odd.json'} is damaged" in text
    assert "half (x): 3 verdicts behind, for " in text
    assert "; failing: it is away" in text
    with pytest.raises(SystemExit):
        main(["status", "--home", str(lake.home), "--json"])
    document = json.loads(capsys.readouterr().out)
    assert [(sink["sink"], sink["verdicts"]) for sink in document["sinks"]] == [
        ("new", 5),
        ("odd", None),
        ("half", 3),
    ]


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lake = make_lake(tmp_path, promotions=[promotion(START, "a")])
    decided(lake, (START, "invalid"), (START + 1, "valid"), (START + 2, None))
    with pytest.raises(SystemExit) as stop:
        main(["status", "--home", str(lake.home), "--json"])
    assert stop.value.code == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["production"], document["ivr"], document["undecided"]) == ("a", 1 / 3, 1 / 3)
    with pytest.raises(SystemExit):
        main(["status", "--home", str(lake.home)])
    text = capsys.readouterr().out
    assert "production      a since 2026-03-01T12:00:00Z" in text
    assert "IVR             33.33%" in text
