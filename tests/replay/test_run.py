"""What a run says: kinds of change and money, outcomes, and which clicks are scored."""

import time
from pathlib import Path
from typing import Any

import pytest

from replay.lake import Lake
from replay.span import Span, now_micros
from replay.summary import Tally
from tests.lakes import add_rows, click, make_lake
from tests.versions import BOTH, HOUR, START, at_least, burst, logged, probability, run, verdict

Row = dict[str, Any]
PRICE = 250_000


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Four clicks of one user, which `b` decides valid, invalid, invalid, invalid."""
    made = make_lake(tmp_path / "lake", burst(4))
    at_least(made, "b", 2)
    return made


def test_every_kind_and_its_money_against_the_effective_decision(tmp_path: Path) -> None:
    lake = make_lake(tmp_path)
    version = at_least(lake, "b", 2)
    rows = {name: burst(2, name, price_micros=100 + n) for n, name in enumerate("abcdefgh")}
    said = {
        "a": ("valid", None),  # to_invalid: -100
        "b": ("invalid", None),  # no change
        "c": ("undecided", None),  # newly_decided: -102
        "d": (None, None),  # missing: -103
        "e": ("valid", "invalid"),  # published already
        "f": ("invalid", "valid"),  # to_invalid against what was published: -105
        "g": (None, "invalid"),  # never logged, and settled since
        "h": (None, "undecided"),  # never logged, published as undecided: -107
    }
    decisions = [logged(row[0], version, "valid", [1]) for row in rows.values()]
    decisions += [
        logged(rows[name][1], version, word, [2]) for name, (word, _) in said.items() if word
    ]
    # Of the first clicks, two that were invalid come back: +100 and, undecided was billed, 0.
    decisions[0] = logged(rows["a"][0], version, "invalid", [1])
    decisions[1] = logged(rows["b"][0], version, "undecided")
    verdicts = [verdict(rows[name][1], v, n) for n, (name, (_, v)) in enumerate(said.items()) if v]
    for table, found in (("decisions", decisions), ("verdicts", verdicts)):
        add_rows(lake, table, found)
    add_rows(lake, "clicks", [row for pair in rows.values() for row in pair])
    done = run(lake, "b")
    assert [(r["click_id"], r["kind"], r["adjustment_micros"]) for r in done.rows("changes")] == [
        ("a0", "to_valid", 100),
        ("b0", "newly_decided", 0),
        ("a1", "to_invalid", -100),
        ("c1", "newly_decided", -102),
        ("d1", "missing", -103),
        ("f1", "to_invalid", -105),
        ("h1", "newly_decided", -107),
    ]
    assert done.summary.changes == {
        "to_invalid": Tally(2, -205),
        "to_valid": Tally(1, 100),
        "newly_decided": Tally(3, -209),
        "missing": Tally(1, -103),
    }
    (money,) = done.summary.advertisers
    assert (money.now_invalid, money.now_valid) == (5, 2)
    assert (money.credit_micros, money.rebill_micros) == (-517, 100)
    assert done.manifest.counts["adjustment_micros"] == -417


def test_what_cannot_be_scored_is_no_change(tmp_path: Path) -> None:
    lake = make_lake(tmp_path)
    version = at_least(lake, "v", 2, spec=BOTH)
    rows = burst(2)
    age = {"key": "u", "valid_from": START - HOUR, "age": float("nan")}
    add_rows(lake, "profiles_user", [age])
    add_rows(lake, "decisions", [logged(rows[0], version, "invalid")])
    add_rows(lake, "clicks", rows)
    done = run(lake, "v")
    assert done.by_click("decisions", "decision") == {"u0": "undecided", "u1": "undecided"}
    assert done.by_click("decisions", "probability") == {"u0": None, "u1": None}
    assert done.rows("changes") == []
    assert (done.summary.decided, done.summary.undecided) == (0, 2)


def test_a_borderline_click_is_no_change_and_counted(lake: Lake) -> None:
    version = at_least(lake, "a", 3)
    at_least(lake, "edge", 3, threshold=probability(version, 2))
    at_least(lake, "off", 3, threshold=probability(version, 2) - 1.1e-5)
    done = run(lake, "edge")
    assert list(done.by_click("changes", "kind")) == ["u0", "u2", "u3"]
    assert (done.summary.borderline, done.summary.withheld) == (1, 1)
    done = run(lake, "off")
    assert list(done.by_click("changes", "kind")) == ["u0", "u1", "u2", "u3"]
    assert (done.summary.borderline, done.summary.withheld) == (0, 0)


def test_a_borderline_click_that_is_no_change_is_not_withheld(tmp_path: Path) -> None:
    lake = make_lake(tmp_path)
    a = at_least(lake, "a", 3)
    edge = at_least(lake, "edge", 3, threshold=probability(a, 2))
    rows = burst(2)
    decided = [logged(rows[0], edge, "valid", [1]), logged(rows[1], edge, "invalid", [2])]
    add_rows(lake, "decisions", decided)
    add_rows(lake, "clicks", rows)
    summary = run(lake, "edge").summary
    assert (summary.borderline, summary.withheld, summary.changed.clicks) == (1, 0, 0)


@pytest.mark.parametrize(
    ("purchase", "until", "outcome"),
    [
        ({"user_id": "u"}, 72 * HOUR, "purchased"),
        ({"user_id": "u"}, 72 * HOUR + 1, "not_purchased"),
        ({"user_id": "v"}, 72 * HOUR, "not_purchased"),  # the whole window has been seen
        ({"user_id": "v"}, 72 * HOUR - 1, "too_early"),
        ({"click_id": "last"}, 200 * HOUR, "purchased"),
        ({"user_id": "u", "advertiser_id": "other"}, 72 * HOUR, "not_purchased"),
    ],
)
def test_outcomes_at_the_edges_of_the_window(
    tmp_path: Path, purchase: Row, until: int, outcome: str
) -> None:
    """One purchase `until` µs after the last click, which is the last that the lake knows of."""
    lake = make_lake(tmp_path)
    at_least(lake, "b", 2)
    bought = {"purchase_id": "p", "ts": START + until, **purchase}
    add_rows(lake, "purchases", [bought])
    add_rows(lake, "clicks", [click(START - 1, 0, "first", user_id="u")])
    add_rows(lake, "clicks", [click(START, 0, "last", user_id="u")])
    done = run(lake, "b")
    assert done.by_click("changes", "outcome") == {"last": outcome}
    assert done.summary.outcomes[outcome] == Tally(1, -PRICE)
    assert sum(tally.clicks for tally in done.summary.outcomes.values()) == 1


def test_slices_that_calibration_never_saw_are_held_to_the_overall_threshold(
    tmp_path: Path,
) -> None:
    seen = "device=desktop,logged_in=true"
    lake = make_lake(tmp_path, burst(2) + burst(2, "v", device="tv"))
    at_least(lake, "sliced", 2, slices={seen: 1.0})
    done = run(lake, "sliced")
    assert done.by_click("decisions", "unseen_slice") == {
        "u0": False,
        "u1": False,
        "v0": True,
        "v1": True,
    }
    assert done.by_click("decisions", "decision")["u1"] == "valid"
    assert done.by_click("decisions", "decision")["v1"] == "invalid"
    assert done.summary.unseen_slice == 2


def test_logged_features_where_production_logged_them(tmp_path: Path) -> None:
    lake = make_lake(tmp_path)
    b = at_least(lake, "b", 2)
    at_least(lake, "ip", 3, spec=BOTH, feature="clicks_ip_1h")
    at_least(lake, "user", 3, spec=BOTH)
    both = at_least(lake, "both", 3, spec=BOTH)
    rows = burst(5)
    decisions = [
        logged(rows[0], b, "valid", [7]),
        logged(rows[1], b, "valid"),
        logged(rows[2], both, "valid", [9, 1, 1], [3.0]),
        logged(rows[3], b, "undecided", [1]),
    ]
    add_rows(lake, "decisions", decisions)
    add_rows(lake, "clicks", rows)
    found = {v: run(lake, v, features="logged") for v in ("b", "ip", "user")}
    says = {v: list(done.by_click("decisions", "decision").values()) for v, done in found.items()}
    # Where nothing was logged nothing is said; b reads its user count from either spec.
    assert says == {
        "b": ["invalid", "undecided", "valid", "valid", "undecided"],
        "ip": ["valid", "undecided", "invalid", "invalid", "undecided"],
        "user": ["invalid", "undecided", "valid", "valid", "undecided"],
    }
    assert found["b"].summary.undecided == 2


def test_where_chooses_what_is_scored_and_features_see_every_click(lake: Lake) -> None:
    done = run(lake, "b", where="seq = 1 OR seq = 3 OR ad_id = 'x'")
    every = run(lake, "b").by_click("decisions", "probability")
    assert done.by_click("decisions", "probability") == {c: every[c] for c in ("u1", "u3")}
    assert (done.manifest.counts["read"], done.summary.clicks) == (4, 2)


def test_a_sample_is_of_users_and_always_the_same(tmp_path: Path) -> None:
    users = [f"user{n}" for n in range(40)]
    clicks = [row for user in users for row in burst(2, user)]
    clicks += [click(START, 9, f"null{n}", user_id=None) for n in range(40)]
    lake = make_lake(tmp_path / "one", clicks)
    other = make_lake(tmp_path / "two", clicks[::-1], commits=[range(60), range(60, 120)])
    for each in (lake, other):
        at_least(each, "b", 2)
    small, same, half, every = (
        run(where, "b", sample=share).by_click("decisions", "probability")
        for where, share in ((lake, "20%"), (other, "0.2"), (lake, "50%"), (lake, "100%"))
    )
    assert small == same
    assert small.items() <= half.items() <= every.items()
    assert every == run(lake, "b").by_click("decisions", "probability")
    assert 0 < len(small) < len(half) < len(every)
    for user in users:
        assert (f"{user}0" in half) == (f"{user}1" in half)  # users, not clicks
    assert 0 < sum(c.startswith("null") for c in half) < 40  # not one user called null


def test_as_of_reads_what_was_known_then(lake: Lake) -> None:
    time.sleep(0.01)
    then = now_micros()
    time.sleep(0.01)
    add_rows(lake, "clicks", [click(START - 1, 0, "late", user_id="u")])
    now, known = run(lake, "b"), run(lake, "b", as_of=then)
    assert known.by_click("decisions", "decision")["u0"] == "valid"
    assert now.by_click("decisions", "decision")["u0"] == "invalid"
    assert known.manifest.table_versions["clicks"] < now.manifest.table_versions["clicks"]


def test_time_without_a_log_costs_no_slices(lake: Lake) -> None:
    wide = Span(START - 9_000 * 24 * HOUR, START + 9_000 * 24 * HOUR)
    done = run(lake, "b", wide)
    assert done.manifest.slices == len(list((done.folder.path / "decisions").iterdir())) == 1
    assert done.manifest.span == wide
    assert done.rows("decisions") == run(lake, "b").rows("decisions")
