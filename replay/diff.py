"""A slice's replayed decisions beside production's: what changed, and what money it moves.

A click is billed unless its decision is `invalid`. Changes and money are counted against the
*effective* decision: production's, overlaid with every published verdict.
"""

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from replay.reader import RowGroups, empty_table, log_order
from replay.snapshot import Snapshot, connect
from replay.span import Span
from replay.tables import DECISIONS

STANDING = ("decision", "model_version", "probability")
WORDS = ("decision", "model_version")
ORDER = ("ts", "seq", "click_id")


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


_COMPARED = ("decision", "borderline", "price_micros", "effective")
_COMPARE = f"""
SELECT {kind()} AS kind, {withheld()} AS withheld, {adjustment()} AS adjustment_micros
FROM compared
"""
_LOGGED = """
SELECT spec_digest, facts, reals, model_version
FROM wanted LEFT JOIN (SELECT * FROM {decisions}) USING (click_id)
ORDER BY place
"""
_EFFECTIVE = """
SELECT click_id, max_by(decision, ledger_seq) AS decision FROM {verdicts} GROUP BY click_id
"""


class Comparison:
    """Sets a snapshot's decisions and verdicts beside replayed ones, slice by slice, in order."""

    def __init__(self, snapshot: Snapshot, threads: int = 2) -> None:
        self._snapshot = snapshot
        self._connection = connect(threads)
        pinned = snapshot.pinned[DECISIONS.name]
        columns = [*ORDER, *STANDING]
        self._empty = empty_table(pinned.schema, columns, WORDS)
        self._logged = RowGroups(pinned, columns, WORDS, threads)

    def beside(self, span: Span, replayed: pa.Table) -> pa.Table:
        """Return `replayed` with production, effective, kind, withheld and adjustment_micros.

        `replayed` has click_id, decision, borderline and price_micros. `kind` is null where
        nothing changed; `withheld` marks a borderline click that would have been a change.
        """
        standing = self.standing(span, replayed)
        compared = standing.select(_COMPARED)
        self._connection.register("compared", compared)
        found = self._connection.sql(_COMPARE).to_arrow_table()
        self._connection.unregister("compared")
        for name in found.column_names:
            standing = standing.append_column(name, found[name])
        return standing

    def standing(self, span: Span, clicks: pa.Table) -> pa.Table:
        """Return `clicks` (click_id, …) with what production decided, and what is in effect.

        The columns are production, effective, production_model and production_probability, null
        for a click that production never logged.
        """
        rows = pa.concat_tables([self._empty, *self._logged.within(span)]).unify_dictionaries()
        mine = clicks["click_id"]
        places = _places(mine, rows)
        found = rows.select(list(STANDING)).take(places)
        production = found["decision"]
        effective = self._effective(span, mine, production)
        for name, values in (
            ("production", production),
            ("effective", effective),
            ("production_model", found["model_version"]),
            ("production_probability", found["probability"]),
        ):
            clicks = clicks.append_column(name, values)
        return clicks

    def logged(self, span: Span, click_ids: pa.ChunkedArray) -> pa.Table:
        """Return what production logged of these clicks, in their order: nulls where nothing.

        The columns are spec_digest, facts, reals and model_version.
        """
        wanted = pa.table({"place": np.arange(len(click_ids)), "click_id": click_ids})
        self._connection.register("wanted", wanted)
        source = self._snapshot.source(DECISIONS.name, span)
        found = self._connection.sql(_LOGGED.format(decisions=source)).to_arrow_table()
        self._connection.unregister("wanted")
        return found

    def _effective(
        self, span: Span, click_ids: pa.ChunkedArray, production: pa.ChunkedArray
    ) -> pa.ChunkedArray:
        """Return the latest verdict on each click, or what production decided."""
        if not self._snapshot.rows("verdicts", span):
            return production
        query = _EFFECTIVE.format(verdicts=self._snapshot.source("verdicts", span))
        verdicts = self._connection.sql(query).to_arrow_table()
        latest = verdicts["decision"].take(pc.index_in(click_ids, value_set=verdicts["click_id"]))
        return pc.coalesce(latest, production.cast(pa.string())).dictionary_encode()


def _places(click_ids: pa.ChunkedArray, rows: pa.Table) -> pa.Array | NDArray[np.int64]:
    """Return where each click stands in `rows`, null where it does not.

    Production logs the clicks that the log has, so in log order the two mostly agree.
    """
    if len(rows) == len(click_ids):
        times = pa.table({name: rows[name] for name in ORDER})
        times = times.set_column(0, "ts", rows["ts"].cast(pa.int64()))
        order = log_order(times)
        ordered = rows["click_id"] if order is None else rows["click_id"].take(order)
        if pc.all(pc.equal(ordered, click_ids)).as_py():
            return np.arange(len(rows)) if order is None else order
    return pc.index_in(click_ids, value_set=rows["click_id"])


def production_models(
    connection: duckdb.DuckDBPyConnection, snapshot: Snapshot, span: Span
) -> list[str]:
    """Return the names of the model versions behind the span's production decisions."""
    source = snapshot.source("decisions", span)
    query = (
        f"SELECT DISTINCT model_version FROM {source} WHERE model_version IS NOT NULL ORDER BY 1"
    )
    return [name for (name,) in connection.sql(query).fetchall()]
