"""Every check of a reconciliation against a ledger in which exactly that is broken."""

from collections.abc import Callable
from pathlib import Path

import pytest

from recovery.ledger import RECORD
from recovery.reconcile import reconcile
from recovery.rules import EXAMPLES
from replay.summary import Tally
from replay.tables import VERDICTS
from scorer.errors import Inconsistent
from tests.lakes import to_table
from tests.recovery.books import DAY, MIDNIGHT, Book, decision, sample_book
from tests.recovery.test_reconcile import NAMES, assert_figures, failed

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


def test_every_surplus_verdict_of_an_id_is_counted(tmp_path: Path) -> None:
    book = sample_book()
    for click_id in ("b11", "b12"):
        book.row(click_id)["verdict_id"] = book.row("b10")["verdict_id"]
    (check,) = (c for c in reconcile(book.write(tmp_path)).checks if c.name == "ids")
    assert (check.looked, check.differ) == (14, 2)
    assert check.examples == (f"verdict {book.row('b10')['verdict_id']} stands 3 times",)


def test_a_record_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    lake = Book([], {}).write(tmp_path)
    rows = to_table(VERDICTS, sample_book().commits[-1].rows).to_batches()
    lake.append("verdicts", rows, ("r", 1), {RECORD: '{"of": "another make"}'})
    with pytest.raises(Inconsistent, match="version 1 of the table verdicts cannot be read"):
        reconcile(lake)
