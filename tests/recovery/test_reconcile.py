"""Reconciliation: figures against plain Python, and every check against a ledger that breaks it."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recovery.balances import Balance, Standing
from recovery.ledger import publications
from recovery.ledger_rules import LEDGER_RULES
from recovery.publishing import publish, revert
from recovery.reconcile import LEDGER_TABLES, Reconciliation, reconcile
from recovery.rules import CAMPAIGN_RULES, ROW_RULES
from replay.snapshot import Snapshot
from replay.summary import Tally
from scorer.errors import Inconsistent
from tests.lakes import click, make_lake
from tests.oracles.ledger import Ledger, billed
from tests.recovery.books import (
    CLICKS,
    DAY,
    NOW,
    STEPS,
    Book,
    Drawn,
    land,
    make_book,
    sample_book,
)
from tests.recovery.ledgers import MODELS, SPANS, all_terms, base, replayed

NAMES = [
    *(rule.name for rule in LEDGER_RULES),
    *(rule.name for rule in ROW_RULES),
    *(rule.name for rule in CAMPAIGN_RULES),
]


def failed(found: Reconciliation) -> set[str]:
    return {check.name for check in found.checks if not check.holds}


def standing(ledger: Ledger, clicks: list[str], *, now: bool) -> Standing:
    """Count clicks by what is in effect now, or by what production decided."""
    words = [(c, ledger.effective(c) if now else ledger.first(c)) for c in clicks]
    valid, invalid, undecided = (
        sum(w == word for _, w in words) for word in ("valid", "invalid", "undecided")
    )
    micros = sum(billed(ledger.clicks[c], word) for c, word in words)
    return Standing(valid, invalid, undecided, micros)


def expected(ledger: Ledger) -> dict[tuple[str, str], Balance]:
    """Return the campaigns of the days that the ledger touches."""
    touched = {v.ts // DAY for v in ledger.verdicts}
    campaigns: dict[tuple[str, str], list[str]] = {}
    for click_id, row in ledger.clicks.items():
        if row["ts"] // DAY in touched:
            campaigns.setdefault((row["advertiser_id"], row["campaign_id"]), []).append(click_id)
    return {
        name: Balance(
            len(mine), standing(ledger, mine, now=False), standing(ledger, mine, now=True)
        )
        for name, mine in campaigns.items()
    }


def assert_figures(found: Reconciliation, ledger: Ledger) -> None:
    """Every figure of a ledger that holds."""
    assert failed(found) == set()
    assert found.reconciles
    accounts = {(a.advertiser_id, a.campaign_id): a for a in found.campaigns}
    assert {name: a.balance for name, a in accounts.items()} == expected(ledger)
    moved = [(v.previous == "invalid", v.decision == "invalid") for v in ledger.verdicts]
    money = [v.adjustment_micros for v in ledger.verdicts]
    for tally, kind in (
        (found.totals.credits, (False, True)),
        (found.totals.rebills, (True, False)),
    ):
        micros = [m for m, k in zip(money, moved, strict=True) if k == kind]
        assert tally == Tally(len(micros), sum(micros))
    assert found.totals.neutral == sum(was == now for was, now in moved)
    assert found.totals.verdicts == len(money)
    assert found.totals.net_micros == sum(money) == sum(a.net_micros for a in found.campaigns)
    for name, (balance, net) in found.advertisers.items():
        mine = [a for a in found.campaigns if a.advertiser_id == name]
        assert (balance.gross, net) == (
            sum(a.balance.gross for a in mine),
            sum(a.net_micros for a in mine),
        )
        assert net == balance.after.micros - balance.before.micros
    looked = {check.name: check.looked for check in found.checks}
    assert list(looked) == NAMES
    for name in ("numbers", "ids", "click", "chain", "previous", "decision", "adjustment"):
        assert looked[name] == len(money)
    assert looked["click money"] == len(ledger.of)
    assert looked["campaign clicks"] == looked["campaign money"] == len(accounts)
    assert not any(check.examples for check in found.checks)


SLOW = settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])


@given(CLICKS, STEPS, st.sampled_from([1, 3_000_000]))
@SLOW
def test_figures_are_the_oracles(clicks: list[Drawn], steps: list[object], chunk: int) -> None:
    book = make_book(clicks, steps)
    with TemporaryDirectory() as folder:
        found = reconcile(book.write(Path(folder)), chunk)
    assert_figures(found, book.oracle)
    assert found.totals.publications == len(book.records)
    assert found.totals.imported == sum(v.run_id == "elsewhere" for v in book.oracle.verdicts)


@pytest.mark.parametrize("seed", range(3))
def test_what_is_published_and_reverted_reconciles(tmp_path: Path, seed: int) -> None:
    origin = base(seed, 40)
    lake, oracle = origin.copy(tmp_path / "lake"), origin.ledger()
    terms, now = all_terms(rebill=True), NOW
    for model, span in zip(MODELS, SPANS, strict=True):
        said = replayed(lake, origin, oracle, model, span)
        publish(lake, said.run_id, terms, now)
        oracle.publish(said.run_id, said.decisions, now, rebill=True)
        assert_figures(reconcile(lake), oracle)
    revert(lake, said.run_id, terms, now)
    oracle.revert(said.run_id, now, rebill=True)
    found = reconcile(lake)
    assert_figures(found, oracle)
    assert (found.totals.publications, found.totals.imported) == (4, 0)


def test_an_empty_ledger_reconciles(tmp_path: Path) -> None:
    for lake in (make_lake(tmp_path / "a"), make_lake(tmp_path / "b", [click(0)])):
        for _ in range(2):
            found = reconcile(lake)
            assert found.reconciles
            assert [check.looked for check in found.checks] == [0] * len(NAMES)
            assert (found.totals.verdicts, found.campaigns, found.days) == (0, (), 0)
            lake.ready("verdicts")  # the second time there is a table without rows


def test_what_lands_after_the_snapshot_is_not_looked_at(tmp_path: Path) -> None:
    book = sample_book()
    later = Book(book.clicks, book.production, book.commits[:1])
    lake = later.write(tmp_path)
    snapshot = Snapshot.take(lake, tables=LEDGER_TABLES)
    land(lake, book.commits[1], 1)
    records = publications(snapshot.lake, upto=snapshot.pinned["verdicts"].version)
    assert [record.run_id for record in records] == ["r1"]
    assert failed(reconcile(lake)) == set()


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    lake = sample_book().write(tmp_path)
    victim = sorted((lake.home / "clicks").rglob("*.parquet"))[0]
    victim.write_bytes(victim.read_bytes()[:100])
    with pytest.raises(Inconsistent, match=victim.name):
        reconcile(lake)
