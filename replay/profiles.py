"""Profile features: the latest snapshot of a click's user or ip with valid_from <= ts.

Like the live cache, one row per key is kept current; a slice adds the snapshots that become valid
within it and moves the current rows on. Memory follows the keys, not the span.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from replay.compiled import Flags, Int32s, Int64s, kernel
from replay.interner import NULL
from replay.keys import ColumnSpace, Space
from replay.snapshot import Snapshot, connect
from replay.span import Span, to_micros
from replay.windows import kept, with_room
from scorer.spec import Profile

KEY_COLUMN = {"user": "user_id", "ip": "ip"}
BEGINNING = to_micros(datetime(1, 1, 1, tzinfo=UTC))
Values = Mapping[str, NDArray[Any]]  # rows of a slice's features, by name


class ProfileTable:
    """The columns that a spec takes from one profile table, moving forward in time.

    `_known` says of which codes the current values are at hand, in an array per profile. They are
    asked for when a key first comes up, and again after a slice in which snapshots become valid.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        table: str,
        profiles: Sequence[Profile],
        space: ColumnSpace,
        start: int,
    ) -> None:
        """Take the snapshots of `table` valid before `start` (µs); `space` has their keys."""
        self._connection = connect(threads=1)
        self._snapshot = snapshot
        self._table = f"profiles_{table}"
        self._profiles = profiles
        self._space = space
        self._known = np.zeros(0, np.bool_)
        self._values = [np.zeros(0, _kind(profile)) for profile in profiles]
        self._current = f"current_{table}"
        self._stored = frozenset(snapshot.pinned[self._table].schema.names)
        self._replace(self._rows(BEGINNING, start))

    def fill(self, span: Span, times: Int64s, start: int, out: Values) -> None:
        """Write each profile's value at each click of a slice, then move on to its end.

        The slice's clicks are those of the key space from place `start` on.
        """
        codes = self._space.codes[start:]
        if self._snapshot.rows(self._table, span):
            self._fill_changing(span, times, codes, out)
            self._replace(self._until(span))
            self._known[:] = False
        else:
            self._ask(codes)
            for profile, values in zip(self._profiles, self._values, strict=True):
                _gather(codes, values, _kind(profile)(profile.default), out[profile.name])

    def keep(self, alive: Mapping[Space, Flags]) -> None:
        """Forget the keys that are not alive; the others move up."""
        mask = alive[self._space]
        self._known = kept(self._known, mask)
        self._values = [kept(values, mask) for values in self._values]

    def _ask(self, codes: Int32s) -> None:
        """Look up the keys whose current values are not at hand."""
        self._known = with_room(self._known, self._space.size, 0)
        asked = _unknown(codes, self._known)
        found = self._history(f"SELECT * FROM {self._current}", asked)
        places = found["key_number"].to_numpy()
        for number, profile in enumerate(self._profiles):
            values = with_room(self._values[number], self._space.size, 0)
            values[asked] = profile.default
            values[asked[places]] = self._column_of(found, number)
            self._values[number] = values

    def _fill_changing(self, span: Span, times: Int64s, codes: Int32s, out: Values) -> None:
        """Fill a slice in which snapshots become valid: as of each click."""
        asked = _unknown(codes, np.zeros(self._space.size, np.bool_))
        numbers = np.full(self._space.size + 1, NULL, np.int32)
        numbers[asked] = np.arange(len(asked))
        found = self._history(self._until(span), asked)
        bounds = np.searchsorted(found["key_number"].to_numpy(), np.arange(len(asked) + 1))
        places = np.empty(len(codes), np.int64)
        _as_of(times, numbers[codes], bounds, found["valid_from"].to_numpy(), places)
        for number, profile in enumerate(self._profiles):
            values, default = self._column_of(found, number), _kind(profile)(profile.default)
            _gather(places, values, default, out[profile.name])

    def _column_of(self, found: pa.Table, number: int) -> NDArray[Any]:
        """Return a profile's values, its default for a null."""
        profile = self._profiles[number]
        column = found[f"c{number}"].cast(pa.int32() if profile.is_flag else pa.float32())
        default = pa.scalar(_kind(profile)(profile.default), column.type)
        return np.asarray(column.fill_null(default), _kind(profile))

    def _history(self, snapshots: str, codes: Int32s) -> pa.Table:
        """Return the snapshots of these keys, by the key's number among them and by time."""
        numbers = np.arange(len(codes), dtype=np.int32)
        wanted = pa.table({"key": self._space.strings(codes), "key_number": numbers})
        self._connection.register("wanted", wanted)
        values = ", ".join(f"c{number}" for number in range(len(self._profiles)))
        rows = self._connection.sql(
            f"SELECT key_number, valid_from, {values} FROM ({snapshots}) JOIN wanted USING (key) "
            "ORDER BY key_number, valid_from"
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
        column = profile.column if profile.column in self._stored else "NULL"
        if profile.is_flag:
            return f"{column}::BOOLEAN AS {name}"
        number = f"coalesce(TRY_CAST({column} AS FLOAT), 'nan'::FLOAT)"  # as the live cache has it
        return f"CASE WHEN {column} IS NOT NULL THEN {number} END AS {name}"

    def _replace(self, rows: str) -> None:
        """Make the latest row of each key the current one."""
        self._connection.execute(
            f"CREATE OR REPLACE TEMP TABLE {self._current} AS SELECT * FROM ({rows}) "
            "QUALIFY row_number() OVER (PARTITION BY key ORDER BY valid_from DESC) = 1"
        )


def _kind(profile: Profile) -> type[np.int32] | type[np.float32]:
    return np.int32 if profile.is_flag else np.float32


@kernel
def _unknown(codes: Int32s, known: Flags) -> Int32s:
    """Return each code that is not known, once, and mark it known."""
    unknown = np.empty(len(codes), np.int32)
    found = 0
    for code in codes:
        if code >= 0 and not known[code]:
            known[code] = True
            unknown[found] = code
            found += 1
    return unknown[:found]


@kernel
def _as_of(times: Int64s, keys: Int32s, bounds: Int64s, valid_from: Int64s, places: Int64s) -> None:
    """Find each click's latest row with valid_from <= ts among its key's; −1 where none."""
    for i in range(len(times)):
        places[i] = -1
        if keys[i] >= 0:
            row = bounds[keys[i] + 1] - 1
            while row >= bounds[keys[i]] and valid_from[row] > times[i]:
                row -= 1
            if row >= bounds[keys[i]]:
                places[i] = row


@kernel
def _gather(
    places: NDArray[Any], values: NDArray[Any], default: np.int32 | np.float32, out: NDArray[Any]
) -> None:
    """Write the value at each place; the default where it is −1."""
    for i in range(len(places)):
        out[i] = values[places[i]] if places[i] >= 0 else default
