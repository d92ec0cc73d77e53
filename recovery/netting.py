"""Netting: a run's decisions, or a run's undoing, against the decisions in effect right now.

Both leave one DuckDB table, `netted`, with a row for each verdict that could be published. Files
of decisions and verdicts that came after the run was made are looked at besides its changes, so
that publishing an old run gives what replaying its span now would give.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypedDict

import duckdb

from recovery.ledger import record_of
from recovery.proposal import AdvertiserMove, Proposal
from replay.runs import RunFolder, RunManifest
from replay.snapshot import Snapshot, connect
from replay.span import Span, to_micros
from replay.summary import Tally
from scorer.errors import BadInput, Inconsistent
from scorer.metrics import Share

HOUR = 3_600_000_000

# `last` has each click's last verdict, `later` the clicks that got one after the run was made,
# `landed` production's decisions that came after it.
_RUN = """
CREATE TEMP TABLE netted AS
WITH last AS (
  SELECT click_id, max_by(decision, ledger_seq) AS decision,
    max_by(verdict_id, ledger_seq) AS verdict_id
  FROM {verdicts} GROUP BY click_id
),
later AS (SELECT DISTINCT click_id FROM {later_verdicts}),
landed AS (SELECT click_id, decision FROM {later_decisions}),
candidates AS (
  SELECT seq, click_id, ts, advertiser_id, campaign_id, price_micros, probability, production,
    decision, cause, outcome
  FROM {changes}
  UNION ALL
  SELECT seq, click_id, ts, advertiser_id, campaign_id, price_micros, probability, production,
    decision,
    CASE WHEN coalesce(production, 'undecided') = 'undecided' THEN 'availability'
      WHEN production = decision THEN 'verdict' ELSE 'unattributable' END,
    CASE WHEN decision <> 'invalid' THEN NULL WHEN purchased THEN 'purchased'
      WHEN epoch_us(ts) > $outcome_open THEN 'too_early' ELSE 'not_purchased' END
  FROM {decisions} SEMI JOIN later USING (click_id)
  ANTI JOIN (SELECT click_id FROM {changes}) USING (click_id)
  WHERE NOT borderline AND decision <> 'undecided'
),
beside AS (
  SELECT c.*, v.verdict_id AS follows,
    coalesce(v.decision, l.decision, c.production, 'undecided') AS previous
  FROM candidates c LEFT JOIN last v USING (click_id) LEFT JOIN landed l USING (click_id)
)
SELECT seq, click_id, ts, advertiser_id, campaign_id, previous, decision, follows, cause, outcome,
  $model AS model_version, probability,
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
  NULL::VARCHAR AS model_version, NULL::FLOAT AS probability,
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

_EFFECT = """
CASE WHEN previous <> 'invalid' AND decision = 'invalid' THEN 'credit'
  WHEN previous = 'invalid' AND decision <> 'invalid' THEN 'rebill' ELSE 'neutral' END
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
    later = _since(snapshot, manifest)
    sources = {
        "verdicts": snapshot.source("verdicts", span),
        "later_verdicts": later.source("verdicts", span),
        "later_decisions": later.source("decisions", span),
        "changes": folder.source("changes"),
        "decisions": folder.source("decisions"),
    }
    open_since = to_micros(manifest.known_until) - lake.config.attribution_hours * HOUR
    given = {"outcome_open": open_since, "model": manifest.model_version}
    with _connected() as connection:
        connection.execute(_RUN.format(**sources), given)
        _check_chain(connection, sources["verdicts"])
        clicks, spend, purchasing, missed = _one(
            connection,
            f"""
            SELECT count(*), coalesce(sum(price_micros), 0)::BIGINT,
              count(*) FILTER (purchased),
              count(*) FILTER (purchased AND decision = 'invalid')
            FROM {sources["decisions"]}
            """,
        )
        published = _published(rebill=rebill)
        figures = _figures(connection, published, sources["decisions"])
        proposal = Proposal(
            action="publish",
            run_id=manifest.run_id,
            model_version=manifest.model_version,
            span=span,
            at=at,
            clicks=clicks,
            spend_micros=spend,
            late=_late(connection, published, at - lake.config.billing_window_hours * HOUR),
            superseded={},
            fpr=Share(missed, purchasing),
            cold_start=manifest.counts["cold_start"],
            gap=manifest.counts["gap"],
            sampled=manifest.sample is not None,
            settled_until=to_micros(manifest.settled_until),
            window_hours=lake.config.billing_window_hours,
            **figures,
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
        if record := record_of(snapshot.lake, run_id):
            span = Span(to_micros(record.start), to_micros(record.end))
            clicks, spend = record.clicks, record.spend_micros
        else:  # imported: all clicks between its first and its last
            clicks, spend = _one(
                connection,
                "SELECT count(*), coalesce(sum(price_micros), 0)::BIGINT "
                f"FROM {snapshot.source('clicks', span)}",
            )
        published = _published(rebill=rebill)
        proposal = Proposal(
            action="revert",
            run_id=run_id,
            model_version=None,
            span=span,
            at=at,
            clicks=clicks,
            spend_micros=spend,
            late=_late(connection, published, at - window),
            superseded=dict(connection.sql(_SUPERSEDED.format(verdicts=verdicts)).fetchall()),
            fpr=None,
            cold_start=0,
            gap=0,
            sampled=False,
            settled_until=span.end,
            window_hours=snapshot.lake.config.billing_window_hours,
            **_figures(connection, published, snapshot.source("clicks", span)),
        )
        yield Netted(connection, proposal, published, verdicts)


@contextmanager
def _connected() -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a DuckDB that spills to disk what its memory limit does not hold."""
    with tempfile.TemporaryDirectory(prefix="replay-verdicts-") as folder, connect() as connection:
        connection.execute("SET temp_directory = ?", [folder])
        yield connection


def _since(snapshot: Snapshot, manifest: RunManifest) -> Snapshot:
    """Return a snapshot of the decision and verdict files alone that came after a run was made."""
    then = Snapshot.at_versions(snapshot.lake, manifest.table_versions)
    found = {}
    for name in ("decisions", "verdicts"):
        seen = {file.path for file in then.pinned[name].files}
        pin = snapshot.pinned[name]
        found[name] = replace(pin, files=tuple(f for f in pin.files if f.path not in seen))
    return replace(snapshot, pinned=found)


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
    return "true" if rebill else f"{_EFFECT} <> 'rebill'"


class _Figures(TypedDict):
    moves: dict[str, Tally]
    causes: dict[str, Tally]
    outcomes: dict[str, Tally]
    credits: Tally
    rebills: Tally
    neutral: int
    withheld: Tally
    advertisers: tuple[AdvertiserMove, ...]


def _figures(connection: duckdb.DuckDBPyConnection, published: str, clicks: str) -> _Figures:
    effects = _tallies(connection, _EFFECT, published)
    none = Tally(0, 0)
    withheld = _tallies(connection, _EFFECT, f"NOT ({published})")
    return {
        "moves": _tallies(connection, "previous || ' → ' || decision", published),
        "causes": _tallies(connection, "cause", published),
        "outcomes": _tallies(connection, "outcome", f"{published} AND outcome IS NOT NULL"),
        "credits": effects.get("credit", none),
        "rebills": effects.get("rebill", none),
        "neutral": effects.get("neutral", none).clicks,
        "withheld": withheld.get("rebill", none),
        "advertisers": _advertisers(connection, published, clicks),
    }


def _tallies(connection: duckdb.DuckDBPyConnection, key: str, where: str) -> dict[str, Tally]:
    query = f"""
        SELECT {key}, count(*), sum(adjustment_micros)::BIGINT FROM netted WHERE {where}
        GROUP BY 1 ORDER BY 2 DESC, 1
    """
    return {k: Tally(clicks, micros) for k, clicks, micros in connection.sql(query).fetchall()}


def _late(connection: duckdb.DuckDBPyConnection, published: str, before: int) -> Tally:
    """Count the re-bills among what is published whose click is older than `before` (µs)."""
    query = f"""
        SELECT count(*), coalesce(sum(adjustment_micros), 0)::BIGINT FROM netted
        WHERE {published} AND {_EFFECT} = 'rebill' AND epoch_us(ts) < {before}
    """
    return Tally(*_one(connection, query))


def _advertisers(
    connection: duckdb.DuckDBPyConnection, published: str, clicks: str
) -> tuple[AdvertiserMove, ...]:
    """Return the moves by advertiser, the largest first."""
    query = f"""
        WITH moved AS (
          SELECT advertiser_id,
            count(*) FILTER ({_EFFECT} = 'credit') AS credited,
            count(*) FILTER ({_EFFECT} = 'rebill') AS rebilled,
            coalesce(sum(adjustment_micros) FILTER ({_EFFECT} = 'credit'), 0)::BIGINT AS credit,
            coalesce(sum(adjustment_micros) FILTER ({_EFFECT} = 'rebill'), 0)::BIGINT AS rebill
          FROM netted WHERE {published} GROUP BY 1
        ),
        spent AS (
          SELECT advertiser_id, sum(price_micros)::BIGINT AS spend FROM {clicks} GROUP BY 1
        )
        SELECT advertiser_id, credited, rebilled, credit, rebill, coalesce(spend, 0)
        FROM moved LEFT JOIN spent USING (advertiser_id)
        ORDER BY rebill - credit DESC, credited + rebilled DESC, advertiser_id
    """
    return tuple(AdvertiserMove(*row) for row in connection.sql(query).fetchall())


def _one(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[int, ...]:
    row: tuple[int, ...] = connection.sql(query).fetchall()[0]
    return row
