"""What a ledger must keep to: rules on its verdicts, on its clicks and on its campaigns.

The verdicts and clicks of some days stand in two temporary tables, made by `lay_out`; a rule is a
condition on one of them that no row may meet. None of it shares a line with what writes the ledger.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice

import duckdb

from recovery.balances import Balance, Campaign
from replay.snapshot import Snapshot
from replay.tables import DECISION_VALUES

EXAMPLES = 3


@dataclass(frozen=True)
class Check:
    """A rule, how many things it looked at, how many differ from it, and the first of those."""

    name: str
    meaning: str
    todo: str
    looked: int = 0
    differ: int = 0
    examples: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Nothing differs."""
        return self.differ == 0

    def found(self, looked: int, differ: int, examples: Iterable[str] = ()) -> "Check":
        """Return the check with further findings counted in."""
        kept = (*self.examples, *islice(examples, EXAMPLES))[:EXAMPLES]
        return replace(
            self, looked=self.looked + looked, differ=self.differ + differ, examples=kept
        )


@dataclass(frozen=True)
class RowRule:
    """`differs` is an SQL condition on a row of `over`, `example` an SQL text that tells of it."""

    name: str
    meaning: str
    todo: str
    over: str
    differs: str
    example: str

    def look(self, connection: duckdb.DuckDBPyConnection, check: Check) -> Check:
        """Look at the days that are laid out; return `check` with what was found."""
        ((looked, differ),) = connection.execute(
            f"SELECT count(*), count(*) FILTER ({self.differs}) FROM {self.over}"
        ).fetchall()
        if not differ:
            return check.found(looked, 0)
        rows = connection.execute(
            f"SELECT {self.example} FROM {self.over} WHERE {self.differs} "
            f"ORDER BY ledger_seq, click_id LIMIT {EXAMPLES}"
        ).fetchall()
        return check.found(looked, differ, (text for (text,) in rows))


@dataclass(frozen=True)
class CampaignRule:
    """`differs` says what is wrong with a campaign's balance and its verdicts' net money."""

    name: str
    meaning: str
    todo: str
    differs: Callable[[Balance, int], str | None]

    def look(self, campaigns: Mapping[Campaign, tuple[Balance, int]]) -> Check:
        """Look at every campaign's balance and net micros."""
        told = [
            f"campaign {campaign} of {advertiser}: {problem}"
            for (advertiser, campaign), stands in sorted(campaigns.items())
            if (problem := self.differs(*stands))
        ]
        return Check(self.name, self.meaning, self.todo).found(len(campaigns), len(told), told)


_TOUCHED = """
CREATE OR REPLACE TEMP TABLE touched AS
WITH ids AS (SELECT DISTINCT click_id FROM {verdicts}),
logged AS (
  SELECT click_id, min(decision) AS decision
  FROM {decisions} SEMI JOIN ids USING (click_id) GROUP BY click_id
),
found AS (
  SELECT click_id, count(*) AS copies, min(ts) AS ts, min(seq) AS seq, min(price_micros) AS price,
    min(advertiser_id) AS advertiser_id, min(campaign_id) AS campaign_id
  FROM {clicks} SEMI JOIN ids USING (click_id) GROUP BY click_id
)
SELECT ids.click_id, coalesce(copies, 0) AS copies, ts, seq, price, advertiser_id, campaign_id,
  coalesce(logged.decision, 'undecided') AS production
FROM ids LEFT JOIN found USING (click_id) LEFT JOIN logged USING (click_id)
"""
_VERDICTS = """
CREATE OR REPLACE TEMP TABLE judged AS
SELECT v.ledger_seq, v.verdict_id, v.click_id, v.previous, v.decision, v.follows,
  v.adjustment_micros, t.copies, t.price, t.production,
  (v.ts, v.seq, v.advertiser_id, v.campaign_id)
    IS NOT DISTINCT FROM (t.ts, t.seq, t.advertiser_id, t.campaign_id) AS same,
  lag(v.verdict_id) OVER chain AS last_id,
  coalesce(lag(v.decision) OVER chain, t.production) AS last_decision,
  t.price * ((v.decision <> 'invalid')::BIGINT - (v.previous <> 'invalid')::BIGINT) AS due
FROM {verdicts} v JOIN touched t USING (click_id)
WINDOW chain AS (PARTITION BY v.click_id ORDER BY v.ledger_seq, v.verdict_id)
"""
_CLICKS = """
CREATE OR REPLACE TEMP TABLE moved AS
SELECT click_id, min(ledger_seq) AS ledger_seq, sum(adjustment_micros) AS adjusted,
  min(price) * ((max_by(decision, ledger_seq) <> 'invalid')::BIGINT
    - (min(production) <> 'invalid')::BIGINT) AS due
FROM judged GROUP BY click_id
"""


def lay_out(connection: duckdb.DuckDBPyConnection, snapshot: Snapshot) -> None:
    """Make the tables that row rules look at: `judged`, a row a verdict, and `moved`, a click."""
    sources = {name: snapshot.source(name) for name in ("clicks", "decisions", "verdicts")}
    for query in (_TOUCHED, _VERDICTS, _CLICKS):
        connection.execute(query.format(**sources))


_WHO = "'verdict ' || ledger_seq || ' (' || verdict_id || ') of click ' || click_id"
RESTORE = "nothing may rewrite the ledger: restore verdicts/ from a copy that reconciles"
_WRONG = (
    "an import was wrong where it came from; for a published one, restore verdicts/ from a copy"
)

ROW_RULES: tuple[RowRule, ...] = (
    RowRule(
        "click",
        "each verdict's click is in the log, once, with the same time, seq and campaign",
        "see `replay explain` for the click; restore clicks/ if clicks were lost",
        "judged",
        "copies <> 1 OR NOT same",
        f"{_WHO} || CASE WHEN copies = 0 THEN ': no such click on its day' "
        "WHEN copies > 1 THEN ': the log has ' || copies || ' of it' "
        "ELSE ': the log has another time, seq, advertiser or campaign' END",
    ),
    RowRule(
        "chain",
        "each verdict follows the one before it on its click; no two follow the same one",
        RESTORE,
        "judged",
        "follows IS DISTINCT FROM last_id",
        f"{_WHO} || ' follows ' || coalesce(follows, 'nothing') || ', the one before it is '"
        " || coalesce(last_id, 'none')",
    ),
    RowRule(
        "previous",
        "each verdict starts from the decision before it; the first from production's",
        "production's decision may have landed after it: `replay explain` tells a click's story",
        "judged",
        "previous <> last_decision AND (copies > 0 OR last_id IS NOT NULL)",
        f"{_WHO} || ' starts from ' || previous || ', it stood at ' || last_decision",
    ),
    RowRule(
        "decision",
        "each verdict changes the decision, to one of " + ", ".join(DECISION_VALUES),
        _WRONG,
        "judged",
        f"decision = previous OR decision NOT IN {DECISION_VALUES} "
        f"OR previous NOT IN {DECISION_VALUES}",
        f"{_WHO} || ' goes from ' || previous || ' to ' || decision",
    ),
    RowRule(
        "adjustment",
        "each verdict moves its click's price, or nothing, as its two decisions say",
        _WRONG,
        "judged",
        "adjustment_micros <> due",
        f"{_WHO} || ' moves ' || adjustment_micros || ' micros, due are ' || due",
    ),
    RowRule(
        "click money",
        "each click's adjustments add up to its present billing less its first",
        _WRONG,
        "moved",
        "adjusted <> due",
        "'click ' || click_id || ' was moved ' || adjusted || ' micros, due are ' || due",
    ),
)


def _clicks_kept(balance: Balance, _: int) -> str | None:
    before, after = balance.before.clicks, balance.after.clicks
    if balance.gross == before == after:
        return None
    return f"{balance.gross} clicks, of known decisions {before} before and {after} after"


def _money_kept(balance: Balance, net: int) -> str | None:
    due = balance.after.micros - balance.before.micros
    return None if net == due else f"moved {net} micros, billed after less before is {due}"


CAMPAIGN_RULES: tuple[CampaignRule, ...] = (
    CampaignRule(
        "campaign clicks",
        "gross clicks = valid + invalid + undecided, before and after",
        "a click's decision is in the log twice, or is none of the three: restore decisions/",
        _clicks_kept,
    ),
    CampaignRule(
        "campaign money",
        "each campaign's adjustments add up to billed after less billed before",
        "the checks on verdicts and clicks say which; put those right",
        _money_kept,
    ),
)
