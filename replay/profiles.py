"""Profile features: the latest snapshot of a click's user or ip with valid_from <= ts.

Like the live cache, one row per key is kept current; a slice adds the snapshots that become valid
within it and moves the current rows on. Memory follows the keys, not the span.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from replay.compiled import Int32s, Int64s, kernel
from replay.interner import Codes, renumber
from replay.snapshot import Snapshot, connect
from replay.span import Span, to_micros
from scorer.spec import Profile

KEY_COLUMN = {"user": "user_id", "ip": "ip"}
BEGINNING = to_micros(datetime(1, 1, 1, tzinfo=UTC))


class ProfileTables:
    """The profile columns that a spec takes, moving forward in time."""

    def __init__(self, snapshot: Snapshot, profiles: Sequence[Profile], start: int) -> None:
        """Take the snapshots valid before `start` (µs)."""
        self._connection = connect(threads=1)
        self._tables = [
            _ProfileTable(self._connection, snapshot, table, columns, start)
            for table in KEY_COLUMN
            if (columns := [p for p in profiles if p.table == table])
        ]

    def fill(
        self, span: Span, clicks: pa.Table, codes: Mapping[str, Codes], out: "Columns"
    ) -> None:
        """Write each profile's value at each click of a slice, then move on to its end.

        `codes` hold, by column, a code per click, equal for equal values and −1 for null.
        """
        for table in self._tables:
            table.fill(span, clicks, codes[table.key_column], out)


class _ProfileTable:
    """The columns of one profile table."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        snapshot: Snapshot,
        table: str,
        profiles: Sequence[Profile],
        start: int,
    ) -> None:
        self.key_column = KEY_COLUMN[table]
        self._connection = connection
        self._snapshot = snapshot
        self._table = f"profiles_{table}"
        self._profiles = profiles
        self._current = f"current_{table}"
        self._stored = frozenset(snapshot.pinned[self._table].schema.names)
        self._replace(self._rows(BEGINNING, start))

    def fill(self, span: Span, clicks: pa.Table, codes: Codes, out: "Columns") -> None:
        times = clicks["ts"].to_numpy()
        rows_of_keys, keys_of_clicks = _distinct_keys(codes)
        keys = clicks[self.key_column].take(rows_of_keys)
        rows = self._history(span, keys)
        bounds = np.searchsorted(rows["code"].to_numpy(), np.arange(len(keys) + 1))
        found = np.empty(len(times), np.int64)
        _as_of(times, keys_of_clicks, bounds, rows["valid_from"].to_numpy(), found)
        for number, profile in enumerate(self._profiles):
            out.write(profile, rows[f"c{number}"], found)
        if self._snapshot.rows(self._table, span):
            self._replace(self._until(span))

    def _history(self, span: Span, keys: pa.ChunkedArray) -> pa.Table:
        """Return the snapshots of these keys that clicks of `span` can see, by key and time."""
        self._connection.register(
            "wanted", pa.table({"key": keys, "code": np.arange(len(keys), dtype=np.int32)})
        )
        values = ", ".join(f"c{number}" for number in range(len(self._profiles)))
        rows = self._connection.sql(
            f"SELECT code, valid_from, {values} FROM ({self._until(span)}) JOIN wanted USING (key) "
            "ORDER BY code, valid_from"
        ).to_arrow_table()
        self._connection.unregister("wanted")
        return rows

    def _until(self, span: Span) -> str:
        return f"SELECT * FROM {self._current} UNION ALL {self._rows(span.start, span.end)}"

    def _rows(self, start: int, end: int) -> str:
        """Write SQL for snapshots with start <= valid_from < end: key, valid_from, c0, c1, …."""
        columns = [self._value(p, f"c{number}") for number, p in enumerate(self._profiles)]
        source = self._snapshot.source(self._table, Span(start, end))
        return f"SELECT key, epoch_us(valid_from) AS valid_from, {', '.join(columns)} FROM {source}"

    def _value(self, profile: Profile, name: str) -> str:
        # A column's name is checked by the spec: lower-case letters, digits and underscores.
        kind = "BOOLEAN" if profile.is_flag else "FLOAT"
        column = profile.column if profile.column in self._stored else "NULL"
        return f"{column}::{kind} AS {name}"

    def _replace(self, rows: str) -> None:
        """Make the latest row of each key the current one."""
        self._connection.execute(
            f"CREATE OR REPLACE TEMP TABLE {self._current} AS SELECT * FROM ({rows}) "
            "QUALIFY row_number() OVER (PARTITION BY key ORDER BY valid_from DESC) = 1"
        )


@dataclass(frozen=True)
class Columns:
    """Where profile values go: rows of the slice's facts and reals, by feature name."""

    facts: dict[str, NDArray[np.int32]]
    reals: dict[str, NDArray[np.float32]]

    def write(self, profile: Profile, values: pa.ChunkedArray, found: NDArray[np.int64]) -> None:
        """Gather a profile's values by row number; its default where that is −1 or null."""
        kind = np.int32 if profile.is_flag else np.float32
        filled = values.cast(pa.int32() if profile.is_flag else pa.float32())
        filled = filled.fill_null(pa.scalar(kind(profile.default), filled.type))
        padded = np.append(filled.to_numpy().astype(kind), kind(profile.default))
        target = self.facts if profile.is_flag else self.reals
        target[profile.name][:] = padded[found]


@kernel
def _as_of(times: Int64s, codes: Int32s, bounds: Int64s, valid_from: Int64s, found: Int64s) -> None:
    for i in range(len(times)):
        found[i] = -1
        code = codes[i]
        if code >= 0:
            row = bounds[code + 1] - 1
            while row >= bounds[code]:
                if valid_from[row] <= times[i]:
                    found[i] = row
                    break
                row -= 1


@kernel
def _first_rows(codes: Int32s, keys: int) -> Int64s:
    first = np.full(keys, -1, np.int64)
    for row in range(len(codes)):
        if codes[row] >= 0 and first[codes[row]] < 0:
            first[codes[row]] = row
    return first


def _distinct_keys(codes: Codes) -> tuple[NDArray[np.int64], Codes]:
    """Return a row for each distinct code, and per click the number of its code among them."""
    first = _first_rows(codes, int(codes.max(initial=-1)) + 1)
    present = first >= 0
    numbers = np.append(renumber(present), np.int32(-1))
    return first[present], numbers[codes]
