"""The ledger in plain Python: section 8 of the design, one short function to a sentence of it.

It knows clicks, what production decided, what runs decided, and a list of verdicts; no files, no
SQL, and none of the code under test. Times are µs, money is integer micros.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import NAMESPACE_URL, uuid5

Row = Mapping[str, Any]
NAMESPACE = uuid5(NAMESPACE_URL, "slidr-replay/verdict")


@dataclass(frozen=True)
class Verdict:
    """One row of the ledger, in the columns that the design fixes."""

    verdict_id: str
    run_id: str
    seq: int
    click_id: str
    ts: int
    issued_at: int
    previous: str
    decision: str
    adjustment_micros: int
    advertiser_id: str
    campaign_id: str
    follows: str | None
    ledger_seq: int


@dataclass
class Outcome:
    """What a publish or a revert did.

    Verdicts added; click id → micros of the re-bills withheld; click id → run of the verdicts that
    another superseded. `again` says that the run was published before, and nothing was looked at.
    """

    added: list[Verdict] = field(default_factory=list)
    withheld: dict[str, int] = field(default_factory=dict)
    superseded: dict[str, str] = field(default_factory=dict)
    again: bool = False


def verdict_id(click_id: str, follows: str | None) -> str:
    """UUIDv5 of (click_id, the verdict that it follows, or "first")."""
    return str(uuid5(NAMESPACE, f"{click_id}/{'first' if follows is None else follows}"))


def billed(click: Row, decision: str) -> int:
    """A click is billed unless its decision is `invalid`."""
    return 0 if decision == "invalid" else int(click["price_micros"])


def is_rebill(before: str, after: str) -> bool:
    """Not billed → billed."""
    return before == "invalid" and after != "invalid"


def order(click: Row) -> tuple[int, int, str]:
    """Log order."""
    return click["ts"], click["seq"], click["click_id"]


class Ledger:
    """Clicks (ts in µs), what production decided of them, and every verdict so far."""

    def __init__(self, clicks: Iterable[Row], production: Mapping[str, str]) -> None:
        self.clicks = {c["click_id"]: c for c in sorted(clicks, key=order)}
        self.production = dict(production)
        self.verdicts: list[Verdict] = []
        self.of: dict[str, list[Verdict]] = {}  # the same, by click
        self.published: set[str] = set()

    def copy(self) -> "Ledger":
        """Return a ledger that goes its own way from here."""
        other = Ledger(self.clicks.values(), self.production)
        other.verdicts, other.published = list(self.verdicts), set(self.published)
        other.of = {click_id: list(mine) for click_id, mine in self.of.items()}
        return other

    def last(self, click_id: str) -> Verdict | None:
        """Return the click's last verdict by ledger_seq."""
        mine = self.of.get(click_id)
        return mine[-1] if mine else None

    def first(self, click_id: str) -> str:
        """Return what production decided; a click that it never logged is undecided."""
        return self.production.get(click_id, "undecided")

    def effective(self, click_id: str) -> str:
        """Return the last verdict's decision, else production's, else `undecided`."""
        last = self.last(click_id)
        return self.first(click_id) if last is None else last.decision

    def publish(
        self, run_id: str, said: Iterable[Row], now: int, *, rebill: bool = False
    ) -> Outcome:
        """Publish a run's decisions (click_id, decision, borderline) against those of now."""
        outcome = Outcome(again=run_id in self.published)
        if outcome.again:
            return outcome
        wanted = {
            row["click_id"]: row["decision"]
            for row in said
            if not row["borderline"] and row["decision"] != "undecided"
        }
        changes = [
            (click_id, self.effective(click_id), wanted[click_id])
            for click_id in self.clicks
            if click_id in wanted and wanted[click_id] != self.effective(click_id)
        ]
        self._issue(outcome, changes, run_id, now, rebill=rebill)
        return outcome

    def revert(self, run_id: str, now: int, *, rebill: bool = False) -> Outcome:
        """Restore the decision before the run wherever its verdict is still the last one."""
        outcome = Outcome()
        changes = []
        for click_id in self.clicks:
            last = self.last(click_id)
            if last is None or run_id not in {v.run_id for v in self.of[click_id]}:
                continue
            if last.run_id == run_id:
                changes.append((click_id, last.decision, last.previous))
            else:
                outcome.superseded[click_id] = last.run_id
        self._issue(outcome, changes, f"revert-{run_id}", now, rebill=rebill)
        return outcome

    def _issue(
        self,
        outcome: Outcome,
        changes: Sequence[tuple[str, str, str]],
        run_id: str,
        now: int,
        *,
        rebill: bool,
    ) -> None:
        """Append (click_id, before, after) in log order; re-bills only with `rebill`."""
        issued_at = max([now, *(v.issued_at for v in self.verdicts)])
        for click_id, before, after in changes:
            if is_rebill(before, after) and not rebill:
                click = self.clicks[click_id]
                outcome.withheld[click_id] = billed(click, after) - billed(click, before)
                continue
            verdict = self._verdict(click_id, before, after, run_id, issued_at)
            for rows in (outcome.added, self.verdicts, self.of.setdefault(click_id, [])):
                rows.append(verdict)
        if outcome.added:
            self.published.add(run_id)

    def _verdict(
        self, click_id: str, before: str, after: str, run_id: str, issued_at: int
    ) -> Verdict:
        click, last = self.clicks[click_id], self.last(click_id)
        follows = None if last is None else last.verdict_id
        return Verdict(
            verdict_id(click_id, follows),
            run_id,
            click["seq"],
            click_id,
            click["ts"],
            issued_at,
            before,
            after,
            billed(click, after) - billed(click, before),
            click["advertiser_id"],
            click["campaign_id"],
            follows,
            len(self.verdicts) + 1,
        )

    def balance(self, click_id: str) -> int:
        """Sum of the click's adjustments."""
        return sum(v.adjustment_micros for v in self.of.get(click_id, []))

    def owed(self, click_id: str) -> int:
        """Present billing − first billing."""
        click = self.clicks[click_id]
        return billed(click, self.effective(click_id)) - billed(click, self.first(click_id))

    def by_campaign(self) -> dict[tuple[str, str], dict[str, int]]:
        """Return (advertiser, campaign) → gross clicks, and those of each decision by now."""
        found: dict[tuple[str, str], dict[str, int]] = {}
        for click_id, click in self.clicks.items():
            row = found.setdefault(
                (click["advertiser_id"], click["campaign_id"]),
                dict.fromkeys(("gross", "valid", "invalid", "undecided", "adjustment_micros"), 0),
            )
            row["gross"] += 1
            row[self.effective(click_id)] += 1
            row["adjustment_micros"] += self.balance(click_id)
        return found


def serial_orders(
    start: Ledger, steps: Mapping[str, Any], orders: Iterable[Sequence[str]]
) -> list[Ledger]:
    """Return the ledgers that each order of the steps (functions of a ledger) ends in."""
    ends = []
    for names in orders:
        ledger = start.copy()
        for name in names:
            steps[name](ledger)
        ends.append(ledger)
    return ends
