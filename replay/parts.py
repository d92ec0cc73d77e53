"""The Parquet files of a lake's tables: written under a temporary name, put in place whole.

A commit's rows go into one file for each run of rows of one UTC date; each tells its bounds, for
the table's statistics.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake.transaction import AddAction

from replay.span import iso
from replay.tables import Table

ROW_GROUP = 122_880


@dataclass(frozen=True)
class Part:
    """A file as it was written: `path` within its table, bounds of its columns (times in µs)."""

    path: str
    size: int
    rows: int
    date: str
    least: Mapping[str, int]
    most: Mapping[str, int]
    schema: pa.Schema

    def action(self, *, data_change: bool = True) -> AddAction:
        """Return what adds the file to its table."""
        stats = {
            "numRecords": self.rows,
            "minValues": self._written(self.least),
            "maxValues": self._written(self.most),
        }
        return AddAction(
            self.path, self.size, {"date": self.date}, 0, data_change, json.dumps(stats)
        )

    def _written(self, bounds: Mapping[str, int]) -> dict[str, str | int]:
        """Write bounds as Delta's statistics do."""
        return {
            name: bound
            if pa.types.is_integer(self.schema.field(name).type)
            else iso_milliseconds(bound)
            for name, bound in bounds.items()
        }


def iso_milliseconds(ts: int) -> str:
    """Write a time as Delta's statistics do: cut to the millisecond.

    >>> iso_milliseconds(1772323200001999)
    '2026-03-01T00:00:00.001Z'
    """
    return iso(ts // 1000 * 1000) if ts % 1_000_000 < 1000 else iso(ts)[:23] + "Z"


def with_date(schema: pa.Schema) -> pa.Schema:
    """Return a file's schema with the partition column."""
    return schema.append(pa.field("date", pa.date32(), nullable=False))


def write_parts(
    folder: Path, table: Table, batches: Iterable[pa.RecordBatch], stem: str
) -> Iterator[Part]:
    """Write Parquet files, one for each run of rows of one date; names repeat on a second try."""
    writer: _PartWriter | None = None
    number = 0
    try:
        for batch in batches:
            for date, rows in _by_date(batch, table.time):
                if writer is not None and writer.date != date:
                    yield writer.close()
                    writer = None
                if writer is None:
                    path = f"date={date}/part-{stem}-{number:05d}.parquet"
                    writer = _PartWriter(folder, path, date, table, batch.schema)
                    number += 1
                writer.write(rows)
        if writer is not None:
            yield writer.close()
            writer = None
    finally:
        if writer is not None:
            writer.abandon()


def _by_date(batch: pa.RecordBatch, time: str) -> Iterator[tuple[str, pa.RecordBatch]]:
    """Split a batch into runs of one UTC date."""
    if not batch.num_rows:
        return
    # To a date by way of a time without zone: with one, Arrow looks every value up.
    days = batch.column(time).cast(pa.timestamp("us")).cast(pa.date32())
    runs = pc.run_end_encode(days)
    start = 0
    for end, day in zip(runs.run_ends.to_pylist(), runs.values.to_pylist(), strict=True):
        yield day.isoformat(), batch.slice(start, end - start)
        start = end


def _repeating(schema: pa.Schema, table: Table) -> list[str]:
    """Name the columns whose values repeat; a dictionary of what orders a table saves nothing."""
    return [
        f"{field.name}.list.element" if pa.types.is_list(field.type) else field.name
        for field in schema
        if field.name not in table.order
    ]


class _PartWriter:
    """One Parquet file being written under a temporary name."""

    def __init__(self, folder: Path, path: str, date: str, table: Table, schema: pa.Schema) -> None:
        self.date = date
        self._table = table
        self._path = path
        self._final = folder / path
        self._final.parent.mkdir(exist_ok=True)  # never a lake that was moved away meanwhile
        self._temporary = self._final.with_suffix(".writing")
        self._schema = schema if table.open_columns else table.schema
        self._writer = pq.ParquetWriter(
            self._temporary,
            self._schema,
            compression="zstd",
            use_dictionary=_repeating(self._schema, table),
        )
        self._rows = 0
        self._least: dict[str, int] = {}
        self._most: dict[str, int] = {}

    def write(self, rows: pa.RecordBatch) -> None:
        rows = rows.cast(self._schema)
        for name in self._table.bounded:
            bounds = pc.min_max(rows.column(name).cast(pa.int64())).as_py()
            self._least[name] = min(self._least.get(name, bounds["min"]), bounds["min"])
            self._most[name] = max(self._most.get(name, bounds["max"]), bounds["max"])
        self._rows += rows.num_rows
        self._writer.write_batch(rows, row_group_size=ROW_GROUP)

    def close(self) -> Part:
        self._writer.close()
        self._temporary.replace(self._final)
        size = self._final.stat().st_size
        return Part(self._path, size, self._rows, self.date, self._least, self._most, self._schema)

    def abandon(self) -> None:
        self._writer.close()
        self._temporary.unlink(missing_ok=True)
