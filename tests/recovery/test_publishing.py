"""Publishing a run: the rows, the sums, what is left out, and how often it happens."""

from pathlib import Path

import pytest

from recovery.ledger import Publication, publications
from recovery.proposal import Proposal
from recovery.publishing import Terms, propose, propose_revert, publish, revert
from replay.span import to_datetime
from replay.summary import Tally
from scorer.errors import BadInput
from tests.lakes import Row
from tests.oracles.ledger import verdict_id
from tests.recovery.corrections import (
    BY_TWO,
    PRICES,
    SOON,
    SPAN,
    contents,
    known,
    known_clicks,
    moves,
)
from tests.recovery.ledgers import all_terms, stored
from tests.versions import HOUR, run

ALL, CREDITS = all_terms(rebill=True), all_terms(rebill=False)
NOTHING = {"clicks": 0, "micros": 0}


def test_every_column_of_the_rows(tmp_path: Path) -> None:
    lake = known().copy(tmp_path)
    record = publish(lake, known().id("two"), ALL, SOON)
    overridden = f"; overriding {', '.join(record.overrides)}: a test"
    probabilities = known().runs["two"].by_click("decisions", "probability")
    causes = {"u4": "availability", "u5": "availability"}
    clicks = {row["click_id"]: row for row in known_clicks()}
    assert stored(lake) == [
        {
            "verdict_id": verdict_id(click_id, None),
            "run_id": known().id("two"),
            "seq": clicks[click_id]["seq"],
            "click_id": click_id,
            "ts": clicks[click_id]["ts"],
            "issued_at": SOON,
            "previous": previous,
            "decision": decision,
            "adjustment_micros": micros,
            "advertiser_id": clicks[click_id]["advertiser_id"],
            "campaign_id": clicks[click_id]["campaign_id"],
            "model_version": "two",
            "probability": probabilities[click_id],
            "reason": causes.get(click_id, "unattributable") + overridden,
            "follows": None,
            "ledger_seq": number,
        }
        for number, (click_id, (previous, decision, micros)) in enumerate(BY_TWO.items(), 1)
    ]


def test_the_record_says_what_was_done_and_comes_back(tmp_path: Path) -> None:
    lake = known().copy(tmp_path)
    terms = Terms(overrides=ALL.overrides, reason='"é"\\', by="o'né")
    record = publish(lake, known().id("none"), terms, SOON)
    assert publications(lake) == [record]
    given = record.model_dump(exclude={"gates", "overrides"})
    assert given == {
        "action": "publish",
        "run_id": known().id("none"),
        "of": None,
        "at": to_datetime(SOON),
        "by": "o'né",
        "reason": '"é"\\',
        "rebill": False,
        "model_version": "none",
        "start": to_datetime(SPAN.start),
        "end": to_datetime(SPAN.end),
        "clicks": 6,
        "spend_micros": sum(PRICES),
        "verdicts": 2,
        "first": 1,
        "last": 2,
        "credits": NOTHING,
        "rebills": NOTHING,
        "neutral": 2,
        "withheld": {"clicks": 1, "micros": 500_000},
    }
    undone = revert(lake, known().id("none"), Terms(by="you"), SOON + 1)
    assert publications(lake) == [record, undone]
    assert (undone.of, undone.run_id) == (record.run_id, f"revert-{record.run_id}")
    assert (undone.action, undone.reason, undone.overrides) == ("revert", None, ())
    assert (undone.first, undone.last, undone.model_version) == (3, 4, None)
    assert Publication.model_validate_json(record.model_dump_json()) == record


def test_a_preview_writes_nothing(tmp_path: Path) -> None:
    lake = known().copy(tmp_path)
    before = contents(lake)
    for terms in (Terms(), ALL, CREDITS):
        propose(lake, known().id("two"), terms, SOON)
    assert contents(lake) == before
    publish(lake, known().id("two"), ALL, SOON)
    before = contents(lake)
    propose(lake, known().id("two"), ALL, SOON)
    propose(lake, known().id("none"), ALL, SOON)
    propose_revert(lake, known().id("two"), ALL, SOON)
    assert contents(lake) == before


@pytest.mark.parametrize("terms", [ALL, CREDITS], ids=["rebill", "withheld"])
@pytest.mark.parametrize("name", ["two", "four", "none"])
def test_sums_of_the_preview_are_those_of_the_rows(tmp_path: Path, name: str, terms: Terms) -> None:
    lake = known().copy(tmp_path)
    proposal = propose(lake, known().id(name), terms, SOON).proposal
    record = publish(lake, known().id(name), terms, SOON)
    assert_sums(proposal, record, stored(lake))
    held = terms is CREDITS and name != "two"
    assert proposal.withheld == record.withheld == (Tally(1, 500_000) if held else Tally(0, 0))
    before = len(stored(lake))
    proposal = propose_revert(lake, known().id(name), ALL, SOON).proposal
    assert (proposal.span, proposal.clicks, proposal.spend_micros) == (SPAN, 6, sum(PRICES))
    record = revert(lake, known().id(name), ALL, SOON)
    assert_sums(proposal, record, stored(lake)[before:])


def assert_sums(proposal: Proposal, record: Publication, rows: list[Row]) -> None:
    """Every sum of a proposal, and of its record, from the rows."""
    moved: dict[str, Tally] = {}
    causes: dict[str, Tally] = {}
    effects = {"credits": Tally(0, 0), "rebills": Tally(0, 0), "neutral": Tally(0, 0)}
    for row in rows:
        was, now = row["previous"] == "invalid", row["decision"] == "invalid"
        effect = "neutral" if was == now else "credits" if now else "rebills"
        cause = row["reason"].partition("; ")[0]
        cause = "revert" if cause.startswith("revert of ") else cause
        way = f"{row['previous']} → {row['decision']}"
        for tallies, key in ((moved, way), (causes, cause), (effects, effect)):
            old = tallies.get(key, Tally(0, 0))
            tallies[key] = Tally(old.clicks + 1, old.micros + row["adjustment_micros"])
    assert (proposal.moves, proposal.causes) == (moved, causes)
    assert effects["neutral"].micros == 0
    for held in (proposal, record):
        assert held.credits == effects["credits"]
        assert held.rebills == effects["rebills"]
        assert held.neutral == effects["neutral"].clicks
        assert held.verdicts == len(rows)
    assert proposal.net_micros == sum(row["adjustment_micros"] for row in rows)
    spends = {"adv1": sum(PRICES[:3]), "adv2": sum(PRICES[3:])}
    for one in proposal.advertisers:
        mine = [r["adjustment_micros"] for r in rows if r["advertiser_id"] == one.advertiser_id]
        assert one.credit_micros == sum(m for m in mine if m < 0)
        assert one.rebill_micros == sum(m for m in mine if m > 0)
        assert one.spend_micros == spends[one.advertiser_id]
    ordered = [one.credit_micros - one.rebill_micros for one in proposal.advertisers]
    assert ordered == sorted(ordered)
    assert sum(one.credited for one in proposal.advertisers) == proposal.credits.clicks
    assert sum(one.rebilled for one in proposal.advertisers) == proposal.rebills.clicks
    to_invalid = [row for row in rows if row["decision"] == "invalid"]
    if proposal.action == "publish":
        assert sum(t.clicks for t in proposal.outcomes.values()) == len(to_invalid)


def test_a_click_without_a_price_is_credited_and_billed_again(tmp_path: Path) -> None:
    lake = known().copy(tmp_path)
    record = publish(lake, known().id("two"), CREDITS, SOON)
    assert record.credits == Tally(4, -1_500_000)
    held = propose_revert(lake, known().id("two"), CREDITS, SOON).proposal
    assert (held.verdicts, held.withheld) == (0, Tally(4, 1_500_000))


def test_withheld_rebills_are_counted_and_not_published(tmp_path: Path) -> None:
    lake = known().copy(tmp_path)
    publish(lake, known().id("none"), CREDITS, SOON)
    assert moves(stored(lake)) == {
        "u4": ("undecided", "valid", 0),
        "u5": ("undecided", "valid", 0),
    }


def test_nothing_but_rebills_is_refused_and_stays_to_be_published(tmp_path: Path) -> None:
    lake = known().copy(tmp_path)
    only = run(lake, "none", SPAN, where="click_id = 'u2'").manifest.run_id
    with pytest.raises(BadInput, match=r"nothing is left but re-bills of 1 clicks?, .*--rebill"):
        publish(lake, only, CREDITS, SOON)
    assert (stored(lake), publications(lake)) == ([], [])
    publish(lake, only, ALL, SOON)
    assert moves(stored(lake)) == {"u2": ("invalid", "valid", 500_000)}


def test_a_second_time_adds_nothing_on_whatever_terms(tmp_path: Path) -> None:
    lake = known().copy(tmp_path)
    record = publish(lake, known().id("four"), CREDITS, SOON)
    before = contents(lake)
    for terms in (CREDITS, ALL, Terms()):  # gates would object to the last
        assert publish(lake, known().id("four"), terms, SOON + HOUR) == record
        assert propose(lake, known().id("four"), terms, SOON + HOUR).published == record
    assert contents(lake) == before
    assert revert(lake, known().id("four"), ALL, SOON).verdicts == 3
    before = contents(lake)
    assert publish(lake, known().id("four"), ALL, SOON + HOUR) == record
    assert contents(lake) == before
