"""A refund statement: what each campaign was billed before and after corrections, and why.

`before` and `after` are counted from the log, the items from the ledger: that before + items =
after is a finding, and is checked. Without a run, `before` is production's own decisions and
`after` those in effect now. With one, `before` is how things stood right before the run's first
verdict and `after` right after its last: every verdict between the two is an item, whichever run
it is of, and a later revert (`revert-RUN`) has a statement of its own.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace

import duckdb

from recovery.balances import (
    ACTION,
    CHUNK_CLICKS,
    DAY,
    Balance,
    Campaign,
    Standing,
    add_balances,
    balances,
    chunks,
    days,
    working,
)
from replay.errors import BadInput
from replay.lake import Lake
from replay.snapshot import Snapshot
from replay.span import Span
from replay.tables import CLICKS, DECISIONS, VERDICTS
from scorer.errors import Inconsistent, nearest


@dataclass(frozen=True)
class Item:
    """What one run's verdicts of one action did to a campaign.

    `action` is credit, re-bill or neutral. `clicks` is how many verdicts these are, `change` what
    they add to the campaign's standing; `first` is the first one's number in the ledger,
    `first_issued` and `last_issued` are µs, both inclusive.
    """

    action: str
    run_id: str
    first: int
    first_issued: int
    last_issued: int
    clicks: int
    change: Standing


@dataclass(frozen=True)
class Account:
    """A campaign: all its clicks before and after, and the items between, in the ledger's order."""

    advertiser_id: str
    campaign_id: str
    balance: Balance
    items: tuple[Item, ...]

    def check(self) -> None:
        """Raise Inconsistent unless every click has a decision and before + items = after."""
        gross, before, after = self.balance.gross, self.balance.before, self.balance.after
        moved = sum((item.change for item in self.items), before)
        if gross == before.clicks and moved == after:
            return
        raise Inconsistent(
            f"campaign {self.campaign_id} of {self.advertiser_id} does not reconcile: of {gross:,} "
            f"clicks, before and corrections make {moved}; after is {after}; "
            "`replay verdicts reconcile` tells what differs"
        )


@dataclass(frozen=True)
class Statement:
    """The accounts of advertisers, by advertiser and campaign; they add up.

    Clicks are those with ts in `span`, else those of `days` (UTC, counted from the epoch).
    Verdicts `first` to `last` of the ledger (both inclusive) are between before and after; last is
    first − 1 where there are none.
    """

    currency: str
    run_id: str | None
    advertiser_id: str | None
    span: Span | None
    days: tuple[int, ...]
    first: int
    last: int
    accounts: tuple[Account, ...]

    @property
    def period(self) -> Span | None:
        """From the first moment that is covered to the last; None where nothing is."""
        if self.span is not None or not self.days:
            return self.span
        return Span(self.days[0] * DAY, (self.days[-1] + 1) * DAY)

    @property
    def advertisers(self) -> dict[str, tuple[Account, ...]]:
        """Advertiser → its accounts."""
        found: defaultdict[str, list[Account]] = defaultdict(list)
        for account in self.accounts:
            found[account.advertiser_id].append(account)
        return {name: tuple(accounts) for name, accounts in found.items()}


def total(accounts: Iterable[Account]) -> Account:
    """Add accounts up; items of one action and run become one.

    >>> one = Item("credit", "r", 1, 0, 0, 1, Standing(-1, 1, 0, -5))
    >>> account = Account("a", "c", Balance(2, Standing(2, 0, 0, 9), Standing(1, 1, 0, 4)), (one,))
    >>> total([account, account]).items[0].change
    Standing(valid=-2, invalid=2, undecided=0, micros=-10)
    """
    balance, items = Balance(), dict[tuple[str, str], Item]()
    for account in accounts:
        balance += account.balance
        for item in account.items:
            key = (item.run_id, item.action)
            items[key] = _joined(items[key], item) if key in items else item
    return Account("", "", balance, tuple(sorted(items.values(), key=lambda item: item.first)))


def _joined(one: Item, other: Item) -> Item:
    return replace(
        one,
        first=min(one.first, other.first),
        first_issued=min(one.first_issued, other.first_issued),
        last_issued=max(one.last_issued, other.last_issued),
        clicks=one.clicks + other.clicks,
        change=one.change + other.change,
    )


def statement(
    lake: Lake,
    span: Span | None = None,
    run_id: str | None = None,
    advertiser: str | None = None,
    *,
    everyone: bool = False,
    chunk_clicks: int = CHUNK_CLICKS,
) -> Statement:
    """Account for the corrections of clicks with ts in `span`, or on the days that they touch.

    Only campaigns with items stand in it, or every one with clicks where `everyone` is set. Clicks
    are counted in whole days of at most `chunk_clicks` together. Raises BadInput for a run without
    verdicts, Inconsistent where an account does not add up.
    """
    snapshot = Snapshot.take(lake, tables=(CLICKS, DECISIONS, VERDICTS))
    with working(snapshot) as connection:
        first, last = _stretch(connection, snapshot, run_id)
        covered = _days(connection, snapshot, span, first, last)
        items = _items(connection, snapshot, span, first, last, advertiser)
        standing: dict[Campaign, Balance] = {}
        for part in chunks(snapshot, covered, chunk_clicks) if items or everyone else ():
            found = balances(
                connection, part, span, after=first - 1, upto=last, advertiser=advertiser
            )
            add_balances(standing, found)
    names = sorted({*standing, *items} if everyone else items)
    accounts = tuple(
        Account(*name, standing.get(name, Balance()), tuple(items.get(name, ()))) for name in names
    )
    for account in accounts:
        account.check()
    return Statement(lake.config.currency, run_id, advertiser, span, covered, first, last, accounts)


def _stretch(
    connection: duckdb.DuckDBPyConnection, snapshot: Snapshot, run_id: str | None
) -> tuple[int, int]:
    """Return the first and last number of the verdicts to account for."""
    verdicts = snapshot.source("verdicts")
    ((first, last),) = connection.execute(
        f"SELECT min(ledger_seq), max(ledger_seq) FROM {verdicts} "
        "WHERE $run IS NULL OR run_id = $run",
        {"run": run_id},
    ).fetchall()
    if first is not None:
        return (1 if run_id is None else first), last
    if run_id is None:
        return 1, 0
    known = connection.execute(f"SELECT DISTINCT run_id FROM {verdicts}").fetchall()
    hint = nearest(run_id, [name for (name,) in known], "`replay verdicts list` shows what has.")
    raise BadInput(f"run {run_id!r} has no verdict in the ledger. {hint}")


def _days(
    connection: duckdb.DuckDBPyConnection,
    snapshot: Snapshot,
    span: Span | None,
    first: int,
    last: int,
) -> tuple[int, ...]:
    """Return the days to count clicks of: the span's, else those that the verdicts touch."""
    if span is not None:
        return tuple(sorted(days(snapshot, "clicks", span) | days(snapshot, "verdicts", span)))
    rows = connection.execute(
        f"SELECT DISTINCT epoch_us(date_trunc('day', ts)) // {DAY} "
        f"FROM {snapshot.source('verdicts')} "
        "WHERE ledger_seq BETWEEN ? AND ? ORDER BY 1",
        [first, last],
    ).fetchall()
    return tuple(day for (day,) in rows)


def _changed(decision: str) -> str:
    """SQL for what verdicts add to the number of clicks of a decision."""
    return f"count(*) FILTER (decision = '{decision}') - count(*) FILTER (previous = '{decision}')"


_ITEMS = f"""
SELECT advertiser_id, campaign_id, {ACTION} AS action, run_id, min(ledger_seq),
  epoch_us(min(issued_at)), epoch_us(max(issued_at)), count(*),
  {_changed("valid")}, {_changed("invalid")}, {_changed("undecided")},
  sum(adjustment_micros)::BIGINT
FROM {{verdicts}}
WHERE ledger_seq BETWEEN $first AND $last
  AND ($advertiser IS NULL OR advertiser_id = $advertiser)
GROUP BY advertiser_id, campaign_id, action, run_id ORDER BY min(ledger_seq)
"""


def _items(
    connection: duckdb.DuckDBPyConnection,
    snapshot: Snapshot,
    span: Span | None,
    first: int,
    last: int,
    advertiser: str | None,
) -> dict[Campaign, list[Item]]:
    query = _ITEMS.format(verdicts=snapshot.source("verdicts", span))
    given = {"first": first, "last": last, "advertiser": advertiser}
    found: dict[Campaign, list[Item]] = {}
    rows = connection.execute(query, given).fetchall()
    for one, two, action, run, number, since, until, clicks, *change in rows:
        item = Item(action, run, number, since, until, clicks, Standing(*change))
        found.setdefault((one, two), []).append(item)
    return found
