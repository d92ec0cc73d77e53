"""Weak labels and a training set as known at a moment: what came later changes nothing."""

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.config import LabelsConfig, LakeConfig
from replay.labels import MINUTE, weak_labels
from replay.lake import Lake
from replay.snapshot import Snapshot
from replay.span import Span
from replay.training import training_set
from scorer.spec import parse_spec
from scorer.training import TrainingSet
from tests.lakes import add_rows, click, make_lake
from tests.oracles import rfm

Row = dict[str, Any]
START = 1_772_323_200_000_000
HOUR = 60 * MINUTE
SPAN = Span(START, START + 4 * HOUR)
T = SPAN.end
SPEC = parse_spec({"counts": [{"entity": "user_id", "windows": ["1m@1s"]}]}, "test")
USERS = "abcdef"
CLICKS = [
    click(START + n * HOUR // 6, click_id=f"c{n}", user_id=USERS[n % 6], session_id=f"s{n % 2}")
    for n in range(24)
]


def purchase(ts: int, user: str | None, number: int, click_id: str | None = None) -> Row:
    """The later its number, the more it is worth."""
    amount = (number + 1) * 1_000_000
    row = {"purchase_id": f"p{number}", "ts": ts, "user_id": user, "click_id": click_id}
    return {**row, "amount_micros": amount}


KNOWN = [purchase(START - HOUR + n * HOUR // 2, "aabcdefa"[n], n) for n in range(8)]
LATE = [purchase(T + n, "bcdefb"[n], 10 + n, f"c{n}") for n in range(6)]


def configured(lake: Lake, **labels: int) -> Lake:
    rules = LabelsConfig.model_validate({"rfm_threshold": 9, **labels})
    config = LakeConfig(currency="USD", attribution_hours=1, session_clicks=2, labels=rules)
    return Lake(lake.home, config)


def lake_of(folder: Path | str, purchases: Sequence[Row], **labels: int) -> Lake:
    return configured(make_lake(folder, CLICKS, purchases=purchases), **labels)


def labelled(lake: Lake, known_by: int = T) -> tuple[list[str], list[str], int]:
    found = weak_labels(Snapshot.take(lake), SPAN, known_by)
    return found.purchasing.to_pylist(), found.accounts.to_pylist(), found.scored


def silent(units: int) -> None:
    """Hear of progress and say nothing."""


def gathered(snapshot: Snapshot) -> TrainingSet:
    return training_set(snapshot, SPEC, SPAN, silent)


def same(one: TrainingSet, other: TrainingSet) -> bool:
    pairs = [(getattr(one, f.name), getattr(other, f.name)) for f in fields(TrainingSet)]
    return all(np.array_equal(a, b) for a, b in pairs)


DRAWN = st.lists(
    st.tuples(
        st.integers(-4, 4).map(lambda k: T + k * HOUR // 2),
        st.sampled_from([*USERS, None]),
        st.sampled_from([None, None, "c0", "c7"]),
    ),
    max_size=12,
)


@settings(max_examples=25, deadline=None)
@given(drawn=DRAWN)
def test_purchases_after_a_moment_change_no_label_of_it(
    drawn: list[tuple[int, str | None, str | None]],
) -> None:
    purchases = [purchase(ts, user, n, named) for n, (ts, user, named) in enumerate(drawn)]
    before = [p for p in purchases if p["ts"] < T]
    with TemporaryDirectory() as every, TemporaryDirectory() as some:
        found = labelled(lake_of(every, purchases))
        assert found == labelled(lake_of(some, before))
    assert set(found[1]) == rfm.of_high_value(before, T, 9)


def test_a_training_set_knows_nothing_of_later_purchases(tmp_path: Path) -> None:
    known = gathered(Snapshot.take(lake_of(tmp_path / "known", KNOWN)))
    both = Snapshot.take(lake_of(tmp_path / "both", [*KNOWN, *LATE]))
    assert same(known, gathered(both))
    later = training_set(both, SPEC, SPAN, silent, known_by=T + HOUR)
    assert not np.array_equal(known.human, later.human)
    assert not np.array_equal(known.purchasing, later.purchasing)


def test_a_training_set_knows_nothing_that_landed_after_its_snapshot(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, KNOWN)
    pinned = Snapshot.take(lake)
    before = gathered(pinned)
    happened_before = [{**row, "ts": T - HOUR} for row in LATE]
    add_rows(lake, "purchases", happened_before)
    assert same(before, gathered(pinned))
    assert same(before, gathered(Snapshot.at_versions(lake, pinned.versions)))
    assert not same(before, gathered(Snapshot.take(lake)))


@pytest.mark.parametrize(("ts", "known"), [(T - MINUTE, False), (T - MINUTE - 1, True)])
def test_a_purchase_takes_its_time_to_arrive(tmp_path: Path, ts: int, known: bool) -> None:
    lake = lake_of(tmp_path, [purchase(ts, "a", 0, "c3")], arrival_minutes=1, rfm_threshold=3)
    assert labelled(lake) == ((["c3"], ["a"], 1) if known else ([], [], 0))


def test_every_click_of_an_account_of_high_value_is_human(tmp_path: Path) -> None:
    data = gathered(Snapshot.take(lake_of(tmp_path, [*KNOWN, purchase(START, None, 9, "c1")])))
    high = rfm.of_high_value(KNOWN, T, 9)
    assert 0 < len(high) < len(USERS)
    of_high = np.array([row["user_id"] in high for row in CLICKS])
    assert data.purchasing[1]
    assert np.array_equal(data.human, of_high | data.purchasing)
    assert (of_high & ~data.purchasing).any()
    assert (data.purchasing & ~of_high).any()


def test_no_account_reaches_a_score_of_16(tmp_path: Path) -> None:
    data = gathered(Snapshot.take(lake_of(tmp_path, KNOWN, rfm_threshold=16)))
    assert np.array_equal(data.human, data.purchasing)
    assert data.human.any()


def test_slices_and_flags_of_several_days_fit_the_clicks(tmp_path: Path) -> None:
    """The log is read in several pieces, whose slices differ."""
    day = 24 * HOUR
    devices, logged_in = ["tv", "pc", "app", "pc"], [True, False, True, True]
    clicks = [
        click(START + n * day, device=device, logged_in=flag, session_id=f"s{n}")
        for n, (device, flag) in enumerate(zip(devices, logged_in, strict=True))
    ]
    clicks += [click(START + n, n, device="tv", session_id=None) for n in (1, 2, 3)]
    clicks += [click(START + 2 * day + n, n, device="app", session_id="s2") for n in (1, 2)]
    clicks.sort(key=lambda row: row["ts"])
    snapshot = Snapshot.take(configured(make_lake(tmp_path, clicks)))
    span = Span(START, START + 4 * day)
    data = training_set(snapshot, SPEC, span, silent)
    keys = [f"device={c['device']},logged_in={str(c['logged_in']).lower()}" for c in clicks]
    assert [data.slice_keys[code] for code in data.slices] == keys
    assert data.slice_keys == tuple(sorted(set(keys)))
    assert data.slices.dtype == np.int32
    assert data.logged_in.tolist() == [c["logged_in"] for c in clicks]
    assert data.robotic.tolist() == [c["session_id"] == "s2" for c in clicks]
    by_device = training_set(snapshot, SPEC, span, silent, slice_columns=["device"])
    assert by_device.slice_keys == ("device=app", "device=pc", "device=tv")
    assert same(replace(by_device, slices=data.slices, slice_keys=data.slice_keys), data)
