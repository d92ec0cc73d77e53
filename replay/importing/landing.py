"""Which staged rows land, and what the importer adds to them: places, clocks and cursors.

Works on the temporary table `staged` (see `Plan.stage`) and leaves `landing`: one row for each
staged row that is new, with row, problem (what only the lake can tell; null for a row that lands)
and the columns that the importer gives.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from replay.importing.expressions import identifier, integer_of
from replay.importing.plan import Plan, problem
from replay.snapshot import Snapshot, sql_type

LEAD_MICROS = 300_000_000
NO_CLICK = "no such click in the log"
CORRECTED = "the click has a verdict already, which started from no decision"
TOO_LATE = "lands less than 5 minutes before its valid_from"
_TRUTHS = "('true', 'false', 't', 'f', 'yes', 'no')"


@dataclass(frozen=True)
class Landing:
    """An import's second half, once the file is staged; `now` is in µs."""

    connection: duckdb.DuckDBPyConnection
    plan: Plan
    snapshot: Snapshot
    now: int
    backfill: bool

    def find(self) -> None:
        """Make `landing`: of rows with one key the first in the file, and none the table has."""
        table = self.plan.table
        keys = ", ".join(map(identifier, table.key))
        same = "fingerprint" if self.plan.numbers_rows else keys
        on = " AND ".join(f"s.{identifier(k)} = e.{identifier(k)}" for k in table.key)
        self.connection.execute(f"""
            CREATE TEMP TABLE candidates AS SELECT s.row FROM staged s
            SEMI JOIN (SELECT min(row) AS row FROM staged WHERE problem IS NULL GROUP BY {same}) f
            ON s.row = f.row
            ANTI JOIN (SELECT {keys} FROM {self.snapshot.source(table.name)}) e ON {on}
        """)
        self.connection.execute(f"CREATE TEMP TABLE landing AS {self._landing()}")

    def _landing(self) -> str:
        chosen = "staged JOIN candidates USING (row)"
        match self.plan.table.name:
            case "clicks":
                # In order, seq is max(the one before + 1, ts in µs); so seq − place never falls.
                return f"""
                    SELECT row, {_NONE} AS problem,
                           place + max(epoch_us(ts) - place)
                               OVER (ORDER BY place ROWS UNBOUNDED PRECEDING) AS seq
                    FROM (SELECT row, ts, row_number() OVER (ORDER BY ts, order_key, row) AS place
                          FROM {chosen})
                """
            case "decisions":
                return self._with_click(chosen, "", refuse_corrected=True)
            case "verdicts":
                return self._with_click(chosen, self._ledger())
            case "profiles_user" | "profiles_ip":
                return f"SELECT row, {self._profile_problem()} AS problem FROM {chosen}"
            case _:
                return f"SELECT row, {_NONE} AS problem FROM {chosen}"

    def _with_click(self, chosen: str, further: str, *, refuse_corrected: bool = False) -> str:
        """SQL for rows that belong to a click.

        A decision that lands after a verdict on its click would change what the verdict started
        from, and with it the sum of the ledger: with `refuse_corrected` it does not land.
        """
        clicks, verdicts = self.snapshot.source("clicks"), self.snapshot.source("verdicts")
        corrected = f"(SELECT DISTINCT click_id AS corrected FROM {verdicts})"
        late = f"WHEN corrected IS NOT NULL THEN {problem('click_id', CORRECTED)}"
        return f"""
            SELECT row, c.seq, c.ts,
                   CASE WHEN c.seq IS NULL THEN {problem("click_id", NO_CLICK)}
                        {late if refuse_corrected else ""} END AS problem
                   {further}
            FROM {chosen} LEFT JOIN (SELECT click_id, seq, ts FROM {clicks}) c USING (click_id)
            {f"LEFT JOIN {corrected} ON click_id = corrected" if refuse_corrected else ""}
        """

    def _ledger(self) -> str:
        """SQL for the ledger's next numbers, without a gap, in the order that rows are written."""
        verdicts = self.snapshot.source("verdicts")
        last = f"(SELECT coalesce(max(ledger_seq), 0) FROM {verdicts})"
        order = "c.ts, c.seq, click_id, order_key, row"
        place = f"row_number() OVER (PARTITION BY c.seq IS NULL ORDER BY {order})"
        return f", {last} + {place} AS ledger_seq"

    def _profile_problem(self) -> str:
        late = "" if self.backfill else f"epoch_us(valid_from) < {self.now + LEAD_MICROS}"
        cases = [f"WHEN {late} THEN {problem('valid_from', TOO_LATE)}"] if late else []
        for name, kind in self.open_types().items():
            text, value = identifier(name), _open_value(identifier(name), kind)
            number = pa.types.is_floating(kind)
            held = f"coalesce(isfinite(TRY_CAST({value} AS FLOAT)), false)"  # as a feature is
            bad = f"NOT {held}" if number else f"{value} IS NULL"
            why = "not a finite number" if number else "not of its column's type"
            cases.append(f"WHEN {text} IS NOT NULL AND {bad} THEN {problem(name, why)}")
        return f"CASE {' '.join(cases)} ELSE {_NONE} END" if cases else _NONE

    def open_types(self) -> Mapping[str, pa.DataType]:
        """Types of a profile's own columns: the table's, else boolean or double by the values."""
        schema = self.snapshot.pinned[self.plan.table.name].schema
        found: dict[str, pa.DataType] = {}
        for name in self.plan.open_columns:
            if name in schema.names:
                found[name] = schema.field(name).type
                continue
            text = identifier(name)
            ((boolean,),) = self.connection.execute(
                f"SELECT bool_and(lower({text}) IN {_TRUTHS}) FROM staged WHERE problem IS NULL"
            ).fetchall()
            found[name] = pa.bool_() if boolean else pa.float64()
        return found

    def rows(self) -> str:
        """SQL for the rows that land, with the table's columns, in its order."""
        table = self.plan.table
        order = ("ledger_seq",) if "ledger_seq" in table.schema.names else table.order
        given = {
            "seq": "l.seq",
            "ledger_seq": "l.ledger_seq",
            "source": "'import'",
            "ingested_at": f"make_timestamptz({self.now})",
            "decided_at": "l.ts",
        }
        columns = []
        for field in table.schema:
            name, kind = identifier(field.name), sql_type(field.type)
            value = f"s.{name}" if field.name in self.plan.filled else given.get(field.name)
            if field.name == "decided_at" and field.name in self.plan.filled:
                value = "coalesce(s.decided_at, l.ts)"
            if field.name == "ts" and field.name not in self.plan.filled:
                value = "l.ts"
            columns.append(f"CAST({value or 'NULL'} AS {kind}) AS {name}")
        for field_name, kind in self.open_types().items():
            name = identifier(field_name)
            columns.append(f"{_open_value(f's.{name}', kind)} AS {name}")
        return f"""
            SELECT {", ".join(columns)} FROM staged s JOIN landing l ON s.row = l.row
            WHERE l.problem IS NULL ORDER BY {", ".join(map(identifier, order))}
        """


_NONE = 'NULL::STRUCT("column" VARCHAR, reason VARCHAR)'


def _open_value(text: str, kind: pa.DataType) -> str:
    if pa.types.is_integer(kind):
        return f"TRY_CAST({integer_of(text)} AS {sql_type(kind)})"
    return f"TRY_CAST({text} AS {sql_type(kind)})"
