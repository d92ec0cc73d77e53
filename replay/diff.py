"""A slice's replayed decisions beside production's: what changed, and what money it moves.

A click is billed unless its decision is `invalid`. Changes and money are counted against the
*effective* decision: production's, overlaid with every published verdict.
"""

import duckdb
import pyarrow as pa

from replay.snapshot import Snapshot, connect
from replay.span import Span

_STANDING = """
SELECT r.*, l.decision AS production, coalesce(p.decision, l.decision) AS effective,
  l.model_version AS production_model, l.probability AS production_probability
FROM replayed r
LEFT JOIN (SELECT click_id, decision, model_version, probability FROM {decisions}) l
  USING (click_id)
LEFT JOIN (
  SELECT click_id, max_by(decision, ledger_seq) AS decision FROM {verdicts} GROUP BY click_id
) p USING (click_id)
ORDER BY place
"""


def kind(
    decision: str = "decision", borderline: str = "borderline", standing: str = "effective"
) -> str:
    """Return SQL for what a decision changes of the standing one; null where nothing."""
    return f"CASE WHEN NOT {borderline} THEN {_difference(decision, standing)} END"


def withheld(
    decision: str = "decision", borderline: str = "borderline", standing: str = "effective"
) -> str:
    """Return SQL that says of a borderline decision whether it would have been a change."""
    return f"{borderline} AND {_difference(decision, standing)} IS NOT NULL"


def adjustment(decision: str = "decision", standing: str = "effective") -> str:
    """Return SQL for what a decision bills more than the standing one, micros."""
    return f"{_billed(decision)} - {_billed(standing)}"


def _difference(decision: str, standing: str) -> str:
    return (
        f"CASE WHEN {decision} = 'undecided' THEN NULL WHEN {standing} IS NULL THEN 'missing' "
        f"WHEN {standing} = 'undecided' THEN 'newly_decided' "
        f"WHEN {standing} <> {decision} THEN 'to_' || {decision} END"
    )


def _billed(decision: str) -> str:
    return f"CASE WHEN {decision} = 'invalid' THEN 0 ELSE price_micros END"


_COMPARE = f"""
SELECT *, {kind()} AS kind, {withheld()} AS withheld, {adjustment()} AS adjustment_micros
FROM ({_STANDING}) ORDER BY place
"""

_LOGGED = """
SELECT place, spec_digest, facts, reals, model_version
FROM wanted LEFT JOIN (SELECT * FROM {decisions}) USING (click_id)
ORDER BY place
"""


class Comparison:
    """Sets a snapshot's decisions and verdicts beside replayed ones, slice by slice."""

    def __init__(self, snapshot: Snapshot, threads: int = 2) -> None:
        self._snapshot = snapshot
        self._connection = connect(threads)

    def beside(self, span: Span, replayed: pa.Table) -> pa.Table:
        """Return `replayed` with production, effective, kind, withheld and adjustment_micros.

        `replayed` has place, click_id, decision, borderline and price_micros. `kind` is null where
        nothing changed; `withheld` marks a borderline click that would have been a change.
        """
        return self._join("replayed", replayed, _COMPARE, span)

    def standing(self, span: Span, clicks: pa.Table) -> pa.Table:
        """Return `clicks` (place, click_id, …) with production and effective, by place."""
        return self._join("replayed", clicks, _STANDING, span)

    def logged(self, span: Span, wanted: pa.Table) -> pa.Table:
        """Return what production logged of these clicks (place, click_id): nulls where nothing."""
        return self._join("wanted", wanted, _LOGGED, span)

    def _join(self, name: str, table: pa.Table, query: str, span: Span) -> pa.Table:
        self._connection.register(name, table)
        found = self._connection.sql(query.format(**self._sources(span))).to_arrow_table()
        self._connection.unregister(name)
        return found

    def _sources(self, span: Span) -> dict[str, str]:
        return {name: self._snapshot.source(name, span) for name in ("decisions", "verdicts")}


def production_models(
    connection: duckdb.DuckDBPyConnection, snapshot: Snapshot, span: Span
) -> list[str]:
    """Return the names of the model versions behind the span's production decisions."""
    source = snapshot.source("decisions", span)
    query = (
        f"SELECT DISTINCT model_version FROM {source} WHERE model_version IS NOT NULL ORDER BY 1"
    )
    return [name for (name,) in connection.sql(query).fetchall()]
