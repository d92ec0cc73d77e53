"""A small day of clicks with versions trained on it, and ways to damage it."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from replay.cli import main
from replay.lake import Lake
from tests.lakes import Row, add_rows, click, make_lake

DAY = 1_772_323_200_000_000  # 2026-03-01T00:00Z
STEP = 360_000_000
CLICKS = 240

Line = tuple[str, ...]
Damage = Callable[[Lake], object]
Column = Callable[[int], object]

SPAN = ("--from", "2026-03-01", "--to", "2026-03-02")
TRAIN: Line = ("train", *SPAN, "--arch", "velocity", "--name", "new")
CALIBRATE: Line = ("models", "calibrate", "v1", "--fpr-budget", "0.3", "--name", "new")
AUDIT: Line = ("audit", *SPAN, "--models", "v1")


def day(**columns: Column) -> list[dict[str, Any]]:
    """A click every six minutes, of 40 users; each column is a function of the click's number."""
    usual: dict[str, Column] = {
        "user_id": lambda n: f"u{n % 40}",
        "session_id": lambda n: f"s{n % 40}",
        "device": lambda n: ("desktop", "tv")[n % 2],
    }
    chosen = (usual | columns).items()
    return [
        click(DAY + n * STEP, 0, f"c{n}", **{name: value(n) for name, value in chosen})
        for n in range(CLICKS)
    ]


def bought(clicks: Sequence[int]) -> list[Row]:
    """A purchase right after each of these clicks."""
    return [{"purchase_id": f"p{n}", "ts": DAY + n * STEP + 1, "click_id": f"c{n}"} for n in clicks]


def aged(value: float) -> list[Row]:
    """Profiles of two users, the second's of this age."""
    ages = {"u0": 400.0, "u1": value}
    return [{"key": k, "valid_from": DAY, "account_age_days": v} for k, v in ages.items()]


def trained(folder: Path) -> Lake:
    """A day on which desktops buy, and two versions trained on it, of which v1 was promoted."""
    made = make_lake(folder, day(), purchases=bought(range(0, CLICKS, 6)), profiles_user=aged(3.0))
    for line in (
        (*TRAIN[:-1], "v1"),
        (*TRAIN[:-1], "v2", "--seed", "1"),
        ("models", "promote", "v1", "--reason", "first"),
    ):
        with pytest.raises(SystemExit) as stop:
            main([*line, "--home", str(made.home)])
        assert stop.value.code == 0
    return made


def instead(name: str, rows: Sequence[Row]) -> Damage:
    """Exchange a table for one of these rows."""

    def damage(lake: Lake) -> None:
        shutil.rmtree(lake.home / name)
        add_rows(lake, name, rows)

    return damage


def without(name: str, column: str) -> Damage:
    """Take a column out of a table's files."""

    def damage(lake: Lake) -> None:
        for file in (lake.home / name).rglob("*.parquet"):
            pq.write_table(pq.ParquetFile(file).read().drop_columns([column]), file)

    return damage


def nothing(_: Lake) -> None:
    """Leave the lake as it is."""
