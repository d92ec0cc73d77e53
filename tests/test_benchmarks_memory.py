"""The benchmark of the live store's memory, on a few keys of a real server."""

import asyncio
from collections import Counter
from itertools import pairwise

import pytest

from benchmarks.machine import read_machine
from benchmarks.store_keys import HABITS, Habit, clicks_of
from benchmarks.store_memory import measure_day, measure_habit, measure_remembered
from benchmarks.store_report import markdown
from tests.servers import redis_server

WINDOWS = ("60@1", "600@10", "3600@60", "86400@900")
MEDIUM = Habit("ip", "medium", 30, 30, keys=20, users=5)


@pytest.mark.parametrize("habit", HABITS, ids=lambda habit: f"{habit.kind}-{habit.name}")
def test_a_habit_has_its_clicks_in_order(habit: Habit) -> None:
    few = Habit(habit.kind, habit.name, habit.least, min(habit.most, habit.least + 2), 3)
    clicks = list(clicks_of(few))
    assert all(before.time <= after.time for before, after in pairwise(clicks))
    by_key = Counter(getattr(each, habit.kind) for each in clicks)
    assert len(by_key) == few.keys
    assert all(few.least <= number <= few.most for number in by_key.values())
    assert len({each.click_id for each in clicks}) == len(clicks)


def test_figures_add_up() -> None:
    with redis_server():  # or skip
        pass
    compact = asyncio.run(measure_habit(MEDIUM, 256))
    assert compact.encodings == "listpack, listpack, listpack"
    assert 300 < compact.said < compact.grown
    # 4 bytes, and 8 for each bucket that had a click: of thirty clicks in sessions, a few
    assert all(12 <= compact.windows[name] <= 4 + 8 * 30 for name in WINDOWS)
    day = asyncio.run(measure_day(2_000, 64))
    assert day.used_after < day.used
    assert day.sent > 500
    remembered = asyncio.run(measure_remembered(1_000))
    assert 150 < remembered < 500
    text = "\n".join(markdown(read_machine(), "7", [compact], remembered, [day]))
    assert "| ip | medium | 30 | 256 |" in text
