"""The index of the lake's click ids, beside plain sets, and what it hears from the lake."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.compaction import compact
from replay.lake import Lake
from replay.live.seen import HOUR, KEPT_REFRESHES, HashSet, SeenClicks
from tests.lakes import add_rows, click, make_lake
from tests.versions import START

HASHES = st.sampled_from([0, 1, 2, 2**63, 2**64 - 2, 2**64 - 1])
ADDED = st.lists(st.lists(st.tuples(st.integers(-1, 2), HASHES), max_size=6), max_size=8)


@given(ADDED, st.lists(HASHES, max_size=6), st.sets(st.integers(0, 2)))
def test_a_hash_set_is_a_set_for_each_hour(
    added: list[list[tuple[int, int]]], asked: list[int], forgotten: set[int]
) -> None:
    held, plain = HashSet(), {hour: set[int]() for hour in range(3)}
    held.hold(range(3))
    for batch in added:
        held.add(
            np.array([hour for hour, _ in batch], np.int64),
            np.array([hash_ for _, hash_ in batch], np.uint64),
        )
        for hour, hash_ in batch:
            if hour in plain:
                plain[hour].add(hash_)
    held.forget(forgotten)
    for hour in forgotten:
        del plain[hour]
    assert held.hours == set(plain)
    assert len(held) >= sum(map(len, plain.values()))
    found = {h: hit.tolist() for h, hit in held.places(np.array(asked, np.uint64)).items()}
    due = {hour: [hash_ in there for hash_ in asked] for hour, there in plain.items()}
    assert found == {hour: hits for hour, hits in due.items() if any(hits)}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return make_lake(tmp_path / "lake", [click(START + n * HOUR, n, f"c{n}") for n in range(4)])


def known(seen: SeenClicks, *ids: str) -> list[bool]:
    """Tell which of some ids the index finds among the clicks."""
    clicks, _ = seen.known(pa.chunked_array([list(ids)], pa.string()))
    return [bool(each) for each in clicks]


def refresh(seen: SeenClicks, *hours: int) -> None:
    seen.refresh(np.array([START + hour * HOUR for hour in hours], np.int64))


def test_an_equal_hash_is_no_equal_id(lake: Lake) -> None:
    seen = SeenClicks(lake, 9 * HOUR)
    refresh(seen, 3)
    assert known(seen, "c1", "x") == [True, False]
    (hash_,) = seen._connection.sql("SELECT hash('x')").fetchnumpy()["hash('x')"]
    seen._clicks.add(np.array([START // HOUR]), np.array([hash_], np.uint64))
    assert known(seen, "c1", "x") == [True, False]


def test_it_hears_of_rows_that_others_add_and_not_of_rows_moved(lake: Lake) -> None:
    seen = SeenClicks(lake, 9 * HOUR)
    refresh(seen, 3)
    assert len(seen) == 4
    add_rows(lake, "clicks", [click(START, 9, "late"), click(START - 99 * HOUR, 9, "old")])
    refresh(seen, 3)
    assert known(seen, "late", "old", "c0") == [True, False, True]
    assert compact(lake, START + 99 * HOUR, START + 99 * HOUR)[0].files == 2
    refresh(seen, 3)
    assert len(seen) == 5
    assert known(seen, "late", "c0") == [True, True]


def test_a_lake_that_was_put_back_is_read_anew(lake: Lake) -> None:
    """From a copy that is older: what was committed since is gone, and known no longer."""
    copy = shutil.copytree(lake.home, lake.home.with_name("copy"))
    add_rows(lake, "clicks", [click(START, 9, "gone")])
    seen = SeenClicks(lake, 9 * HOUR)
    refresh(seen, 3)
    assert known(seen, "gone", "c0") == [True, True]
    shutil.rmtree(lake.home)
    copy.rename(lake.home)
    refresh(seen, 3)
    assert known(seen, "gone", "c0") == [False, True]


def test_an_hour_is_kept_for_a_while_after_it_was_needed(lake: Lake) -> None:
    seen = SeenClicks(lake, HOUR)
    refresh(seen, 1)
    assert len(seen) == 2
    for _ in range(KEPT_REFRESHES):
        refresh(seen, 3)
    assert len(seen) == 4
    refresh(seen, 3)
    assert len(seen) == 2
    refresh(seen, 0, 3)
    assert known(seen, "c0", "c1") == [True, False]
