"""Live profiles are those of a replay, whatever becomes of the cache on the way."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import replay.live.profiles
from replay.errors import NotALake
from replay.lake import Lake
from replay.live.profile_cache import KEPT, PRUNED_EVERY, ProfileCaches
from replay.live.profiles import LiveProfiles
from scorer.spec import Profile
from tests.lakes import Row, add_rows, make_lake

AGE = Profile(table="user", column="age", default=0.1)
SHOP = Profile(table="user", column="shop", default=True)
COUNT = Profile(table="ip", column="count", default=-1.0)
ALL = (AGE, SHOP, COUNT)
FAR = 10 * KEPT
GRID = st.integers(0, 4).map(lambda k: FAR + k * KEPT // 2)
ROW = st.fixed_dictionaries(
    {"key": st.sampled_from("ab"), "valid_from": GRID},
    optional={
        "age": st.sampled_from([None, 0.1, -0.0, 1e30, float("nan")]),
        "shop": st.sampled_from([None, False, True]),
    },
)
ROWS = st.lists(ROW, min_size=1, max_size=6, unique_by=lambda r: (r["key"], r["valid_from"]))


def oracle(rows: list[Row], profile: Profile, key: str | None, ts: int) -> float:
    """The definition: the latest row of the key with valid_from <= ts."""
    known = [r for r in rows if r["key"] == key and r["valid_from"] <= ts]
    latest = max(known, key=lambda r: int(r["valid_from"]), default={})
    found = latest.get(profile.column)
    return float(np.float32(profile.default if found is None else found))


def same(left: float, right: float) -> bool:
    return np.float32(left).tobytes() == np.float32(right).tobytes()


def served(spool: Path) -> LiveProfiles:
    profiles = LiveProfiles(spool)
    profiles.refresh()
    return profiles


@settings(max_examples=15)
@given(commits=st.lists(ROWS, min_size=1, max_size=3), now=GRID, keep_all=st.booleans())
def test_every_value_is_the_latest_as_of_the_click(
    tmp_path_factory: pytest.TempPathFactory, commits: list[list[Row]], now: int, keep_all: bool
) -> None:
    home = tmp_path_factory.mktemp("lake")
    lake, spool = make_lake(home / "lake"), home / "spool"
    caches = ProfileCaches(lake, spool, keep_all=keep_all)
    profiles, landed = LiveProfiles(spool), dict[tuple[str, int], Row]()
    for commit in commits:
        new = [row for row in commit if (row["key"], row["valid_from"]) not in landed]
        landed |= {(row["key"], row["valid_from"]): row for row in new}
        add_rows(lake, "profiles_user", new)
        caches.check(now)
        profiles.refresh()
        for profile in (AGE, SHOP):
            for key in ("a", "b", "c", None):
                for ts in range(FAR if keep_all else now - KEPT, FAR + 2 * KEPT + 1, KEPT // 4):
                    expected = oracle(list(landed.values()), profile, key, ts)
                    assert same(profiles.value(profile, key, ts), expected), (profile, key, ts)


def test_types_of_columns_are_cast_as_a_replay_casts_them(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"key": "a", "valid_from": 1, "age": 16_777_217, "shop": 2, "date_": 1e300},
        {"key": "b", "valid_from": 1, "age": 0, "shop": 0, 'a "quoted" name': True},
    ]
    lake = make_lake(tmp_path / "lake", profiles_user=rows)
    ProfileCaches(lake, tmp_path, keep_all=False).check(FAR)
    profiles = served(tmp_path)
    assert profiles.value(AGE, "a", FAR) == 16_777_216
    assert [profiles.value(SHOP, key, FAR) for key in "ab"] == [True, False]
    as_number = Profile(table="user", column="shop", default=0.5)
    assert [profiles.value(as_number, key, FAR) for key in "abc"] == [2, 0, 0.5]
    too_large = Profile(table="user", column="date_", default=0.5)
    assert np.isnan(profiles.value(too_large, "a", FAR)), "no score, as a replay has none either"


def test_superseded_snapshots_go_and_the_former_cache_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"key": "a", "valid_from": at, "age": float(at)} for at in (FAR, FAR + KEPT)]
    lake = make_lake(tmp_path / "lake", profiles_user=rows)
    caches = ProfileCaches(lake, tmp_path, keep_all=False)
    assert caches.check(FAR + KEPT)
    profiles = served(tmp_path)
    assert not caches.check(FAR + KEPT + PRUNED_EVERY), "nothing is superseded yet"
    assert caches.check(FAR + 2 * KEPT), "the first snapshot is an hour out of date"
    assert not caches.check(FAR + 20 * KEPT), "there is nothing left to drop"
    assert profiles.value(AGE, "a", FAR) == np.float32(FAR), "a worker keeps what it has mapped"
    assert profiles.refresh()
    assert profiles.loaded_at == FAR + 20 * KEPT
    assert profiles.value(AGE, "a", FAR) == np.float32(0.1)
    monkeypatch.setattr("replay.live.profile_cache.SUPERSEDED_SECONDS", -1.0)
    caches.check(FAR + 20 * KEPT)
    folders = sorted(path.name for path in (tmp_path / "profiles").iterdir() if path.is_dir())
    assert folders == ["ip-1", "user-2"]


def test_a_new_keeper_goes_on_with_what_is_there(tmp_path: Path) -> None:
    lake = make_lake(tmp_path / "lake", profiles_ip=[{"key": "x", "valid_from": 1, "count": 3}])
    ProfileCaches(lake, tmp_path, keep_all=False).check(FAR)
    caches = ProfileCaches(lake, tmp_path, keep_all=False)
    assert not caches.check(FAR)
    (tmp_path / "profiles" / "ip-1" / "meta.json").write_text("{")
    assert ProfileCaches(lake, tmp_path, keep_all=False).check(FAR)
    assert served(tmp_path).value(COUNT, "x", FAR) == 3
    whole = ProfileCaches(lake, tmp_path, keep_all=True)
    assert whole.check(FAR), "simulated time needs the history that the cache dropped"


def test_another_lake_in_the_same_place_is_read_anew(tmp_path: Path) -> None:
    rows = [{"key": "x", "valid_from": 1, "count": 3}]
    lake = make_lake(tmp_path / "lake", profiles_ip=rows)
    caches = ProfileCaches(lake, tmp_path, keep_all=False)
    caches.check(FAR)
    shutil.rmtree(lake.home)
    with pytest.raises(NotALake, match="away"):
        caches.check(FAR + 1)
    profiles = served(tmp_path)
    assert profiles.loaded_at == FAR, "nobody knows what the lake holds now"
    assert profiles.value(COUNT, "x", FAR) == 3
    lake = make_lake(tmp_path / "lake", profiles_ip=[{"key": "y", "valid_from": 1, "count": 4}])
    add_rows(lake, "profiles_ip", [{"key": "z", "valid_from": 1, "count": 5}])
    assert caches.check(FAR)
    profiles.refresh()
    assert [profiles.value(COUNT, key, FAR) for key in "xyz"] == [-1, 4, 5]


def test_keys_that_share_half_a_digest_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        {"key": key, "valid_from": v, "age": k + v} for k, key in enumerate("abc") for v in (0, 2)
    ]
    ProfileCaches(make_lake(tmp_path / "lake", profiles_user=rows), tmp_path, keep_all=True).check(
        0
    )
    folder = tmp_path / "profiles" / "user-1"
    order = np.fromfile(folder / "lo", "u8")
    np.arange(6, dtype="u8").__floordiv__(2).tofile(folder / "lo")
    np.full(6, 7, "u8").tofile(folder / "hi")
    halves = {
        k: (7, place) for place, k in enumerate(sorted("abc", key=lambda k: _place(k, order)))
    }
    monkeypatch.setattr(replay.live.profiles, "digest", lambda key: halves.get(key, (7, 9)))
    profiles = served(tmp_path)
    for k, key in enumerate("abc"):
        assert [profiles.value(AGE, key, ts) for ts in (0, 1, 2)] == [k, k, k + 2]
    assert profiles.value(AGE, "z", 2) == np.float32(0.1)


def _place(key: str, order: NDArray[np.uint64]) -> int:
    return int(np.flatnonzero(order == replay.live.profiles.digest(key)[1])[0])


def test_a_cache_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    lake = make_lake(tmp_path / "lake", profiles_ip=[{"key": "x", "valid_from": 1, "count": 3}])
    ProfileCaches(lake, tmp_path, keep_all=False).check(FAR)
    (tmp_path / "profiles" / "ip-1" / "v0").write_bytes(b"1234" * 2)
    with pytest.raises(ValueError, match="holds 2 values and not 1"):
        LiveProfiles(tmp_path).refresh()


def test_no_lake_opened_means_default_values(tmp_path: Path) -> None:
    profiles = served(tmp_path)
    assert (profiles.loaded_at, profiles.value(SHOP, "a", 1)) == (0, True)
    ProfileCaches(Lake.create(tmp_path / "lake", "USD"), tmp_path, keep_all=False).check(FAR)
    assert profiles.refresh()
    assert (profiles.loaded_at, profiles.value(COUNT, "a", 1)) == (FAR, -1)
