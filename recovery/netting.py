"""Netting: a run's decisions, or a run's undoing, against the decisions in effect right now.

Both leave one DuckDB table, `netted`, with a row for each verdict that could be published. Files
of decisions and verdicts that came after the run was made are looked at besides its changes, so
that publishing an old run gives what replaying its span now would give.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import duckdb

from recovery.figures import figures, read_clicks
from recovery.ledger import EFFECT, head, record_of
from recovery.proposal import Proposal
from replay.runs import RunFolder, RunManifest
from replay.snapshot import Snapshot, connect
from replay.span import Span, to_micros
from scorer.errors import BadInput, Inconsistent
from scorer.metrics import Share

HOUR = 3_600_000_000

# `last` has each click's last verdict, `landed` production's decisions that came after the run was
# made. Where a verdict came after it (`known` was the ledger's last number then), the run's
# decision counts though it changed nothing at the time.
_RUN = """
CREATE TEMP TABLE netted AS
WITH last AS (
  SELECT click_id, max_by(decision, ledger_seq) AS decision,
    max_by(verdict_id, ledger_seq) AS verdict_id, max(ledger_seq) AS ledger_seq
  FROM {verdicts} GROUP BY click_id
),
landed AS (SELECT click_id, decision FROM {later_decisions}),
beside AS (
  SELECT c.seq, c.click_id, c.ts, c.advertiser_id, c.campaign_id, c.price_micros, c.probability,
    c.decision, c.cause, c.outcome, v.verdict_id AS follows,
    coalesce(v.decision, l.decision, c.production, 'undecided') AS previous
  FROM {changes} c LEFT JOIN last v USING (click_id) LEFT JOIN landed l USING (click_id)
  UNION ALL
  SELECT d.seq, d.click_id, d.ts, d.advertiser_id, d.campaign_id, d.price_micros, d.probability,
    d.decision,
    CASE WHEN coalesce(d.production, 'undecided') = 'undecided' THEN 'availability'
      WHEN d.production = d.decision THEN 'verdict' ELSE 'unattributable' END,
    CASE WHEN d.decision <> 'invalid' THEN NULL WHEN d.purchased THEN 'purchased'
      WHEN epoch_us(d.ts) > {outcome_open} THEN 'too_early' ELSE 'not_purchased' END,
    v.verdict_id, v.decision
  FROM {decisions} d JOIN last v ON d.click_id = v.click_id AND d.decision <> v.decision
    ANTI JOIN {changes} c ON d.click_id = c.click_id
  WHERE v.ledger_seq > {known} AND NOT d.borderline AND d.decision <> 'undecided'
)
SELECT seq, click_id, ts, advertiser_id, campaign_id, previous, decision, follows, cause, outcome,
  probability,
  CASE WHEN decision = 'invalid' THEN 0 ELSE price_micros END
    - CASE WHEN previous = 'invalid' THEN 0 ELSE price_micros END AS adjustment_micros
FROM beside WHERE previous <> decision
"""

_MINE = "CREATE TEMP TABLE mine AS SELECT * FROM {verdicts} WHERE run_id = $run_id"

_REVERT = """
CREATE TEMP TABLE netted AS
WITH last AS (
  SELECT click_id, max_by(verdict_id, ledger_seq) AS verdict_id
  FROM {verdicts} SEMI JOIN mine USING (click_id) GROUP BY click_id
)
SELECT seq, click_id, ts, advertiser_id, campaign_id, m.decision AS previous,
  m.previous AS decision, verdict_id AS follows, 'revert' AS cause, NULL::VARCHAR AS outcome,
  NULL::FLOAT AS probability,
  -m.adjustment_micros AS adjustment_micros
FROM mine m JOIN last USING (click_id, verdict_id)
"""

_SUPERSEDED = """
SELECT v.run_id, count(*)
FROM mine m JOIN (
  SELECT click_id, max_by(verdict_id, ledger_seq) AS verdict_id,
    max_by(run_id, ledger_seq) AS run_id
  FROM {verdicts} SEMI JOIN mine USING (click_id) GROUP BY click_id
) v USING (click_id)
WHERE v.verdict_id <> m.verdict_id GROUP BY 1 ORDER BY 1
"""


@dataclass(frozen=True)
class Netted:
    """The table `netted`, and the figures of it; `published` is the condition on its rows.

    `ledger` is SQL for the verdicts there are on the clicks of the same span.
    """

    connection: duckdb.DuckDBPyConnection
    proposal: Proposal
    published: str
    ledger: str


@contextmanager
def net_run(
    snapshot: Snapshot, folder: RunFolder, manifest: RunManifest, at: int, *, rebill: bool
) -> Iterator[Netted]:
    """Net a run's decisions against those in effect in `snapshot`; `at` is now, µs."""
    lake, span = snapshot.lake, manifest.span
    then = Snapshot.at_versions(lake, manifest.table_versions)
    sources = {
        "verdicts": snapshot.source("verdicts", span),
        "later_decisions": _landed(snapshot, then).source("decisions", span),
        "changes": folder.source("changes"),
        "decisions": folder.source("decisions"),
    }
    open_since = to_micros(manifest.known_until) - lake.config.attribution_hours * HOUR
    numbers = {"outcome_open": open_since, "known": head(then)}
    with _connected() as connection:
        connection.execute(_RUN.format(**numbers, **sources))
        _check_chain(connection, sources["verdicts"])
        clicks, spend, purchasing, missed = read_clicks(
            connection, sources["decisions"], decided=True
        )
        published = _published(rebill=rebill)
        late = at - lake.config.billing_window_hours * HOUR
        proposal = Proposal(
            action="publish",
            run_id=manifest.run_id,
            model_version=manifest.model_version,
            span=span,
            at=at,
            clicks=clicks,
            spend_micros=spend,
            superseded={},
            fpr=Share(missed, purchasing),
            cold_start=manifest.counts["cold_start"],
            gap=manifest.counts["gap"],
            sampled=manifest.sample is not None,
            settled_until=to_micros(manifest.settled_until),
            window_hours=lake.config.billing_window_hours,
            **figures(connection, published, late),
        )
        yield Netted(connection, proposal, published, sources["verdicts"])


@contextmanager
def net_revert(snapshot: Snapshot, run_id: str, at: int, *, rebill: bool) -> Iterator[Netted]:
    """Net the undoing of a run: of each of its verdicts that is its click's last one.

    Raises BadInput where the ledger has no verdict of this run.
    """
    window = snapshot.lake.config.billing_window_hours * HOUR
    with _connected() as connection:
        mine = _MINE.format(verdicts=snapshot.source("verdicts"))
        connection.execute(mine, {"run_id": run_id})
        first, last = _one(connection, "SELECT epoch_us(min(ts)), epoch_us(max(ts)) FROM mine")
        if first is None:
            raise BadInput(
                f"run {run_id!r} was never published, so there is nothing to revert; "
                "`replay verdicts list` shows what was"
            )
        span = Span(first, last + 1)
        verdicts = snapshot.source("verdicts", span)
        connection.execute(_REVERT.format(verdicts=verdicts))
        _check_chain(connection, verdicts)
        if record := record_of(snapshot.lake, run_id):  # else imported: all between its clicks
            span = Span(to_micros(record.start), to_micros(record.end))
        clicks, spend, *_ = read_clicks(connection, snapshot.source("clicks", span), decided=False)
        if record:
            clicks, spend = record.clicks, record.spend_micros
        published = _published(rebill=rebill)
        proposal = Proposal(
            action="revert",
            run_id=run_id,
            model_version=None,
            span=span,
            at=at,
            clicks=clicks,
            spend_micros=spend,
            superseded=dict(connection.sql(_SUPERSEDED.format(verdicts=verdicts)).fetchall()),
            fpr=None,
            cold_start=0,
            gap=0,
            sampled=False,
            settled_until=span.end,
            window_hours=snapshot.lake.config.billing_window_hours,
            **figures(connection, published, at - window),
        )
        yield Netted(connection, proposal, published, verdicts)


@contextmanager
def _connected() -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a DuckDB that spills to disk what its memory limit does not hold."""
    with tempfile.TemporaryDirectory(prefix="replay-verdicts-") as folder, connect() as connection:
        connection.execute("SET temp_directory = ?", [folder])
        connection.execute("SET preserve_insertion_order = false")  # rows are sorted at the end
        yield connection


def _landed(snapshot: Snapshot, then: Snapshot) -> Snapshot:
    """Return a snapshot of the decision files alone that are not in an earlier one."""
    seen = {file.path for file in then.pinned["decisions"].files}
    pin = snapshot.pinned["decisions"]
    files = tuple(file for file in pin.files if file.path not in seen)
    return replace(snapshot, pinned={"decisions": replace(pin, files=files)})


def _check_chain(connection: duckdb.DuckDBPyConnection, verdicts: str) -> None:
    """Refuse to follow a verdict that another one follows already: its id would be given twice."""
    query = f"""
        SELECT v.verdict_id FROM {verdicts} v JOIN netted n
        ON v.follows = n.follows AND v.click_id = n.click_id LIMIT 1
    """
    for (verdict_id,) in connection.sql(query).fetchall():
        raise broken(verdict_id)


def broken(verdict_id: str) -> Inconsistent:
    """Return the error for a verdict that stands where the next one would."""
    return Inconsistent(
        f"the ledger's chain is broken at verdict {verdict_id}: it is not its click's last and "
        "stands where the next would; `replay verdicts reconcile` lists what does not add up"
    )


def _published(*, rebill: bool) -> str:
    return "true" if rebill else f"{EFFECT} <> 're-bill'"


def _one(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[int, ...]:
    row: tuple[int, ...] = connection.sql(query).fetchall()[0]
    return row
