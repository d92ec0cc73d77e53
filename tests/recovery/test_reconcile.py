"""Reconciliation: figures against plain Python, and every check against a ledger that breaks it."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recovery.balances import Balance, Standing
from recovery.ledger_rules import LEDGER_RULES
from recovery.publishing import publish, revert
from recovery.reconcile import LEDGER_TABLES, Reconciliation, reconcile, records
from recovery.rules import CAMPAIGN_RULES, EXAMPLES, ROW_RULES
from replay.snapshot import Snapshot
from replay.summary import Tally
from scorer.errors import Inconsistent
from tests.lakes import click, make_lake
from tests.oracles.ledger import Ledger, billed
from tests.recovery.books import (
    CLICKS,
    DAY,
    MIDNIGHT,
    NOW,
    STEPS,
    Book,
    Drawn,
    decision,
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


Break = Callable[[Book], object]


def shift(book: Book) -> None:
    book.row("b12")["ledger_seq"] += 1


def repeat(book: Book) -> None:
    book.row("b12")["ledger_seq"] -= 1


def from_zero(book: Book) -> None:
    """The import after it takes the place."""
    book.row("b12")["ledger_seq"] = 0


def same_id(book: Book) -> None:
    book.row("b12")["verdict_id"] = book.row("b11")["verdict_id"]


def foreign_id(book: Book) -> None:
    book.row("a10")["verdict_id"] = "of another make"


def lost_row(book: Book) -> None:
    """The last verdict of all, which a record counts."""
    book.commits = book.commits[:2]
    book.commits[-1].rows.pop()


def stray_row(book: Book) -> None:
    book.row("b12")["run_id"] = "r2"


def record_figure(name: str, value: object) -> Break:
    def edit(book: Book) -> None:
        record = book.records[0]
        book.commits[0].record = record.model_copy(update={name: value})

    return edit


def column(click_id: str, name: str, value: object) -> Break:
    def edit(book: Book) -> None:
        book.row(click_id)[name] = value

    return edit


def no_click(book: Book) -> None:
    book.clicks = [row for row in book.clicks if row["click_id"] != "b11"]


def second_click(book: Book) -> None:
    book.clicks = [*book.clicks, *(row for row in book.clicks if row["click_id"] == "b11")]


def of_nothing(book: Book) -> None:
    """A second verdict on a click that claims to be the first: two were published at once."""
    book.import_("b11", "valid")
    book.row("b11").update(follows=None, verdict_id="another")


def same_followed(book: Book) -> None:
    book.import_("b11", "valid")
    first = book.row("b11")["follows"]
    book.import_("b11", "undecided")
    book.row("b11").update(follows=first)


def cancelling(book: Book) -> None:
    """A micro too much and a micro too little on one click."""
    book.row("b10")["adjustment_micros"] += 1
    book.import_("b10", "valid")
    book.row("b10")["adjustment_micros"] -= 1


def across_clicks(book: Book) -> None:
    """A micro too much on one click of a campaign, and a micro too little on another."""
    book.row("b10")["adjustment_micros"] += 1
    book.row("b11")["adjustment_micros"] -= 1


def late_decision(word: str) -> Break:
    """Production's decision of a click that it had not logged when it was corrected."""

    def edit(book: Book) -> None:
        row = next(row for row in book.clicks if row["click_id"] == "b01")
        book.decisions.append(decision(row, word))

    return edit


def second_decision(book: Book) -> None:
    row = next(row for row in book.clicks if row["click_id"] == "still")
    book.decisions.append(decision(row, "valid"))


SUMS = {"click money", "campaign money"}
MONEY = {"adjustment"} | SUMS
WRONG_START = {"previous", "adjustment", "publications"}
BROKEN: list[tuple[str, Break, set[str]]] = [
    ("a gap in the numbers", shift, {"numbers"}),
    ("a number twice", repeat, {"numbers"}),
    ("a number below 1", from_zero, {"numbers"}),
    ("an id twice", same_id, {"ids"}),
    ("a published id that is not of its click", foreign_id, {"published ids"}),
    ("a published verdict that is lost", lost_row, {"publications"}),
    ("a verdict that no record counts", stray_row, {"publications"}),
    ("a record of other money", record_figure("credits", Tally(3, -500_001)), {"publications"}),
    ("a record of more credits", record_figure("credits", Tally(4, -500_000)), {"publications"}),
    ("a record of other re-bills", record_figure("rebills", Tally(1, 1)), {"publications"}),
    ("a record of a neutral one", record_figure("neutral", 1), {"publications"}),
    ("a record of more verdicts", record_figure("verdicts", 5), {"publications"}),
    ("a record of a longer range", record_figure("last", 5), {"publications"}),
    ("another run's record", record_figure("run_id", "r9"), {"publications"}),
    ("another seq", column("a10", "seq", 77), {"click"}),
    ("another time", column("a10", "ts", MIDNIGHT + DAY + 5), {"click"}),
    ("another advertiser", column("b11", "advertiser_id", "adv2"), {"click"}),
    ("another campaign with money", column("b10", "campaign_id", "x"), {"click", "campaign money"}),
    ("a click that is lost", no_click, {"click"}),
    ("a click twice", second_click, {"click"}),
    ("two that say they are the first", of_nothing, {"chain"}),
    ("two that follow the same one", same_followed, {"chain"}),
    ("one that follows another click's", column("b11", "follows", "x"), {"chain"}),
    ("not from production's decision", column("b10", "previous", "undecided"), {"previous"}),
    ("not from the one before it", column("a01", "previous", "undecided"), WRONG_START),
    ("a decision that landed late", late_decision("valid"), {"previous"}),
    ("one that landed late, not billed", late_decision("invalid"), {"previous"} | SUMS),
    ("no change", column("b11", "decision", "valid"), {"decision"}),
    ("no decision", column("b11", "decision", "odd"), {"decision", "campaign clicks"}),
    ("a micro too much", column("b10", "adjustment_micros", -249_999), MONEY),
    ("two that cancel on a click", cancelling, {"adjustment"}),
    ("two that cancel in a campaign", across_clicks, {"adjustment", "click money"}),
    ("a decision twice", second_decision, {"campaign clicks"}),
]


@pytest.mark.parametrize(("_", "edit", "checks"), BROKEN, ids=[name for name, *_ in BROKEN])
def test_what_is_broken_is_named(tmp_path: Path, _: str, edit: Break, checks: set[str]) -> None:
    book = sample_book()
    edit(book)
    found = reconcile(book.write(tmp_path))
    assert failed(found) == checks
    assert not found.reconciles
    for check in found.checks:
        assert bool(check.examples) == (check.differ > 0)
        assert len(check.examples) <= min(check.differ, EXAMPLES) or check.name == "numbers"


def test_the_sample_holds_and_every_check_is_seen_to_fail(tmp_path: Path) -> None:
    book = sample_book()
    assert_figures(reconcile(book.write(tmp_path)), book.oracle)
    assert set().union(*(checks for _, _, checks in BROKEN)) == set(NAMES)


def test_a_verdict_filed_under_another_day_has_no_click_there(tmp_path: Path) -> None:
    book = sample_book()
    book.row("a10")["ts"] += 7 * DAY
    found = reconcile(book.write(tmp_path), 1)
    assert failed(found) == {"click", "campaign money"}
    (check,) = (c for c in found.checks if c.name == "click")
    assert "of click a10: no such click on its day" in check.examples[0]


def test_differences_are_counted_over_all_days_and_a_few_are_shown(tmp_path: Path) -> None:
    book = sample_book()
    for row in book.rows:
        row["seq"] += 1
    (check,) = (c for c in reconcile(book.write(tmp_path), 1).checks if c.name == "click")
    assert (check.looked, check.differ, len(check.examples)) == (14, 14, EXAMPLES)


def test_examples_say_which_and_what(tmp_path: Path) -> None:
    book = sample_book()
    shift(book)
    column("b10", "adjustment_micros", -7)(book)
    record_figure("credits", Tally(3, -9))(book)
    told = {c.name: c.examples for c in reconcile(book.write(tmp_path)).checks if not c.holds}
    assert told["numbers"] == ("after 13 comes 15",)
    assert told["click money"] == ("click b10 was moved -7 micros, due are -250000",)
    assert told["campaign money"] == (
        "campaign y of adv1: moved -250007 micros, billed after less before is -500000",
    )
    assert told["publications"] == (
        "publish of r1: its record and the table say credited micros -9 and -500000",
    )


def test_what_lands_after_the_snapshot_is_not_looked_at(tmp_path: Path) -> None:
    book = sample_book()
    later = Book(book.clicks, book.production, book.commits[:1])
    lake = later.write(tmp_path)
    snapshot = Snapshot.take(lake, tables=LEDGER_TABLES)
    land(lake, book.commits[1], 1)
    assert [record.run_id for record in records(snapshot)] == ["r1"]
    assert failed(reconcile(lake)) == set()


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    lake = sample_book().write(tmp_path)
    victim = sorted((lake.home / "clicks").rglob("*.parquet"))[0]
    victim.write_bytes(victim.read_bytes()[:100])
    with pytest.raises(Inconsistent, match=victim.name):
        reconcile(lake)
