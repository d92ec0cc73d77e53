"""The reader gives each slice's clicks, whatever the files' row groups and the order in them."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import replay.parts
import replay.reader
from replay.reader import CHOSEN, ClickReader, SliceRows, choose_slice_length
from replay.snapshot import Snapshot
from replay.span import Span
from tests.lakes import click, make_lake

START = 1_772_323_200_000_000
Row = dict[str, Any]


def some_clicks(seed: int, count: int) -> list[Row]:
    rng = random.Random(seed)
    users = ["a", "bb", None, "ccc"]
    return [
        click(
            START + rng.randrange(60),
            seq=rng.randrange(2),
            click_id=f"c{number}",
            user_id=rng.choice(users),
            device=rng.choice(["tv", "pc"]),
        )
        for number in range(count)
    ]


def order(row: Row) -> tuple[int, int, str]:
    return row["ts"], row["seq"], row["click_id"]


def users_of(rows: SliceRows) -> list[str | None]:
    """Decode the key column through `of_keys`: a number per distinct string, −1 for null."""
    known: dict[str, int] = {}

    def number(strings: pa.Array) -> np.ndarray[Any, np.dtype[np.int32]]:
        return np.array([known.setdefault(s, len(known)) for s in strings.to_pylist()], np.int32)

    numbers = rows.of_keys("user_id", number, -1)
    return [None if n < 0 else list(known)[n] for n in numbers]


@pytest.mark.parametrize("kept", [0, 1, 8])
@pytest.mark.parametrize("group_rows", [1, 3, 100])
def test_slices_hold_the_clicks_of_their_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group_rows: int, kept: int
) -> None:
    monkeypatch.setattr(replay.parts, "ROW_GROUP", group_rows)
    monkeypatch.setattr(replay.reader, "STRADDLING_GROUPS", kept)
    clicks = some_clicks(group_rows, 40)
    layout = [list(range(25)), list(range(25, 40))]
    snapshot = Snapshot.take(make_lake(tmp_path, clicks, commits=layout))
    for length in (7, 20, 60):
        reader = ClickReader(snapshot, ["user_id", "device"], ["user_id"], "device = 'tv'")
        for span in Span(START + 5, START + 55).cut(length):
            expected = sorted((r for r in clicks if span.start <= r["ts"] < span.end), key=order)
            rows = reader.read(span)
            assert rows.clicks["click_id"].to_pylist() == [row["click_id"] for row in expected]
            assert rows.clicks["ts"].to_pylist() == [row["ts"] for row in expected]
            assert rows.clicks["user_id"].to_pylist() == [row["user_id"] for row in expected]
            assert rows.clicks[CHOSEN].to_pylist() == [row["device"] == "tv" for row in expected]
            assert users_of(rows) == [row["user_id"] for row in expected]


def test_a_slice_without_clicks_has_its_columns(tmp_path: Path) -> None:
    snapshot = Snapshot.take(make_lake(tmp_path, some_clicks(1, 3)))
    rows = ClickReader(snapshot, ["device"], ["user_id"]).read(Span(0, 5))
    assert rows.clicks.column_names == ["ts", "seq", "click_id", "device"]
    assert (rows.clicks.num_rows, users_of(rows)) == (0, [])


def test_a_short_log_is_one_slice(tmp_path: Path) -> None:
    snapshot = Snapshot.take(make_lake(tmp_path, some_clicks(2, 30)))
    day = 24 * replay.reader.HOUR
    assert choose_slice_length(snapshot, Span(START, START + day)) == day


def test_a_dense_log_is_cut_into_slices_of_about_the_same_clicks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hour = replay.reader.HOUR
    clicks = [click(START + k * hour // 10, seq=k, click_id=f"c{k}") for k in range(240)]
    snapshot = Snapshot.take(make_lake(tmp_path, clicks))
    monkeypatch.setattr(replay.reader, "SLICE_CLICKS", 70)
    assert choose_slice_length(snapshot, Span(START, START + 24 * hour)) == 6 * hour
    monkeypatch.setattr(replay.reader, "SLICE_CLICKS", 15)
    assert choose_slice_length(snapshot, Span(START, START + 24 * hour)) == hour
