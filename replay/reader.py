"""Reads the click log, slice of time by slice of time, into log order."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from replay.snapshot import Pinned, Snapshot, connect
from replay.span import Span, to_micros

ORDER_COLUMNS = ("ts", "seq", "click_id")
CHOSEN = "chosen"
REPEATING = ("device", "advertiser_id", "campaign_id", "ad_id")  # left dictionary-encoded
HOUR = 3_600_000_000
SLICE_LENGTHS = (*(HOUR * k for k in (24, 12, 6, 3, 1)), *(HOUR // k for k in (2, 4, 12, 60)))
SLICE_CLICKS = 400_000
STRADDLING_GROUPS = 8  # row groups kept for the next slice; more are read again


@dataclass(frozen=True)
class SliceRows:
    """The clicks of one slice of time.

    `clicks` is in log order: ts (int64 µs), seq, click_id, the columns asked for, and `chosen`
    where it was asked for; REPEATING columns are dictionary-encoded. `keys` holds the key columns,
    dictionary-encoded, as the files hold them; `order` says which of its rows each click in log
    order is, None where they agree.
    """

    clicks: pa.Table
    keys: pa.Table
    order: NDArray[np.int64] | None

    def of_keys(
        self, column: str, value: Callable[[pa.Array], NDArray[np.int32]], null: int
    ) -> NDArray[np.int32]:
        """Return a number per click, in log order; `value` gives those of distinct strings."""
        parts = [np.empty(0, np.int32)]
        for chunk in self.keys[column].chunks:
            values = np.append(value(chunk.dictionary), np.int32(null))  # a null finds the last
            places = chunk.indices.fill_null(len(chunk.dictionary)).to_numpy()
            parts.append(values[places])
        numbers = np.concatenate(parts)
        return numbers if self.order is None else numbers[self.order]


class RowGroups:
    """Reads slices of one table's rows from its Parquet files, `columns` in the order given.

    Slices are asked for in order of time: a row group that reaches over a slice's end is kept for
    the next. Columns in `encoded` come dictionary-encoded, as the files hold them; ts is among
    `columns`.
    """

    def __init__(
        self, pinned: Pinned, columns: Iterable[str], encoded: Sequence[str], threads: int = 2
    ) -> None:
        self._pinned = pinned
        self._columns = list(columns)
        self._encoded = list(encoded)
        self._threads = threads
        self._straddling: dict[tuple[str, int], pa.Table] = {}

    def within(self, span: Span) -> Iterator[pa.Table]:
        """Yield the rows with start <= ts < end of each row group that has any, file by file."""
        straddling: dict[tuple[str, int], pa.Table] = {}
        for path in self._pinned.within(span):
            with pq.ParquetFile(path, read_dictionary=self._encoded) as file:
                for group in range(file.num_row_groups):
                    first, last = _bounds(file.metadata.row_group(group))
                    if last < span.start or first >= span.end:
                        continue
                    rows = self._straddling.get((path, group))
                    if rows is None:
                        rows = file.read_row_group(
                            group, self._columns, use_threads=self._threads > 1
                        ).select(self._columns)
                    if last >= span.end and len(straddling) < STRADDLING_GROUPS:
                        straddling[path, group] = rows
                    yield _within(rows, span)
        self._straddling = straddling


class ClickReader:
    """Reads slices of a snapshot's clicks.

    The files' own dictionaries of the key columns are kept, one for each row group: interning a
    row group's distinct strings is several times cheaper than interning every click's. `chosen`
    is an SQL condition, checked by `replay.query`.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        columns: Iterable[str],
        keys: Sequence[str],
        chosen: str | None = None,
        threads: int = 2,
    ) -> None:
        self._snapshot = snapshot
        self._columns = list(dict.fromkeys([*ORDER_COLUMNS, *columns]))
        self._keys = list(keys)
        self._chosen = chosen
        self._threads = threads
        names = dict.fromkeys([*self._columns, *self._keys])
        encoded = [name for name in names if name in REPEATING or name in self._keys]
        self._empty = empty_table(snapshot.pinned["clicks"].schema, names, encoded)
        self._groups = RowGroups(snapshot.pinned["clicks"], names, encoded, threads)

    def read(self, span: Span) -> SliceRows:
        """Return the clicks of `span`."""
        rows = pa.concat_tables([self._empty, *self._groups.within(span)])
        clicks = rows.select(self._columns)
        for number, name in enumerate(self._columns):
            if name in REPEATING:
                clicks = clicks.set_column(number, name, clicks[name].unify_dictionaries())
            elif name in self._keys:
                clicks = clicks.set_column(number, name, clicks[name].cast(pa.string()))
        clicks = clicks.set_column(0, "ts", clicks["ts"].cast(pa.int64()))
        if self._chosen:
            clicks = clicks.append_column(CHOSEN, self._find_chosen(span, clicks["click_id"]))
        order = log_order(clicks)
        ordered = clicks if order is None else clicks.take(order)
        return SliceRows(ordered, rows.select(self._keys), order)

    def _find_chosen(self, span: Span, click_ids: pa.ChunkedArray) -> pa.ChunkedArray:
        source = self._snapshot.source("clicks", span)
        with connect(self._threads) as connection:
            found = connection.sql(f"SELECT click_id FROM {source} WHERE ({self._chosen})")
            return pc.is_in(click_ids, value_set=found.to_arrow_table()["click_id"])


def empty_table(schema: pa.Schema, columns: Iterable[str], encoded: Sequence[str]) -> pa.Table:
    """Return a table without rows, as RowGroups reads it: what tables are added up from."""
    fields = [_encoded(schema.field(n)) if n in encoded else schema.field(n) for n in columns]
    return pa.schema(fields).empty_table()


def _encoded(field: pa.Field) -> pa.Field:
    return field.with_type(pa.dictionary(pa.int32(), pa.string()))


def _bounds(group: pq.RowGroupMetaData) -> tuple[int, int]:
    """Return a row group's first and last ts, both inclusive, µs."""
    names = [group.column(number).path_in_schema for number in range(group.num_columns)]
    statistics = group.column(names.index("ts")).statistics
    return to_micros(statistics.min), to_micros(statistics.max)


def _within(rows: pa.Table, span: Span) -> pa.Table:
    """Return the rows with start <= ts < end; a slice where they stand together."""
    times = rows["ts"].cast(pa.int64()).to_numpy()
    inside = (times >= span.start) & (times < span.end)
    count = int(np.count_nonzero(inside))
    first = int(np.argmax(inside)) if count else 0
    together = bool(inside[first : first + count].all())
    return rows.slice(first, count) if together else rows.filter(pa.array(inside))


def choose_slice_length(snapshot: Snapshot, span: Span) -> int:
    """Return the longest usual slice that holds about SLICE_CLICKS clicks at most; µs."""
    clicks = snapshot.rows("clicks", span)
    log = snapshot.log_span()
    covered = min(span.length, log.length) if log else span.length
    for length in SLICE_LENGTHS:
        if clicks <= SLICE_CLICKS or clicks * length <= SLICE_CLICKS * covered:
            return length
    return SLICE_LENGTHS[-1]


def log_order(table: pa.Table) -> NDArray[np.int64] | None:
    """Return the rows' order by (ts, seq, click_id), or None where they are in it already."""
    times, seqs = table["ts"].to_numpy(), table["seq"].to_numpy()
    if _ascending(times, seqs):
        return None
    order = np.lexsort((seqs, times))
    if _ascending(times[order], seqs[order]):
        return order
    keys = [("ts", "ascending"), ("seq", "ascending"), ("click_id", "ascending")]
    indices = pc.sort_indices(table.select(["ts", "seq", "click_id"]), sort_keys=keys)
    return np.asarray(indices, np.int64)


def _ascending(times: NDArray[np.int64], seqs: NDArray[np.int64]) -> bool:
    """Tell whether (ts, seq) rises strictly."""
    later = times[1:] > times[:-1]
    tie = (times[1:] == times[:-1]) & (seqs[1:] > seqs[:-1])
    return bool(np.all(later | tie))
