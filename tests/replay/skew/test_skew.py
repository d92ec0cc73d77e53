"""Skew on small services, counted by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from replay.live.writers import Flushed, write_flushed
from replay.skew.comparison import measure, prepare
from replay.skew.report import Skew
from replay.span import Span
from scorer.spec import parse_spec
from tests.lakes import add_rows, click, make_lake
from tests.replay.skew.plain_service import (
    ALL,
    HOUR,
    MINUTE,
    SECOND,
    SPEC,
    PlainService,
    quiet,
    reasons,
)
from tests.versions import START, at_least, ignore, logged

FLAG = parse_spec({"flags": {"logged_in": True}}, "flag")
AGE = parse_spec(
    {"profiles": [{"table": "user", "column": "age", "default": 7.0}], "flags": {}}, "age"
)


def by_feature(found: Skew) -> dict[str, dict[str, int]]:
    return {f.name: dict(f.reasons) for f in found.features if f.different}


def test_a_clean_log_is_equal(tmp_path: Path) -> None:
    found = quiet().skew(tmp_path)
    assert (found.clicks, found.compared, found.equal) == (30, 30, 30)
    assert (found.different, found.unexplained, found.outside) == (0, 0, 0)
    assert (found.reasons, found.flushes, found.onsets, found.examples) == ((), (), (), ())
    assert found.missing == {}
    assert found.specs == {SPEC.digest: 30}
    assert [f.name for f in found.features] == list(SPEC.names)
    assert {f.compared for f in found.features} == {30}


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
    lake, _ = service.lake(tmp_path)
    for span in (ALL, Span(at, at + 1)):
        found = measure(prepare(lake, span), 5, ignore)
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


@pytest.mark.parametrize(("source", "reason"), [("import", "late"), ("unstamped", "unstamped")])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_click_that_is_not_live_promises_nothing(
    tmp_path: Path, source: str, reason: str, count: int
) -> None:
    """Whatever a foreign log says of its counters; but a flag must be the click's own."""
    service = PlainService()
    for second in (0, 1):
        service.take(START + second * SECOND, user_id="u", ip=None)
    row, facts, reals = service.decided[1]
    assert facts is not None
    flag = SPEC.facts.index("logged_in")
    service.clicks[1] |= {"source": source, "store_epoch": None}
    service.decided[1] = row, [*facts[:1], count, *facts[2:flag], 0, *facts[flag + 1 :]], reals
    found = service.skew(tmp_path)
    wrong = {"clicks_user_1h": {reason: 1}} if count != 2 else {}
    assert by_feature(found) == {**wrong, "logged_in": {"unexplained": 1}}
    assert (found.compared, found.outside) == (2, 1)


def test_a_lone_click_that_is_not_live_is_outside(tmp_path: Path) -> None:
    service = PlainService()
    service.take(START)
    service.clicks[0] |= {"source": "import", "store_epoch": None}
    found = service.skew(tmp_path)
    assert (found.equal, found.outside) == (1, 1)
