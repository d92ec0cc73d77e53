"""A digest over the rows of a lake's tables, whatever files they lie in.

Two lakes have the same digests exactly where they hold the same rows. Each column is hashed as
three streams (presence, lengths, values), so that no border between batches shows.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from replay.snapshot import Snapshot, connect
from replay.tables import TABLES, Table

BATCH_ROWS = 122_880


def digest_tables(
    snapshot: Snapshot, columns: Mapping[str, Sequence[str]] | None = None
) -> dict[str, str]:
    """Return the digest of every pinned table that has rows.

    `columns` narrows the tables that it names to those columns.
    """
    chosen = dict(columns or {})
    return {
        name: digest_table(snapshot, TABLES[name], chosen.get(name))
        for name, pin in snapshot.pinned.items()
        if pin.files
    }


def digest_table(snapshot: Snapshot, table: Table, columns: Sequence[str] | None = None) -> str:
    """Return one table's digest: its rows in a fixed order, all columns or those named."""
    names = columns or [f.name for f in snapshot.pinned[table.name].schema if f.name != "date"]
    order = dict.fromkeys([*_log_order(table), *names])
    wanted = ", ".join(f'"{name}"' for name in names)
    ordered = ", ".join(f'"{name}"' for name in order)
    with connect() as connection:
        query = f"SELECT {wanted} FROM {snapshot.source(table.name)} ORDER BY {ordered}"
        return digest_batches(connection.sql(query).to_arrow_reader(BATCH_ROWS))


def _log_order(table: Table) -> list[str]:
    known = table.schema.names
    return [name for name in (table.time, "seq", *table.key) if name in known]


def digest_batches(batches: Iterable[pa.RecordBatch]) -> str:
    """Return the digest of rows in the order given; where batches are cut does not matter.

    >>> rows = pa.table({"a": ["x", None, "yz"], "n": [1, 2, 3]})
    >>> digest_batches(rows.to_batches(2)) == digest_batches(rows.to_batches(3))
    True
    """
    hashes: dict[str, _Column] = {}
    for batch in batches:
        for name, array in zip(batch.schema.names, batch.columns, strict=True):
            hashes.setdefault(name, _Column()).update(array)
    total = hashlib.sha256()
    for name, column in hashes.items():
        total.update(f"{name} {column.hexdigest()}\n".encode())
    return total.hexdigest()


class _Column:
    """The running hash of one column."""

    def __init__(self) -> None:
        self._presence, self._lengths, self._values = (hashlib.sha256() for _ in range(3))

    def update(self, array: pa.Array) -> None:
        self._presence.update(_bytes(array.is_valid()))
        self._add(array)

    def _add(self, array: pa.Array) -> None:
        if pa.types.is_list(array.type):
            self._lengths.update(_bytes(array.value_lengths().fill_null(0)))
            self._add(array.flatten())
        elif pa.types.is_string(array.type):
            self._lengths.update(_bytes(pc.binary_length(array).fill_null(0)))
            self._values.update("".join(array.drop_null().to_pylist()).encode())
        elif pa.types.is_timestamp(array.type):
            self._values.update(_bytes(array.cast(pa.int64()).fill_null(0)))
        elif pa.types.is_boolean(array.type):
            self._values.update(_bytes(array.fill_null(False)))
        else:
            self._values.update(_bytes(array.fill_null(0)))

    def hexdigest(self) -> str:
        return "-".join(h.hexdigest() for h in (self._presence, self._lengths, self._values))


def _bytes(array: pa.Array) -> bytes:
    return np.ascontiguousarray(array.to_numpy(zero_copy_only=False)).tobytes()
