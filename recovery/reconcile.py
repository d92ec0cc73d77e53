"""Does the ledger add up? Every verdict, click, campaign and publication against the log.

A pure look at one snapshot: nothing is written, and nothing that wrote the ledger is used to check
it but the records that it left.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import duckdb
import pyarrow as pa

from recovery.balances import (
    CHUNK_CLICKS,
    CREDIT,
    NEUTRAL,
    REBILL,
    Balance,
    Campaign,
    add_balances,
    balances,
    chunks,
    days,
    working,
)
from recovery.ledger import publications
from recovery.ledger_rules import LEDGER_RULES, Ledger
from recovery.rules import CAMPAIGN_RULES, ROW_RULES, Check, lay_out
from replay.lake import Lake
from replay.snapshot import Snapshot
from replay.summary import Tally
from replay.tables import CLICKS, DECISIONS, VERDICTS

LEDGER_TABLES = (CLICKS, DECISIONS, VERDICTS)  # clicks are pinned first
NO_END = 2**63 - 1


@dataclass(frozen=True)
class Account:
    """A campaign's clicks on the days that the ledger touches, and its verdicts' net micros."""

    advertiser_id: str
    campaign_id: str
    balance: Balance
    net_micros: int


@dataclass(frozen=True)
class Totals:
    """The ledger as a whole; `imported` verdicts are of runs that were not published here."""

    verdicts: int
    credits: Tally
    rebills: Tally
    neutral: int
    imported: int
    publications: int

    @property
    def net_micros(self) -> int:
        """What the ledger moved; negative where advertisers are owed."""
        return self.credits.micros + self.rebills.micros


@dataclass(frozen=True)
class Reconciliation:
    """What was checked, in order, and what it was checked on.

    `versions` are those of the tables that were read. `campaigns` are those with clicks on one of
    the `days` (UTC) that have verdicts, and those that only verdicts name.
    """

    checks: tuple[Check, ...]
    totals: Totals
    campaigns: tuple[Account, ...]
    days: int
    versions: dict[str, int]

    @property
    def reconciles(self) -> bool:
        """Every check holds."""
        return all(check.holds for check in self.checks)

    @property
    def advertisers(self) -> dict[str, tuple[Balance, int]]:
        """Each advertiser's balance and net micros: the sums of its campaigns'."""
        found: dict[str, tuple[Balance, int]] = {}
        for account in self.campaigns:
            balance, net = found.get(account.advertiser_id, (Balance(), 0))
            found[account.advertiser_id] = (balance + account.balance, net + account.net_micros)
        return found

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain data."""
        advertisers = [
            {"advertiser_id": name, "balance": asdict(balance), "net_micros": net}
            for name, (balance, net) in self.advertisers.items()
        ]
        totals = asdict(self.totals) | {"net_micros": self.totals.net_micros}
        figures = asdict(self) | {"totals": totals, "advertisers": advertisers}
        return {"reconciles": self.reconciles, **figures}


def reconcile(lake: Lake, chunk_clicks: int = CHUNK_CLICKS) -> Reconciliation:
    """Check a lake's ledger against its log, as both stand now.

    Clicks are read only of the days that have verdicts, in whole days of at most `chunk_clicks`
    together, and what does not fit into memory spills to disk. Raises Inconsistent where a file
    cannot be read.
    """
    snapshot = Snapshot.take(lake, tables=LEDGER_TABLES)
    pinned = snapshot.pinned["verdicts"].version
    published = publications(lake, upto=pinned)
    with working(snapshot) as connection:
        ledger = Ledger(connection, snapshot.source("verdicts"), published)
        connection.register("records", _ranges(ledger))
        whole = [rule.look(ledger) for rule in LEDGER_RULES]
        rows, standing = _look_at_days(connection, snapshot, chunk_clicks)
        campaigns = _with_money(ledger, standing)
        totals = _totals(ledger)
    sums = [rule.look(campaigns) for rule in CAMPAIGN_RULES]
    accounts = [Account(*names, *stands) for names, stands in sorted(campaigns.items())]
    return Reconciliation(
        (*whole, *rows, *sums),
        totals,
        tuple(accounts),
        len(days(snapshot, "verdicts")),
        snapshot.versions,
    )


def _ranges(ledger: Ledger) -> pa.Table:
    rows = [
        {"n": n, "run_id": record.run_id, "first": record.first, "last": record.last}
        for n, record in enumerate(ledger.records)
    ]
    whole = pa.int64()
    names = {"n": whole, "run_id": pa.string(), "first": whole, "last": whole}
    return pa.Table.from_pylist(rows, pa.schema(list(names.items())))


def _look_at_days(
    connection: duckdb.DuckDBPyConnection, snapshot: Snapshot, chunk_clicks: int
) -> tuple[list[Check], dict[Campaign, Balance]]:
    """Return the checks on verdicts and clicks, and how the campaigns of those days stand."""
    checks = [Check(rule.name, rule.meaning, rule.todo) for rule in ROW_RULES]
    standing: dict[Campaign, Balance] = {}
    for part in chunks(snapshot, days(snapshot, "verdicts"), chunk_clicks):
        lay_out(connection, part)
        pairs = zip(ROW_RULES, checks, strict=True)
        checks = [rule.look(connection, check) for rule, check in pairs]
        add_balances(standing, balances(connection, part, upto=NO_END))
    return checks, standing


def _with_money(
    ledger: Ledger, standing: Mapping[Campaign, Balance]
) -> dict[Campaign, tuple[Balance, int]]:
    """Set each campaign's net micros by the ledger beside its balance by the log."""
    net: defaultdict[Campaign, int] = defaultdict(int)
    for advertiser, campaign, micros in ledger.ask(
        "SELECT advertiser_id, campaign_id, sum(adjustment_micros)::BIGINT "
        "FROM {verdicts} GROUP BY ALL"
    ):
        net[advertiser, campaign] = micros
    names = {*standing, *net}
    return {name: (standing.get(name, Balance()), net[name]) for name in names}


def _totals(ledger: Ledger) -> Totals:
    actions = {
        action: Tally(clicks, micros)
        for action, clicks, micros in ledger.ask(
            "SELECT {action}, count(*), sum(adjustment_micros)::BIGINT FROM {verdicts} GROUP BY 1"
        )
    }
    ((imported,),) = ledger.ask("SELECT count(*) FROM {verdicts} ANTI JOIN records USING (run_id)")
    none = Tally(0, 0)
    return Totals(
        sum(tally.clicks for tally in actions.values()),
        actions.get(CREDIT, none),
        actions.get(REBILL, none),
        actions.get(NEUTRAL, none).clicks,
        imported,
        len(ledger.records),
    )
