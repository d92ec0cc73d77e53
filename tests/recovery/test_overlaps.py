"""Runs that overlap, reverts, imports and clocks: what stands in the ledger after them."""

from pathlib import Path

import pytest

from recovery.publishing import propose, propose_revert, publish, revert
from replay.lake import Lake
from replay.summary import Tally
from scorer.errors import BadInput
from tests.lakes import add_rows
from tests.oracles.ledger import verdict_id
from tests.recovery.corrections import (
    BY_TWO,
    SAID,
    SOON,
    SPAN,
    effective,
    known,
    known_clicks,
    known_ledger,
    moves,
)
from tests.recovery.ledgers import all_terms, assert_ledger, stored
from tests.versions import HOUR, run, verdict

ALL, CREDITS = all_terms(rebill=True), all_terms(rebill=False)
CLICKS = {row["click_id"]: row for row in known_clicks()}
DAY = 24 * HOUR


def decided(name: str) -> dict[str, str]:
    """Return click → what a run of the known lake decided."""
    found: dict[str, str] = known().runs[name].by_click("decisions", "decision")
    return found


def reasons(lake: Lake, name: str) -> dict[str, str]:
    """Return click → cause of a run's verdicts."""
    mine = [row for row in stored(lake) if row["run_id"] == known().id(name)]
    return {row["click_id"]: row["reason"].partition("; ")[0] for row in mine}


PAIRS = [("two", "four"), ("four", "two"), ("none", "three"), ("two", "none")]


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_what_is_published_last_is_in_effect(tmp_path: Path, first: str, second: str) -> None:
    """In either order, of runs that were made before either was published."""
    lake, oracle = known().copy(tmp_path), known_ledger()
    for at, name in enumerate((first, second)):
        publish(lake, known().id(name), ALL, SOON + at)
        oracle.publish(
            known().id(name), known().runs[name].rows("decisions"), SOON + at, rebill=True
        )
    rows = assert_ledger(lake, oracle)
    assert effective(rows) == decided(second)


def test_an_older_run_after_a_newer_one_decides_all_of_its_clicks(tmp_path: Path) -> None:
    """Also u2, of which the older run had no change: it agrees with production."""
    lake, oracle = known().copy(tmp_path), known_ledger()
    newer = run(lake, "four", SPAN)
    for ran in (newer, known().runs["two"]):
        publish(lake, ran.manifest.run_id, ALL, SOON)
        oracle.publish(ran.manifest.run_id, ran.rows("decisions"), SOON, rebill=True)
    rows = assert_ledger(lake, oracle)
    last = rows[-1]
    assert (last["click_id"], last["run_id"]) == ("u2", known().id("two"))
    assert last["follows"] == verdict_id("u2", None)
    assert moves(rows[-2:]) == {
        "u1": BY_TWO["u1"],
        "u2": ("valid", "invalid", -500_000),
    }
    assert reasons(lake, "two") == {"u1": "unattributable", "u2": "verdict"}
    assert effective(rows) == decided("two")


def test_a_cause_says_why_production_was_wrong(tmp_path: Path) -> None:
    """Also of clicks that the run had no change for, as a verdict stood where it would put them.

    Causes are found against production's decision; replaying the span now gives that.
    """
    lake = known().copy(tmp_path)
    publish(lake, known().id("two"), ALL, SOON)
    same = run(lake, "two", SPAN)
    assert same.rows("changes") == []
    publish(lake, known().id("none"), ALL, SOON)
    publish(lake, same.manifest.run_id, ALL, SOON)
    rows = [row for row in stored(lake) if row["run_id"] == same.manifest.run_id]
    found = {row["click_id"]: row["reason"].partition("; ")[0] for row in rows}
    assert set(found) == {"u1", "u2", "u3", "u4", "u5"}
    assert found["u2"] == "verdict"  # production says what the run says
    assert (found["u4"], found["u5"]) == ("availability", "availability")
    assert "verdict" not in (found["u1"], found["u3"])  # production said valid


U1, U2 = CLICKS["u1"]["ts"], CLICKS["u2"]["ts"]
OPEN_OR_NOT = [
    (U1 + 72 * HOUR - 1, {"too_early": Tally(2, -750_000)}),
    (U2 + 72 * HOUR - 1, {"not_purchased": Tally(1, -250_000), "too_early": Tally(1, -500_000)}),
    (U2 + 72 * HOUR, {"not_purchased": Tally(2, -750_000)}),
]


@pytest.mark.parametrize(("known_until", "outcomes"), OPEN_OR_NOT)
def test_outcomes_are_those_that_the_run_could_know(
    tmp_path: Path, known_until: int, outcomes: dict[str, Tally]
) -> None:
    """Of u1, that the run had a change for, and of u2, that it had none for, alike."""
    lake = known().copy(tmp_path)
    buys = {"ts": known_until, "purchase_id": "p", "user_id": "somebody"}
    add_rows(lake, "purchases", [buys])
    two = run(lake, "two", SPAN).manifest.run_id
    bought = {"ts": SOON + 99 * DAY, "purchase_id": "q", "click_id": "u2"}
    add_rows(lake, "purchases", [bought])  # what is bought after the run is no news to it
    publish(lake, known().id("four"), ALL, SOON)
    proposal = propose(lake, two, ALL, SOON).proposal
    assert proposal.moves == {"valid → invalid": Tally(2, -750_000)}
    assert proposal.outcomes == outcomes


def test_a_purchase_is_an_outcome_whether_the_run_had_a_change_or_not(tmp_path: Path) -> None:
    lake = known().copy(tmp_path)
    for click_id in ("u1", "u2"):
        bought = {"ts": U2, "purchase_id": click_id, "click_id": click_id}
        add_rows(lake, "purchases", [bought])
    two = run(lake, "two", SPAN).manifest.run_id
    publish(lake, known().id("four"), ALL, SOON)
    assert propose(lake, two, ALL, SOON).proposal.outcomes == {"purchased": Tally(2, -750_000)}


def test_a_revert_restores_what_is_still_its_own(tmp_path: Path) -> None:
    lake, oracle = known().copy(tmp_path), known_ledger()
    for name in ("two", "three"):
        publish(lake, known().id(name), ALL, SOON)
        oracle.publish(known().id(name), known().runs[name].rows("decisions"), SOON, rebill=True)
    proposal = propose_revert(lake, known().id("two"), ALL, SOON).proposal
    assert proposal.superseded == {known().id("three"): 1}
    revert(lake, known().id("two"), ALL, SOON)
    oracle.revert(known().id("two"), SOON, rebill=True)
    rows = assert_ledger(lake, oracle)
    assert moves(rows[-3:]) == {
        "u3": ("invalid", "valid", 0),
        "u4": ("invalid", "undecided", 250_000),
        "u5": ("invalid", "undecided", 1_000_000),
    }
    for row in rows[-3:]:
        assert row["run_id"] == f"revert-{known().id('two')}"
        assert row["reason"].startswith(f"revert of {known().id('two')}; overriding ")
        assert (row["model_version"], row["probability"]) == (None, None)
        assert row["follows"] == verdict_id(row["click_id"], None)
    with pytest.raises(BadInput) as caught:
        revert(lake, known().id("two"), ALL, SOON)
    said = str(caught.value)
    assert "nothing is left to undo" in said
    assert known().id("three") in said
    assert f"revert-{known().id('two')}" in said
    assert stored(lake) == rows


def test_a_revert_without_rebill_and_then_with(tmp_path: Path) -> None:
    lake, oracle = known().copy(tmp_path), known_ledger()
    ran = known().runs["four"]
    publish(lake, known().id("four"), ALL, SOON)
    oracle.publish(known().id("four"), ran.rows("decisions"), SOON, rebill=True)
    for number, terms in enumerate((CREDITS, ALL)):
        record = revert(lake, known().id("four"), terms, SOON + number)
        oracle.revert(known().id("four"), SOON + number, rebill=terms.rebill)
        assert_ledger(lake, oracle)
        withheld = Tally(0, 0) if terms.rebill else Tally(3, 1_250_000)
        assert record.withheld == withheld
        assert (record.verdicts, record.rebill) == (3 if terms.rebill else 1, terms.rebill)
        if not terms.rebill:
            assert moves(stored(lake)[-1:]) == {"u2": ("valid", "invalid", -500_000)}
            with pytest.raises(BadInput, match="re-bills of 3 clicks, which are withheld"):
                revert(lake, known().id("four"), terms, SOON)
    assert effective(stored(lake)) == {**SAID, "u5": "undecided"}


def test_reverts_of_reverts(tmp_path: Path) -> None:
    lake, oracle = known().copy(tmp_path), known_ledger()
    publish(lake, known().id("two"), ALL, SOON)
    oracle.publish(known().id("two"), known().runs["two"].rows("decisions"), SOON, rebill=True)
    name = known().id("two")
    for depth in range(1, 4):
        record = revert(lake, name, ALL, SOON + depth)
        oracle.revert(name, SOON + depth, rebill=True)
        assert (record.of, record.run_id) == (name, f"revert-{name}")
        rows = assert_ledger(lake, oracle)
        with pytest.raises(BadInput, match="nothing is left to undo"):
            revert(lake, name, ALL, SOON + depth)
        name = record.run_id
        owed = sum(row["adjustment_micros"] for row in rows)
        assert owed == (0 if depth % 2 else -1_500_000)
    assert rows[-1]["run_id"] == f"revert-revert-revert-{known().id('two')}"
    with pytest.raises(BadInput, match="nothing is left to undo"):
        revert(lake, known().id("two"), ALL, SOON)


def test_a_run_made_after_a_revert_is_published_beside_it(tmp_path: Path) -> None:
    """The same decisions again, under another run: every verdict id is new."""
    lake, oracle = known().copy(tmp_path), known_ledger()
    publish(lake, known().id("two"), ALL, SOON)
    revert(lake, known().id("two"), ALL, SOON)
    oracle.publish(known().id("two"), known().runs["two"].rows("decisions"), SOON, rebill=True)
    oracle.revert(known().id("two"), SOON, rebill=True)
    again = run(lake, "two", SPAN)
    publish(lake, again.manifest.run_id, ALL, SOON)
    oracle.publish(again.manifest.run_id, again.rows("decisions"), SOON, rebill=True)
    rows = assert_ledger(lake, oracle)
    assert len(rows) == 12
    proposal = propose_revert(lake, known().id("two"), ALL, SOON).proposal
    assert proposal.superseded == {again.manifest.run_id: 4}


def test_months_later_and_with_a_clock_that_steps_back(tmp_path: Path) -> None:
    lake = known().copy(tmp_path)
    steps = (
        (publish, "two", SOON, SOON),
        (publish, "three", SOON - 40 * DAY, SOON),
        (revert, "three", SOON + 200 * DAY, SOON + 200 * DAY),
        (publish, "four", SOON, SOON + 200 * DAY),
        (revert, "two", SOON + 200 * DAY + 1, SOON + 200 * DAY + 1),
    )
    for correct, name, clock, issued in steps:
        before = len(stored(lake))
        record = correct(lake, known().id(name), ALL, clock)
        rows = stored(lake)
        assert {row["issued_at"] for row in rows[before:]} == {issued}
        assert record.at.timestamp() == issued / 1e6
    assert [row["issued_at"] for row in rows] == sorted(row["issued_at"] for row in rows)


def test_a_clock_that_steps_back_makes_no_click_young_again(tmp_path: Path) -> None:
    lake = known().copy(tmp_path)
    publish(lake, known().id("two"), ALL, SOON + 100 * DAY)
    proposal = propose_revert(lake, known().id("two"), ALL, SOON).proposal
    assert proposal.late == Tally(4, 1_500_000)


def imported(lake: Lake, said: dict[str, tuple[str, str, int]], number: int = 1) -> None:
    """Append verdicts of another system, numbered from `number`; their issue times go down."""
    rows = []
    for click_id, (previous, decision, micros) in said.items():
        row = verdict(CLICKS[click_id], decision, number, "theirs")
        stamp = {"issued_at": SOON + DAY - number}
        rows.append(row | stamp | {"previous": previous, "adjustment_micros": micros})
        number += 1
    add_rows(lake, "verdicts", rows)


def test_a_run_made_before_an_import_is_netted_against_it(tmp_path: Path) -> None:
    lake = known().copy(tmp_path)
    imported(lake, {"u1": BY_TWO["u1"], "u2": ("invalid", "valid", 500_000)})
    publish(lake, known().id("two"), ALL, SOON)
    rows = stored(lake)
    expected = {k: v for k, v in BY_TWO.items() if k != "u1"}
    assert moves(rows[2:]) == expected | {"u2": ("valid", "invalid", -500_000)}
    assert [row["follows"] for row in rows[2:]] == ["v2", None, None, None]
    assert rows[2]["verdict_id"] == verdict_id("u2", "v2")
    assert [row["ledger_seq"] for row in rows] == list(range(1, 7))


def test_issue_times_do_not_go_below_the_newest_of_an_import(tmp_path: Path) -> None:
    lake = known().copy(tmp_path)
    imported(lake, {"u1": BY_TWO["u1"], "u2": ("invalid", "valid", 500_000)})
    newest = max(row["issued_at"] for row in stored(lake))
    publish(lake, known().id("two"), ALL, SOON)
    assert {row["issued_at"] for row in stored(lake)[2:]} == {newest}


def test_an_import_is_reverted_like_a_run(tmp_path: Path) -> None:
    lake = known().copy(tmp_path)
    theirs = {
        "u1": BY_TWO["u1"],
        "u2": ("invalid", "valid", 500_000),
        "u4": ("undecided", "valid", 0),
    }
    imported(lake, theirs)
    publish(lake, known().id("three"), ALL, SOON)  # takes u1 and u2 and u4 back
    proposal = propose_revert(lake, "theirs", ALL, SOON).proposal
    assert (proposal.verdicts, proposal.superseded) == (0, {known().id("three"): 3})
    revert(lake, known().id("three"), ALL, SOON)
    with pytest.raises(BadInput, match=f"revert-{known().id('three')} came after"):
        revert(lake, "theirs", ALL, SOON)


def test_an_import_that_still_holds_is_undone_to_the_micro(tmp_path: Path) -> None:
    lake = known().copy(tmp_path)
    theirs = {"u1": ("valid", "invalid", -249_999), "u4": ("undecided", "valid", 0)}
    imported(lake, theirs)
    record = revert(lake, "theirs", ALL, SOON + 2 * DAY)
    rows = stored(lake)
    assert (record.run_id, record.of, record.verdicts) == ("revert-theirs", "theirs", 2)
    assert moves(rows[2:]) == {
        "u1": ("invalid", "valid", 249_999),
        "u4": ("valid", "undecided", 0),
    }
    assert [row["follows"] for row in rows[2:]] == ["v1", "v2"]
    assert rows[2]["verdict_id"] == verdict_id("u1", "v1")
