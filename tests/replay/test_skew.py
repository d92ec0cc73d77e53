"""Skew on small services, counted by hand."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from replay.compaction import compact
from replay.errors import OutsideLog
from replay.skew import measure, prepare
from replay.skew_lookups import landings
from replay.skew_report import Skew
from replay.snapshot import Snapshot
from replay.span import Span, now_micros
from replay.writers import Flushed, write_flushed
from scorer.spec import parse_spec
from tests.lakes import Row, add_rows, click, make_lake
from tests.replay.plain_service import ALL, HOUR, MINUTE, SECOND, SPEC, PlainService
from tests.versions import START, at_least, ignore, logged

FLAG = parse_spec({"flags": {"logged_in": True}}, "flag")
AGE = parse_spec(
    {"profiles": [{"table": "user", "column": "age", "default": 7.0}], "flags": {}}, "age"
)
NOW = now_micros() // HOUR * HOUR
LATER = NOW + 24 * HOUR  # a snapshot of then lands in time, one of EARLIER does not
EARLIER = NOW - 24 * HOUR


def reasons(found: Skew) -> dict[str, tuple[int, int]]:
    return {reason.name: (reason.clicks, reason.values) for reason in found.reasons}


def by_feature(found: Skew) -> dict[str, dict[str, int]]:
    return {f.name: dict(f.reasons) for f in found.features if f.different}


def quiet(count: int = 30, step: int = 7 * SECOND) -> PlainService:
    """Two users take turns."""
    service = PlainService()
    for number in range(count):
        service.take(START + number * step, user_id=f"u{number % 2}")
    return service


def test_a_clean_log_is_equal(tmp_path: Path) -> None:
    found = quiet().skew(tmp_path)
    assert (found.clicks, found.compared, found.equal) == (30, 30, 30)
    assert (found.different, found.unexplained, found.outside) == (0, 0, 0)
    assert (found.reasons, found.flushes, found.onsets, found.examples) == ((), (), (), ())
    assert found.missing == {}
    assert found.specs == {SPEC.digest: 30}
    assert [f.name for f in found.features] == list(SPEC.names)
    assert {f.compared for f in found.features} == {30}


def test_a_flush_is_named_with_its_reach(tmp_path: Path) -> None:
    """The gap sees half an hour back, the counts up to an hour: seven clicks of u0 are touched."""
    service = PlainService()
    for minute in (0, 5, 10):
        service.take(START + minute * MINUTE, user_id="u0", ip=None)
    service.flush()
    for minute in (12, 20, 35, 59, 60, 70, 130):
        service.take(START + minute * MINUTE, user_id="u0", ip=None)
    service.take(START + 20 * MINUTE, user_id="new", ip=None)
    found = service.skew(tmp_path)
    (flush,) = found.flushes
    assert (flush.at, flush.click_id, flush.store_epoch) == (START + 12 * MINUTE, "k3", "e2")
    # At minute 60 the hour's six buckets begin at minute 10, so it still sees one lost click.
    assert (flush.reached, flush.different) == (5, 5)
    assert flush.last == START + 60 * MINUTE
    assert flush.features == {"clicks_user_1h": 5, "gap_ms_user": 1}
    assert reasons(found) == {"flush": (5, 6)}
    assert (found.outside, found.unexplained, found.onsets) == (5, 0, ())


def test_a_new_epoch_that_kept_its_counters_differs_in_nothing(tmp_path: Path) -> None:
    service = quiet(4)
    service.epoch += 1
    service.take(START + 30 * SECOND, user_id="u0")
    found = service.skew(tmp_path)
    (flush,) = found.flushes
    assert (flush.reached, flush.different, flush.features) == (1, 0, {})
    assert (found.different, found.outside) == (0, 1)


def test_two_stores_beside_each_other_are_told_apart(tmp_path: Path) -> None:
    """Epochs that take turns: each store counts its own clicks, and nothing is unexplained."""
    first, second = PlainService(), PlainService()
    second.epoch = 2
    for number in range(12):
        service = (first, second)[number % 2]
        row = service.take(START + number * SECOND, user_id="u", click_id=f"x{number:02}")
        row["seq"] = number
    first.clicks += second.clicks
    first.decided += second.decided
    found = first.skew(tmp_path)
    assert found.unexplained == 0
    assert found.different == 11
    assert [flush.store_epoch for flush in found.flushes] == ["e2"]


def test_clicks_that_the_store_missed_are_unstamped(tmp_path: Path) -> None:
    service = PlainService()
    service.take(START, user_id="u")
    service.take(START + 20 * SECOND, stamped=False, user_id="u", ip="other")
    service.take(START + 40 * SECOND, user_id="u")
    service.take(START + 50 * SECOND, user_id="w")
    service.take(START + 90 * MINUTE, user_id="u")
    found = service.skew(tmp_path)
    assert by_feature(found) == {
        "clicks_user_1m": {"unstamped": 1},
        "clicks_user_1h": {"unstamped": 1},
        "gap_ms_user": {"unstamped": 1},
    }
    assert reasons(found) == {"unstamped": (1, 3)}
    assert found.missing == {"no_features": 1}
    assert (found.outside, found.unexplained) == (1, 0)


def test_imported_clicks_are_late(tmp_path: Path) -> None:
    service = PlainService()
    service.take(START, user_id="u", ip="a")
    service.import_(START + 5 * SECOND, user_id="x", ip="a")
    service.take(START + 6 * SECOND, user_id="u", ip="a")
    found = service.skew(tmp_path)
    assert by_feature(found) == {
        "clicks_ip_user_agent_10m": {"late": 1},
        "users_ip_1h": {"late": 1},
    }
    assert found.missing == {"no_decision": 1}


@pytest.mark.parametrize(
    ("shift", "reason"), [(20, "retry"), (60, "retry"), (-60, "retry"), (-61, "unexplained")]
)
def test_a_click_counted_at_another_moment_is_a_retry(
    tmp_path: Path, shift: int, reason: str
) -> None:
    """The store counts it before this click, the log has it `shift` s before or after that.

    A minute's window begins 50 s or more before its click, so the bound lies further back.
    """
    service = PlainService(
        parse_spec({"counts": [{"entity": "user_id", "windows": ["10s@1s"]}], "flags": {}}, "s")
    )
    for second in range(0, 500, 100):
        service.take(START + second * SECOND, user_id="old", click_id=f"old{second}")
    at = START + 200 * SECOND
    first = at - 9 * SECOND if shift < 0 else at
    service.take(first + shift * SECOND, stamped=False, counted_at=at, user_id="u", click_id="r")
    service.take(at, user_id="u")
    found = service.skew(tmp_path)
    assert reasons(found) == {reason: (1, 1)}
    assert found.examples[0].logged == 2
    assert found.examples[0].recomputed == 1


def test_the_log_s_first_clicks_are_cold(tmp_path: Path) -> None:
    """The store counted clicks before the log began; that tells nothing, until windows pass it."""
    service = PlainService()
    service.take(START - 10 * MINUTE, user_id="u", kept=False, ip=None)
    service.take(START, user_id="u", ip=None, click_id="first")
    service.take(START + 45 * MINUTE, user_id="u", ip=None, click_id="cold")
    found = service.skew(tmp_path)
    assert {e.click_id for e in found.examples} == {"first", "cold"}
    assert reasons(found) == {"cold": (2, 3)}


def test_a_click_that_the_log_lost_is_a_surplus(tmp_path: Path) -> None:
    service = PlainService()
    service.take(START - 2 * HOUR, user_id="other", ip=None)
    service.take(START, user_id="u", ip=None)
    service.take(START + 100 * SECOND, user_id="u", ip=None, kept=False)
    for second in (110, 120, 4000):
        service.take(START + second * SECOND, user_id="u", ip=None, click_id=f"s{second}")
    found = service.skew(tmp_path)
    assert reasons(found) == {"unexplained": (2, 5)}
    (onset,) = found.onsets
    assert (onset.kind, onset.click_id, onset.clicks) == ("surplus", "s110", 2)
    assert (onset.at, onset.last) == (START + 110 * SECOND, START + 120 * SECOND)
    # The gap tells the lost click's millisecond, and that it came before.
    assert onset.after == START + 100 * SECOND - 999
    assert onset.features == {"clicks_user_1m": 2, "clicks_user_1h": 2, "gap_ms_user": 1}


def test_keys_deleted_by_hand_are_named_by_their_moment(tmp_path: Path) -> None:
    """No epoch changes; all the same two deletions an hour's window apart are told apart."""
    service = quiet(30)
    service.flush(new_epoch=False)
    first = START + 30 * 7 * SECOND
    for number in range(60):
        service.take(first + number * 7 * SECOND, user_id=f"u{number % 2}")
    service.flush(new_epoch=False)
    second = first + 60 * 7 * SECOND
    for number in range(30):
        service.take(second + number * 7 * SECOND, user_id=f"u{number % 2}")
    found = service.skew(tmp_path)
    assert [(o.kind, o.at) for o in found.onsets] == [("short", first), ("short", second)]
    assert [o.click_id for o in found.onsets] == ["k30", "k90"]
    assert found.unexplained == sum(o.clicks for o in found.onsets) == 90
    assert found.onsets[1].last == START + 119 * 7 * SECOND
    assert found.flushes == ()
    assert reasons(found) == {"unexplained": (90, found.reasons[0].values)}


@pytest.mark.parametrize("feature", SPEC.names)
def test_one_wrong_value_is_found_and_named(tmp_path: Path, feature: str) -> None:
    service = quiet(40)
    row, facts, reals = service.decided[33]
    assert facts is not None
    assert reals is not None
    facts, reals = [*facts], [*reals]
    if feature in SPEC.facts:
        facts[SPEC.facts.index(feature)] -= 1
    else:
        place = SPEC.reals.index(feature)
        reals[place] = float(np.nextafter(np.float32(reals[place]), np.float32(9)))
    service.decided[33] = row, facts, reals
    found = service.skew(tmp_path)
    assert by_feature(found) == {feature: {"unexplained": 1}}
    (example,) = found.examples
    assert (example.click_id, example.feature, example.others) == ("k33", feature, 0)
    assert example.logged != example.recomputed
    assert (found.equal, found.different, found.unexplained) == (39, 1, 1)
    (largest,) = [f.largest for f in found.features if f.largest]
    assert largest == example


def test_numbers_are_compared_by_their_bits(tmp_path: Path) -> None:
    """No number equals itself, and −0 is not 0."""
    nan = float("nan")
    rows = [click(START + k, k, f"c{k}", user_id=f"u{k}") for k in range(4)]
    ages = [{"key": f"u{k}", "valid_from": START, "age": age} for k, age in enumerate([nan, 0.0])]
    lake = make_lake(tmp_path, profiles_user=ages)
    version = at_least(lake, "v", 2, feature="logged_in", spec=AGE)
    values = [nan, -0.0, 7.0, nan]
    decisions = [logged(r, version, "valid", [1], [v]) for r, v in zip(rows, values, strict=True)]
    add_rows(lake, "decisions", decisions)
    add_rows(lake, "clicks", rows)
    found = measure(prepare(lake, ALL), 5, ignore)
    assert {e.click_id for e in found.examples} == {"c1", "c3"}
    assert found.to_json()["features"][1]["largest"]["logged"] is None


def test_what_is_missing_is_counted_by_why(tmp_path: Path) -> None:
    rows = [click(START + k, k, f"c{k}") for k in range(7)]
    lake = make_lake(tmp_path)
    version = at_least(lake, "v", 2, feature="logged_in", spec=FLAG)
    gone = at_least(make_lake(tmp_path / "other"), "w", 2, feature="logged_in", spec=AGE)
    decisions = [
        logged(rows[0], version, "valid", [1]),
        logged(rows[1], version, "valid", [1, 1]),
        logged(rows[2], version, "valid", [1], [0.5]),
        logged(rows[3], None, "undecided"),
        logged(rows[4], gone, "valid", [1], [7.0]),
        {**logged(rows[5], version, "valid", [1]), "reals": None},
    ]
    add_rows(lake, "decisions", decisions)
    add_rows(lake, "clicks", rows)
    found = measure(prepare(lake, ALL), 5, ignore)
    assert (found.clicks, found.compared, found.equal) == (7, 1, 1)
    assert found.missing == {
        "no_decision": 1,
        "no_features": 2,
        "unknown_spec": 1,
        "wrong_width": 2,
    }
    assert found.notes == (f"spec {AGE.digest[:12]} is of no stored version",)


def test_a_log_without_any_known_spec_compares_nothing(tmp_path: Path) -> None:
    found = measure(prepare(make_lake(tmp_path, [click(START)]), ALL), 5, ignore)
    assert (found.clicks, found.compared, found.missing) == (1, 0, {"no_decision": 1})
    assert found.features == ()


def test_clicks_are_compared_by_the_spec_that_they_were_logged_with(tmp_path: Path) -> None:
    """The same name with another window, side by side, and decisions in no order of time."""

    def spec(window: str) -> Any:  # noqa: ANN401
        data = {"counts": [{"entity": "user_id", "windows": [window]}], "flags": {}}
        return parse_spec(data, window)

    rows = [click(START + k * MINUTE, k, f"c{k}", user_id="u") for k in range(6)]
    lake = make_lake(tmp_path)
    coarse = at_least(lake, "coarse", 2, spec=spec("1h@30m"))
    fine = at_least(lake, "fine", 2, spec=spec("1h@1m"))
    versions = [coarse, fine, fine, coarse, fine, coarse]
    decisions = [
        logged(row, version, "valid", [k + 1, 1])
        for k, (row, version) in enumerate(zip(rows, versions, strict=True))
    ]
    decisions[2]["facts"] = [30, 1]
    add_rows(lake, "decisions", decisions[::-1])
    add_rows(lake, "clicks", rows)
    found = measure(prepare(lake, ALL), 5, ignore)
    assert found.specs == {coarse.spec.digest: 3, fine.spec.digest: 3}
    counts = {f.spec_digest: f for f in found.features if f.name == "clicks_user_1h"}
    assert {d: (f.compared, f.different) for d, f in counts.items()} == {
        coarse.spec.digest: (3, 0),
        fine.spec.digest: (3, 1),
    }
    (flags,) = [f for f in found.features if f.name == "logged_in"]
    assert (flags.compared, flags.spec_digest) == (6, None)
    assert [e.click_id for e in found.examples] == ["c2"]


def snapshots(*valid: int) -> Sequence[Row]:
    return [{"key": "u1", "valid_from": at, "age": float(k)} for k, at in enumerate(valid)]


@pytest.mark.parametrize(
    ("ages", "reason"),
    [([0.0, 1.0, 1.0], None), ([0.0, 0.0, 1.0], "unexplained"), ([7.0, 1.0, 1.0], "unexplained")],
)
def test_a_snapshot_that_landed_in_time_must_have_been_used(
    tmp_path: Path, ages: list[float], reason: str | None
) -> None:
    assert profile_skew(tmp_path, snapshots(LATER, LATER + HOUR), LATER, ages) == reason


@pytest.mark.parametrize(
    ("ages", "reason"),
    [([0.0, 0.0, 7.0], "profile"), ([0.0, 2.0, 1.0], "unexplained")],
)
def test_a_snapshot_that_landed_late_may_have_been_missed(
    tmp_path: Path, ages: list[float], reason: str
) -> None:
    assert profile_skew(tmp_path, snapshots(EARLIER, EARLIER + HOUR), EARLIER, ages) == reason


def profile_skew(home: Path, rows: Sequence[Row], first: int, ages: list[float]) -> str | None:
    """Log these ages for clicks at, 1 h after and 2 h after `first`; return the gravest reason."""
    clicks = [click(first + k * HOUR, k, f"c{k}", user_id="u1") for k in range(3)]
    lake = make_lake(home, profiles_user=rows)
    version = at_least(lake, "v", 2, feature="logged_in", spec=AGE)
    decisions = [
        logged(row, version, "valid", [1], [age]) for row, age in zip(clicks, ages, strict=True)
    ]
    add_rows(lake, "decisions", decisions)
    add_rows(lake, "clicks", clicks)
    found = measure(prepare(lake, Span(first, first + 9 * HOUR)), 5, ignore)
    return found.reasons[0].name if found.reasons else None


def test_a_part_of_the_log_is_compared_with_all_that_came_before(tmp_path: Path) -> None:
    """The flush lies before the span, and the first epoch before it."""
    service = quiet(10)
    service.flush()
    flushed = START + 10 * 7 * SECOND
    for number in range(10):
        service.take(flushed + number * 7 * SECOND, user_id="u0")
    lake, _ = service.lake(tmp_path)
    span = Span(flushed + 3 * 7 * SECOND, flushed + 6 * 7 * SECOND)
    found = measure(prepare(lake, span), 1, ignore)
    assert (found.clicks, found.different, found.unexplained) == (3, 3, 0)
    assert [(f.at, f.reached) for f in found.flushes] == [(flushed, 3)]
    assert (found.start, found.end) == (span.start, span.end)
    assert [e.click_id for e in found.examples] == ["k13"]
    with pytest.raises(OutsideLog, match="no click in"):
        prepare(lake, Span(START + HOUR, START + 2 * HOUR))


def test_time_is_cut_by_the_span(tmp_path: Path) -> None:
    service = quiet(20, MINUTE)
    row, facts, reals = service.decided[7]
    assert facts is not None
    service.decided[7] = row, [0, *facts[1:]], reals
    found = service.skew(tmp_path)
    assert found.bucket == 60 * SECOND
    assert [t.start for t in found.times] == [START + k * MINUTE for k in range(20)]
    assert [t.different for t in found.times] == [int(k == 7) for k in range(20)]
    assert [t.unexplained for t in found.times] == [int(k == 7) for k in range(20)]
    assert {(t.clicks, t.compared) for t in found.times} == {(1, 1)}


def test_a_compaction_lands_nothing_anew(tmp_path: Path) -> None:
    """The first snapshot landed in time for its valid_from, though its file is younger."""
    rows = [
        {"key": "u1", "valid_from": LATER, "age": 1.0},
        {"key": "u1", "valid_from": LATER + MINUTE, "age": 2.0},
    ]
    lake = make_lake(tmp_path, profiles_user=rows[:1])
    add_rows(lake, "profiles_user", rows[1:])
    (compacted,) = [c for c in compact(lake, LATER + 48 * HOUR, LATER + 48 * HOUR) if c.files]
    assert compacted.files == 2
    landed = landings(Snapshot.take(lake), "profiles_user")
    *_, first, second, merged = landed["landed"].to_pylist()
    assert first <= second == merged < now_micros()
    version = at_least(lake, "v", 2, feature="logged_in", spec=AGE)
    row = click(LATER + HOUR, user_id="u1")
    add_rows(lake, "decisions", [logged(row, version, "valid", [1], [1.0])])
    add_rows(lake, "clicks", [row])
    found = measure(prepare(lake, Span(LATER, LATER + 9 * HOUR)), 5, ignore)
    assert reasons(found) == {"unexplained": (1, 1)}


@pytest.mark.parametrize(
    ("settled", "closed", "expected"),
    [
        (110, False, {"unsettled": (2, 5)}),
        (120, False, {"unexplained": (1, 3), "unsettled": (1, 2)}),
        (110, True, {"unexplained": (2, 5)}),
    ],
)
def test_a_log_that_is_not_whole_yet_is_unsettled(
    tmp_path: Path, settled: int, closed: bool, expected: dict[str, tuple[int, int]]
) -> None:
    """What the store has counted and the log lacks may still come; what is lacking may not."""
    service = PlainService()
    service.take(START - 2 * HOUR, user_id="other", ip=None)
    service.take(START, user_id="u", ip=None)
    service.take(START + 100 * SECOND, user_id="u", ip=None, kept=False)
    for second in (110, 120):
        service.take(START + second * SECOND, user_id="u", ip=None)
    lake, _ = service.lake(tmp_path)
    until = START + settled * SECOND
    write_flushed(
        lake.home, Flushed(spool="ab", host="m", flushed_until=until, at=until, closed=closed)
    )
    found = measure(prepare(lake, ALL), 5, ignore)
    assert reasons(found) == expected
    assert any(note.startswith("unsettled") for note in found.notes) != closed
