"""Reads the click log, slice of time by slice of time, into log order."""

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from replay.snapshot import Snapshot, connect
from replay.span import Span

ORDER_COLUMNS = ("ts", "seq", "click_id")
CHOSEN = "chosen"
HOUR = 3_600_000_000
SLICE_LENGTHS = (*(HOUR * k for k in (24, 12, 6, 3, 1)), *(HOUR // k for k in (2, 4, 12, 60)))
SLICE_CLICKS = 750_000


class ClickReader:
    """Reads slices of a snapshot's clicks.

    A slice has ts (int64 µs), seq, click_id, the `columns`, for each of `keys` the column and a
    uint64 column `hash <name>`, and, where `chosen` is an SQL condition on the click, a boolean
    column `chosen` (a null counts as false). `chosen` has been checked by `replay.query`.
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
        self._connection = connect(threads)
        names = [name for name in dict.fromkeys([*columns, *keys]) if name not in ORDER_COLUMNS]
        wanted = ["epoch_us(ts) AS ts", "seq", "click_id", *(f'"{name}"' for name in names)]
        wanted += [f'hash("{name}") AS "hash {name}"' for name in keys]
        wanted += [f"coalesce(({chosen}), false) AS {CHOSEN}"] if chosen else []
        self._select = ", ".join(wanted)

    def read(self, span: Span) -> pa.Table:
        """Return the clicks of `span` in log order."""
        source = self._snapshot.source("clicks", span)
        table = self._connection.sql(f"SELECT {self._select} FROM {source}").to_arrow_table()
        order = log_order(table)
        return table if order is None else table.take(order)


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
