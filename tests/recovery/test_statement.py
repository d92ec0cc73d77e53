"""Statements: figures against plain Python, the edges of what they cover, and their forms."""

from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recovery.balances import Standing
from recovery.statement import Account, Statement, statement, total
from replay.span import Span
from scorer.errors import BadInput, Inconsistent
from tests.lakes import make_lake
from tests.oracles.ledger import Ledger, Verdict, billed
from tests.recovery.books import (
    CLICKS,
    DAY,
    MIDNIGHT,
    STEPS,
    Drawn,
    make_book,
    sample_book,
)

SLOW = settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
WORDS = ("valid", "invalid", "undecided")


def state(ledger: Ledger, upto: int) -> dict[str, str]:
    """Return each click's decision once the ledger had its first `upto` verdicts."""
    words = {click_id: ledger.first(click_id) for click_id in ledger.clicks}
    return words | {v.click_id: v.decision for v in ledger.verdicts if v.ledger_seq <= upto}


def counted(ledger: Ledger, clicks: Iterable[str], words: dict[str, str]) -> Standing:
    mine = [(words[c], billed(ledger.clicks[c], words[c])) for c in clicks]
    valid, invalid, undecided = (sum(w == word for w, _ in mine) for word in WORDS)
    return Standing(valid, invalid, undecided, sum(micros for _, micros in mine))


def action(verdict: Verdict) -> str:
    if (verdict.previous == "invalid") == (verdict.decision == "invalid"):
        return "neutral"
    return "credit" if verdict.decision == "invalid" else "re-bill"


def assert_account(
    account: Account, ledger: Ledger, clicks: list[str], first: int, last: int
) -> None:
    """One campaign's figures; `clicks` are those that are covered."""
    assert account.balance.gross == len(clicks)
    assert account.balance.before == counted(ledger, clicks, state(ledger, first - 1))
    assert account.balance.after == counted(ledger, clicks, state(ledger, last))
    mine: dict[tuple[str, str], list[Verdict]] = {}
    for verdict in ledger.verdicts:
        if verdict.click_id in clicks and first <= verdict.ledger_seq <= last:
            mine.setdefault((verdict.run_id, action(verdict)), []).append(verdict)
    assert [(item.run_id, item.action) for item in account.items] == list(mine)
    for item, verdicts in zip(account.items, mine.values(), strict=True):
        issued = [v.issued_at for v in verdicts]
        assert (item.first_issued, item.last_issued) == (min(issued), max(issued))
        assert (item.clicks, item.first) == (len(verdicts), verdicts[0].ledger_seq)
        valid, invalid, undecided = (
            sum((v.decision == word) - (v.previous == word) for v in verdicts) for word in WORDS
        )
        micros = sum(v.adjustment_micros for v in verdicts)
        assert item.change == Standing(valid, invalid, undecided, micros)


def assert_statement(found: Statement, ledger: Ledger, covered: set[str], *, all_: bool) -> None:
    """Every account of the clicks that are covered, and no other."""
    campaigns: dict[tuple[str, str], list[str]] = {}
    for click_id in covered:
        row = ledger.clicks[click_id]
        if found.advertiser_id in (None, row["advertiser_id"]):
            name = (row["advertiser_id"], row["campaign_id"])
            campaigns.setdefault(name, []).append(click_id)
    corrected = {v.click_id for v in ledger.verdicts if found.first <= v.ledger_seq <= found.last}
    wanted = {name for name, mine in campaigns.items() if all_ or corrected & set(mine)}
    assert [(a.advertiser_id, a.campaign_id) for a in found.accounts] == sorted(wanted)
    for account in found.accounts:
        mine = campaigns[account.advertiser_id, account.campaign_id]
        assert_account(account, ledger, mine, found.first, found.last)


def on_days_of(ledger: Ledger, first: int, last: int) -> set[str]:
    """Return the clicks of the days that some verdicts touch."""
    days = {v.ts // DAY for v in ledger.verdicts if first <= v.ledger_seq <= last}
    return {c for c, row in ledger.clicks.items() if row["ts"] // DAY in days}


HALVES = st.integers(0, 4).map(lambda k: MIDNIGHT + k * DAY // 2)
SPANS = st.one_of(
    st.none(),
    st.tuples(HALVES, HALVES).filter(lambda ends: ends[0] < ends[1]).map(lambda e: Span(*e)),
)


@given(
    CLICKS,
    STEPS,
    SPANS,
    st.sampled_from([None, "adv1"]),
    st.booleans(),
    st.sampled_from([1, 3_000_000]),
)
@SLOW
def test_figures_are_the_oracles(
    clicks: list[Drawn],
    steps: list[object],
    span: Span | None,
    advertiser: str | None,
    all_: bool,
    chunk: int,
) -> None:
    book = make_book(clicks, steps)
    ledger = book.oracle
    with TemporaryDirectory() as folder:
        lake = book.write(Path(folder))
        whole = statement(lake, span, None, advertiser, everyone=all_, chunk_clicks=chunk)
        runs = sorted({v.run_id for v in ledger.verdicts})
        of_runs = [statement(lake, None, run, advertiser, everyone=all_) for run in runs]
    assert (whole.first, whole.last) == (1, len(ledger.verdicts))
    covered = on_days_of(ledger, 1, len(ledger.verdicts))
    if span is not None:
        covered = {c for c, r in ledger.clicks.items() if span.start <= r["ts"] < span.end}
    assert_statement(whole, ledger, covered, all_=all_)
    for run, found in zip(runs, of_runs, strict=True):
        mine = [v.ledger_seq for v in ledger.verdicts if v.run_id == run]
        assert (found.first, found.last) == (min(mine), max(mine))
        assert_statement(found, ledger, on_days_of(ledger, *(min(mine), max(mine))), all_=all_)


def test_totals_are_sums(tmp_path: Path) -> None:
    found = statement(sample_book().write(tmp_path))
    (x, y), (z,) = found.advertisers.values()
    assert [x.campaign_id, y.campaign_id, z.campaign_id] == ["x", "y", "x"]
    whole = total(found.accounts)
    assert whole.balance.before == x.balance.before + y.balance.before + z.balance.before
    whole.check()
    assert [(i.run_id, i.action, i.clicks) for i in whole.items] == [
        ("r1", "credit", 3),
        ("r1", "re-bill", 1),
        ("r2", "re-bill", 1),
        ("r2", "neutral", 1),
        ("r2", "credit", 2),
        ("revert-r1", "re-bill", 2),
        ("revert-r1", "credit", 1),
        ("elsewhere", "credit", 1),
        ("elsewhere", "neutral", 2),
    ]
    net = sum(item.change.micros for item in whole.items)
    assert net == whole.balance.after.micros - whole.balance.before.micros == -750_000


def test_a_span_holds_its_start_and_not_its_end(tmp_path: Path) -> None:
    lake = sample_book().write(tmp_path)  # a00, a01, a02 are a µs apart
    for start, end, gross in ((0, 1, 1), (0, 2, 2), (1, 2, 1), (1, 3, 2)):
        found = statement(lake, Span(MIDNIGHT + start, MIDNIGHT + end))
        assert found.accounts[0].campaign_id == "x"
        assert found.accounts[0].balance.gross == gross


def test_what_does_not_add_up_is_refused(tmp_path: Path) -> None:
    book = sample_book()
    book.row("b10")["adjustment_micros"] += 1
    with pytest.raises(Inconsistent, match="campaign y of adv1 does not reconcile"):
        statement(book.write(tmp_path))


def test_a_decision_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    book = sample_book()
    book.decisions.append(book.decisions[0])
    with pytest.raises(Inconsistent, match="does not reconcile: of 6 clicks"):
        statement(book.write(tmp_path))


def test_an_unknown_run_is_named_with_those_near_it(tmp_path: Path) -> None:
    lake = sample_book().write(tmp_path)
    with pytest.raises(BadInput, match=r"run 'revert-r' has no verdict.*Did you mean revert-r1"):
        statement(lake, None, "revert-r")
    with pytest.raises(BadInput, match="run 'r1' has no verdict"):
        statement(make_lake(tmp_path / "empty"), None, "r1")


def test_an_id_is_never_sql(tmp_path: Path) -> None:
    lake = sample_book().write(tmp_path)
    assert statement(lake, None, None, "adv1' OR '1'='1").accounts == ()
