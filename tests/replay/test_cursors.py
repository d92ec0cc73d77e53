"""Cursors: lasting, whole, and right about how far a sink is behind."""

from pathlib import Path

import pytest

from replay.cursors import (
    Cursor,
    DeadLetter,
    Lag,
    cursor_path,
    lags,
    read_cursor,
    write_cursor,
)
from replay.errors import BadCursor
from replay.lake import Lake
from replay.snapshot import Snapshot, connect
from replay.span import to_datetime
from scorer.errors import BadInput
from tests.lakes import make_lake
from tests.versions import START, burst, verdict

MINUTE = 60_000_000


def letter(first: int, last: int) -> DeadLetter:
    return DeadLetter(first=first, last=last, attempts=5, error="e", at=to_datetime(START))


def lake_with(home: Path, verdicts: int, sinks: str = "") -> Lake:
    """A lake whose n-th verdict was issued n − 1 seconds after START."""
    rows = burst(verdicts)
    made = make_lake(home, verdicts=[verdict(row, "invalid", n) for n, row in enumerate(rows, 1)])
    with (made.home / "replay.toml").open("a") as file:
        file.write(sinks)
    return Lake.open(made.home)


def lag_of(lake: Lake, now: int) -> tuple[Lag, ...]:
    with connect() as connection:
        return lags(connection, Snapshot.take(lake), now)


def test_a_cursor_comes_back_as_it_was_written(tmp_path: Path) -> None:
    lake = Lake.create(tmp_path, "USD")
    assert read_cursor(lake, "s", "k") == Cursor(sink="s", kind="k", ledger_seq=0)
    written = (
        Cursor(sink="s", kind="k")
        .delivered(500, START)
        .beyond(letter(501, 600))
        .failed("away", START + 1)
    )
    write_cursor(lake, written)
    assert read_cursor(lake, "s", "k") == written
    assert list((tmp_path / "sinks").iterdir()) == [cursor_path(lake, "s")]


def test_a_sink_of_another_kind_under_the_same_name_starts_anew(tmp_path: Path) -> None:
    lake = Lake.create(tmp_path, "USD")
    write_cursor(lake, Cursor(sink="s", kind="k", ledger_seq=9))
    assert read_cursor(lake, "s", "other").ledger_seq == 0


def test_an_error_that_goes_on_keeps_its_beginning() -> None:
    cursor = Cursor(sink="s", kind="k").failed("one", START).failed("two", START + MINUTE)
    assert cursor.error is not None
    assert (cursor.error.message, cursor.error.since) == ("two", to_datetime(START))
    assert cursor.delivered(1, START).error is None


def test_dead_letters_move_the_cursor_and_go_when_they_are_taken() -> None:
    cursor = Cursor(sink="s", kind="k").delivered(4, START).beyond(letter(9, 9), letter(5, 8))
    assert (cursor.ledger_seq, cursor.dead_letters) == (9, (letter(5, 8), letter(9, 9)))
    taken = cursor.delivered(12, START)
    assert (taken.ledger_seq, taken.dead_letters) == (12, cursor.dead_letters)
    again = taken.without(5, 8).beyond(letter(6, 7))
    assert (again.ledger_seq, again.dead_letters) == (12, (letter(6, 7), letter(9, 9)))
    assert again.beyond() == again


@pytest.mark.parametrize(
    ("first", "last", "left"),
    [
        (1, 4, [(5, 8), (10, 10)]),
        (5, 8, [(10, 10)]),
        (5, 5, [(6, 8), (10, 10)]),
        (6, 7, [(5, 5), (8, 8), (10, 10)]),
        (8, 10, [(5, 7)]),
        (9, 9, [(5, 8), (10, 10)]),
        (1, 99, []),
    ],
)
def test_a_part_of_a_dead_letter_that_is_taken(
    first: int, last: int, left: list[tuple[int, int]]
) -> None:
    cursor = Cursor(sink="s", kind="k").beyond(letter(5, 8), letter(10, 10))
    found = cursor.without(first, last)
    assert found.dead_letters == tuple(letter(*ends) for ends in left)
    assert found.ledger_seq == 10


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"sink": "s"}',
        '{"sink": "s", "kind": "k", "ledger_seq": -1}',
        '{"sink": "s", "kind": "k", "ledger_seq": 1.5}',
        '{"sink": "s", "kind": "k", "ledger_seq": "many"}',
        '{"sink": "s", "kind": "k", "more": 1}',
        '{"sink": "s", "kind": "k", "delivered_at": "2026-03-01T00:00:00"}',
        '{"sink": "other", "kind": "k"}',
        b"\x00" * 40,
        b"\xff\xfe",
    ],
)
def test_a_damaged_cursor_is_one_line(tmp_path: Path, text: str | bytes) -> None:
    lake = Lake.create(tmp_path, "USD")
    path = cursor_path(lake, "s")
    path.parent.mkdir()
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(BadCursor, match="remove it") as caught:
        read_cursor(lake, "s", "k")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_cursor_that_is_a_folder_is_one_line(tmp_path: Path) -> None:
    lake = Lake.create(tmp_path, "USD")
    cursor_path(lake, "s").mkdir(parents=True)
    with pytest.raises(BadCursor, match="cannot be read: Is a directory"):
        read_cursor(lake, "s", "k")


@pytest.mark.parametrize("name", ["", "../s", "a/b", "S", "ü", "a.b", "a\n", "x" * 65])
def test_a_name_that_could_not_name_a_file(tmp_path: Path, name: str) -> None:
    lake = Lake.create(tmp_path, "USD")
    with pytest.raises(BadInput, match="is no sink's name"):
        cursor_path(lake, name)


def test_no_sinks_no_lags(tmp_path: Path) -> None:
    assert lag_of(lake_with(tmp_path, 3), START) == ()


@pytest.mark.parametrize(
    ("at", "now", "behind", "micros"),
    [
        (0, START + MINUTE, 5, 60_000_000),
        (1, START + MINUTE, 4, 59_000_000),
        (4, START + MINUTE, 1, 56_000_000),
        (5, START + MINUTE, 0, 0),
        (0, START - MINUTE, 5, 0),  # a clock that stepped back
        (7, START + MINUTE, 0, 0),  # an older copy of the lake
    ],
)
def test_lag_in_verdicts_and_in_time(
    tmp_path: Path, at: int, now: int, behind: int, micros: int
) -> None:
    lake = lake_with(tmp_path, 5, '[sinks.s]\nkind = "k"\n')
    write_cursor(lake, Cursor(sink="s", kind="k", ledger_seq=at))
    (lag,) = lag_of(lake, now)
    assert (lag.ledger_seq, lag.verdicts, lag.micros) == (at, behind, micros)


@pytest.mark.parametrize(("at", "odd"), [(5, False), (6, True), (10**20, True)])
def test_a_cursor_beyond_the_ledger_is_a_problem(tmp_path: Path, at: int, odd: bool) -> None:
    lake = lake_with(tmp_path, 5, '[sinks.s]\nkind = "k"\n')
    write_cursor(lake, Cursor(sink="s", kind="k", ledger_seq=at))
    (lag,) = lag_of(lake, START)
    assert (lag.problem is not None, lag.verdicts, lag.failing_since) == (odd, 0, None)
    if odd:
        assert f"is at verdict {at:,} and the ledger ends at 5" in str(lag.problem)
        assert str(cursor_path(lake, "s")) in str(lag.problem)


def test_lag_of_an_empty_ledger(tmp_path: Path) -> None:
    (lag,) = lag_of(lake_with(tmp_path, 0, '[sinks.s]\nkind = "k"\n'), START)
    assert (lag.ledger_seq, lag.verdicts, lag.micros, lag.problem) == (0, 0, 0, None)


def test_dead_letters_come_on_top_of_the_lag(tmp_path: Path) -> None:
    lake = lake_with(tmp_path, 5, '[sinks.s]\nkind = "k"\n[sinks.UPPER]\nkind = "k"\n')
    write_cursor(lake, Cursor(sink="s", kind="k").beyond(letter(1, 3)).delivered(4, START))
    lag, odd = lag_of(lake, START)
    assert (lag.verdicts, lag.refused, lag.delivered_at) == (1, 3, START)
    assert lag.to_json()["dead_letters"][0]["last"] == 3
    assert odd.problem is not None
    assert "is no sink's name" in odd.problem
