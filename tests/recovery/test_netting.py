"""Netting: a run's decisions against what is in effect when it is published."""

from pathlib import Path

import pytest

from recovery.ledger import publications
from recovery.publishing import propose, publish
from replay.compaction import DAY, compact
from replay.recording import record_run
from replay.span import now_micros
from scorer.errors import BadInput
from tests.lakes import add_rows, click
from tests.recovery.corrections import (
    BY_TWO,
    PRICES,
    SOON,
    SPAN,
    effective,
    known,
    known_clicks,
    known_lake,
    moves,
)
from tests.recovery.ledgers import all_terms, stored
from tests.versions import HOUR, START, Ran, at_least, burst, logged, probability, run

ALL = all_terms(rebill=True)


def test_what_already_holds_needs_no_verdict(tmp_path: Path) -> None:
    lake = known().copy(tmp_path)
    publish(lake, known().id("two"), ALL, SOON)
    again = run(lake, "two", SPAN).manifest.run_id
    assert propose(lake, again, ALL, SOON).proposal.verdicts == 0
    with pytest.raises(BadInput, match="nothing to publish, its decisions are all in effect"):
        publish(lake, again, ALL, SOON)
    assert len(publications(lake)) == 1


def test_a_run_with_a_condition_corrects_only_its_own(tmp_path: Path) -> None:
    lake = known().copy(tmp_path)
    some = run(lake, "two", SPAN, where="advertiser_id = 'adv1'")
    proposal = propose(lake, some.manifest.run_id, ALL, SOON).proposal
    assert (proposal.clicks, proposal.spend_micros) == (3, sum(PRICES[:3]))
    publish(lake, some.manifest.run_id, ALL, SOON)
    assert moves(stored(lake)) == {"u1": BY_TWO["u1"]}
    publish(lake, known().id("two"), ALL, SOON)
    assert moves(stored(lake)) == BY_TWO
    assert [row["follows"] for row in stored(lake)] == [None] * 4


def test_a_borderline_or_undecided_click_stays_as_it_is(tmp_path: Path) -> None:
    """Also where another run's verdict came after the run, so that every click is looked at."""
    lake = known().copy(tmp_path)
    two = at_least(lake, "base", 2)
    edge = at_least(lake, "edge", 2, threshold=probability(two, 3))
    close = run(lake, edge.name, SPAN)
    assert [r["click_id"] for r in close.rows("decisions") if r["borderline"]] == ["u2"]
    unknown = run(lake, "two", SPAN, features="logged")  # nothing logged any
    for name in ("none", "four"):
        publish(lake, known().id(name), ALL, SOON)
    before = effective(stored(lake))
    assert before["u2"] == "valid"
    with pytest.raises(BadInput, match="nothing to publish"):
        publish(lake, unknown.manifest.run_id, ALL, SOON)
    proposal = propose(lake, close.manifest.run_id, ALL, SOON).proposal
    with pytest.raises(BadInput, match="nothing to publish"):
        publish(lake, close.manifest.run_id, ALL, SOON)
    assert proposal.clicks == 6
    assert effective(stored(lake)) == before


def test_decisions_that_land_after_the_run_count(tmp_path: Path) -> None:
    """Production's word on u5 comes late, and agrees; on `late` it comes with the click."""
    lake = known().copy(tmp_path)
    rows = known_clicks()
    late = click(START + 10_000_000, 0, "late", user_id="u")
    add_rows(lake, "decisions", [logged(rows[6], None, "invalid"), logged(late, None, "valid")])
    add_rows(lake, "clicks", [late])
    publish(lake, known().id("two"), ALL, SOON)
    assert moves(stored(lake)) == {k: v for k, v in BY_TWO.items() if k != "u5"}
    publish(lake, known().id("none"), ALL, SOON)
    assert stored(lake)[-1]["click_id"] == "u5"
    assert moves(stored(lake)[3:])["u5"] == ("invalid", "valid", 1_000_000)


def test_a_run_as_of_an_earlier_moment_is_netted_against_now(tmp_path: Path) -> None:
    lake = known_lake(tmp_path, said={"u0": "valid", "u1": "valid"})
    then = now_micros() + 1_000
    while now_micros() < then + 2_000:  # commits are stamped to the millisecond
        pass
    rows = {row["click_id"]: row for row in known_clicks()}
    add_rows(lake, "decisions", [logged(rows[c], None, w) for c, w in (("u2", "invalid"),)])
    made = run(lake, "two", SPAN, as_of=then)
    assert made.by_click("changes", "kind")["u2"] == "missing"
    publish(lake, made.manifest.run_id, ALL, SOON)
    assert moves(stored(lake)) == {
        "u1": ("valid", "invalid", -250_000),
        "u3": ("undecided", "invalid", 0),
        "u4": ("undecided", "invalid", -250_000),
        "u5": ("undecided", "invalid", -1_000_000),
    }


def test_compaction_between_run_and_publication_changes_nothing(tmp_path: Path) -> None:
    lake = known_lake(tmp_path, said={"u0": "valid", "u1": "valid"})
    rows = {row["click_id"]: row for row in known_clicks()}
    add_rows(lake, "decisions", [logged(rows["u2"], None, "invalid")])
    made = run(lake, "two", SPAN).manifest.run_id
    before = propose(lake, made, ALL, SOON).proposal
    done = compact(lake, START + 9 * DAY, START + 9 * DAY)
    assert {one.table: one.files for one in done}["decisions"] == 2
    assert propose(lake, made, ALL, SOON).proposal == before
    publish(lake, made, ALL, SOON)
    assert set(moves(stored(lake))) == {"u1", "u3", "u4", "u5"}


def test_runs_over_recorded_decisions(tmp_path: Path) -> None:
    lake = known_lake(tmp_path, said={})
    four = run(lake, "four", SPAN).manifest.run_id
    two = run(lake, "two", SPAN)
    assert set(two.by_click("changes", "kind").values()) == {"missing"}
    assert record_run(lake, four) == 6
    with pytest.raises(BadInput, match="nothing to publish"):
        publish(lake, four, ALL, SOON)  # its own decisions are production's now
    publish(lake, two.manifest.run_id, ALL, SOON)  # made before there were any
    expected = {"u1": ("valid", "invalid", -250_000), "u2": ("valid", "invalid", -500_000)}
    assert moves(stored(lake)) == expected
    later: Ran = run(lake, "two", SPAN)
    assert later.rows("changes") == []
    three = run(lake, "three", SPAN)
    assert three.by_click("changes", "cause") == {"u1": "verdict"}
    publish(lake, three.manifest.run_id, ALL, SOON)
    assert moves(stored(lake)[2:]) == {"u1": ("invalid", "valid", 250_000)}


def test_two_dates_are_numbered_in_log_order(tmp_path: Path) -> None:
    rows = [*burst(3, "b", START + 13 * HOUR), *burst(3, "a", START + 11 * HOUR)]
    lake = known_lake(tmp_path)
    add_rows(lake, "clicks", rows)
    made = run(lake, "two").manifest.run_id
    record = publish(lake, made, ALL, SOON)
    ids = [row["click_id"] for row in stored(lake)]
    assert ids == ["u1", "u3", "u4", "u5", "a0", "a1", "a2", "b0", "b1", "b2"]
    assert (record.first, record.last) == (1, 10)
