"""A statement as CSV, as JSON and as tables for people: pure functions of it.

The CSV is for spreadsheets, which take a text that begins with =, +, - or @ for a formula: an id
that does, or that begins with a tab, a carriage return or an apostrophe, is written with an
apostrophe before it. Take that one away to have the id again; the JSON has every id as it is.
"""

import csv
import io
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from recovery.balances import DAY, Standing
from recovery.statement import Account, Item, Statement, total
from replay.formats import money, new_table, printable
from replay.span import iso, to_datetime

COLUMNS = (
    "advertiser_id",
    "campaign_id",
    "line",
    "run_id",
    "issued_at",
    "clicks",
    "valid",
    "invalid",
    "undecided",
    "micros",
    "amount",
    "currency",
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")


def statement_csv(found: Statement) -> Iterator[str]:
    """Yield the lines of the CSV (RFC 4180), the names of the columns first.

    A campaign has a `before` line, its items and an `after` line. Of those two `clicks` is gross
    and valid + invalid + undecided = clicks; of an item it is how many were corrected, and the rest
    is what that adds. `issued_at` is the item's first verdict's.
    """
    yield _line(COLUMNS)
    for account in found.accounts:
        names = (_cell(account.advertiser_id), _cell(account.campaign_id))
        balance, currency = account.balance, found.currency
        before, after = _figures(balance.before), _figures(balance.after)
        yield _line((*names, "before", "", "", balance.gross, *before, currency))
        for item in account.items:
            what = (item.action, _cell(item.run_id), iso(item.first_issued), item.clicks)
            yield _line((*names, *what, *_figures(item.change), currency))
        yield _line((*names, "after", "", "", balance.gross, *after, currency))


def _figures(standing: Standing) -> tuple[int | str, ...]:
    counts = (standing.valid, standing.invalid, standing.undecided)
    return (*counts, standing.micros, units(standing.micros))


def units(micros: int) -> str:
    """Write micros as units, exactly.

    >>> units(-1_234_567), units(5)
    ('-1.234567', '0.000005')
    """
    whole, part = divmod(abs(micros), 1_000_000)
    return f"{'-' if micros < 0 else ''}{whole}.{part:06d}"


def _cell(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


def _line(cells: tuple[object, ...]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerow(cells)
    return buffer.getvalue()


def statement_json(found: Statement) -> dict[str, Any]:
    """Return the statement as plain data: times in UTC, money in micros, both with totals."""
    period = found.period
    return {
        "currency": found.currency,
        "run_id": found.run_id,
        "advertiser_id": found.advertiser_id,
        "from": iso(period.start) if period else None,
        "to": iso(period.end) if period else None,
        "days": None if found.span else [_date(day) for day in found.days],
        "verdicts": {"first": found.first, "last": found.last},
        "total": _account(total(found.accounts)),
        "advertisers": [
            {
                "advertiser_id": name,
                "total": _account(total(accounts)),
                "campaigns": [{"campaign_id": a.campaign_id, **_account(a)} for a in accounts],
            }
            for name, accounts in found.advertisers.items()
        ],
    }


def _date(day: int) -> str:
    return f"{to_datetime(day * DAY):%Y-%m-%d}"


def _account(account: Account) -> dict[str, Any]:
    return {
        "gross": account.balance.gross,
        "before": asdict(account.balance.before),
        "items": [_item(item) for item in account.items],
        "after": asdict(account.balance.after),
    }


def _item(item: Item) -> dict[str, Any]:
    return {
        "line": item.action,
        "run_id": item.run_id,
        "first": item.first,
        "first_issued_at": iso(item.first_issued),
        "last_issued_at": iso(item.last_issued),
        "clicks": item.clicks,
        **asdict(item.change),
    }


def statement_report(found: Statement) -> Iterator[RenderableType]:
    """Yield what is shown, in order: a table for each advertiser, then all of them together."""
    if not found.accounts:
        yield Text(_nothing(found))
        return
    yield Text(_head(found))
    for name, accounts in found.advertisers.items():
        yield Text(f"\nadvertiser {printable(name)}")
        yield _table(accounts, found.currency)
    if len(found.advertisers) > 1:
        yield Text(f"\nall {len(found.advertisers):,} advertisers")
        made = _empty()
        _add(made, "", total(found.accounts), found.currency)
        yield made
    yield Text("\nreconciles: for every campaign, before + corrections = after")


def _nothing(found: Statement) -> str:
    of = f" of advertiser {found.advertiser_id}" if found.advertiser_id else ""
    when = f" with a click in {found.span}" if found.span else ""
    return f"no correction{of}{when}: nothing to state"


def _head(found: Statement) -> str:
    if found.span:
        period = f"the clicks in {found.span}"
    else:
        first, last = _date(found.days[0]), _date(found.days[-1])
        between = first if first == last else f"{len(found.days):,} days (UTC), {first} to {last}"
        period = f"the clicks of {between}"
    since = (
        f"before and after run {found.run_id}"
        if found.run_id
        else "as production decided, and as it stands now"
    )
    return f"{period}; {since}"


_SHOWN = ("campaign", "line", "run", "issued", ">clicks", ">valid", ">invalid", ">undecided")


def _empty() -> Table:
    made = new_table(*_SHOWN, ">money")
    made.padding = (0, 2, 0, 0)
    for column in made.columns:
        column.overflow = "fold"  # an id that is cut off is of no use
    return made


def _signed(count: int) -> str:
    return f"{count:+,}" if count else "0"


def _table(accounts: tuple[Account, ...], currency: str) -> Table:
    made = _empty()
    for account in accounts:
        _add(made, account.campaign_id, account, currency)
    if len(accounts) > 1:
        _add(made, "all", total(accounts), currency)
    return made


def _add(table: Table, name: str, account: Account, currency: str) -> None:
    """Add an account's lines to a table."""
    balance = account.balance
    for line, standing in (("before", balance.before), ("after", balance.after)):
        counts = (balance.gross, standing.valid, standing.invalid, standing.undecided)
        written = [f"{count:,}" for count in counts]
        if line == "after":
            for item in account.items:
                _add_item(table, item, currency)
        label = name if line == "before" else ""
        table.add_row(label, line, "", "", *written, money(standing.micros, currency))


def _add_item(table: Table, item: Item, currency: str) -> None:
    change = item.change
    counts = [_signed(count) for count in (change.valid, change.invalid, change.undecided)]
    issued = f"{to_datetime(item.first_issued):%Y-%m-%d}"
    amount = money(change.micros, currency, signed=True)
    table.add_row("", item.action, item.run_id, issued, f"{item.clicks:,}", *counts, amount)
