"""Small real lakes for tests, from rows written as dicts, with control over the file layout.

>>> from tempfile import TemporaryDirectory
>>> from replay.snapshot import Snapshot
>>> with TemporaryDirectory() as folder:
...     lake = make_lake(folder, clicks=[click(10), click(0)], commits=[[0], [1]])
...     snapshot = Snapshot.take(lake)
>>> snapshot.rows("clicks"), snapshot.versions
(2, {'clicks': 2})
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from replay.lake import Lake
from replay.tables import TABLES, TIMESTAMP, Table

Row = Mapping[str, Any]
Layout = Sequence[Sequence[int] | NDArray[np.int64]]

CLICK: Row = {
    "source": "live",
    "store_epoch": None,
    "user_id": "u1",
    "session_id": "s1",
    "ip": "10.0.0.1",
    "user_agent": "agent",
    "device": "desktop",
    "logged_in": True,
    "advertiser_id": "adv1",
    "campaign_id": "camp1",
    "ad_id": None,
    "query": None,
    "price_micros": 250_000,
}
DECISION: Row = {"decision": "valid", "reason": "model", "seq": 0}
PURCHASE: Row = {"amount_micros": 1_000_000}
DEFAULTS: Mapping[str, Row] = {"clicks": CLICK, "decisions": DECISION, "purchases": PURCHASE}


def click(ts: int, seq: int = 0, click_id: str | None = None, **columns: object) -> dict[str, Any]:
    """Return a click at `ts` (µs) of one user, with the columns given changed."""
    named = f"c{ts}-{seq}" if click_id is None else click_id
    row = {"ts": ts, "seq": seq, "click_id": named, **CLICK, "ingested_at": ts, **columns}
    unknown = set(row) - set(TABLES["clicks"].schema.names)
    if unknown:
        raise TypeError(f"no click column {unknown}")
    return row


def make_lake(
    home: str | Path,
    clicks: Sequence[Row] | pa.Table = (),
    *,
    commits: Layout | None = None,
    currency: str = "USD",
    **tables: Sequence[Row] | pa.Table,
) -> Lake:
    """Make a lake at `home`; rows are dicts (times in µs), missing columns take a default.

    `commits` lays out the clicks: each list is one commit, made of row numbers in the order that
    they have in its file (a commit holds one file for each UTC date). A click in a later list
    landed late; several lists of one day are several files a day. Other tables (`purchases=`,
    `decisions=`, `profiles_user=`, `profiles_ip=`, …) land before the clicks, in one commit each.
    """
    lake = Lake.create(Path(home), currency)
    for name, rows in tables.items():
        add_rows(lake, name, rows)
    add_rows(lake, "clicks", clicks, commits)
    return lake


def add_rows(
    lake: Lake, name: str, rows: Sequence[Row] | pa.Table, commits: Layout | None = None
) -> None:
    """Append rows to a table, in one commit for each list of row numbers (all in one without)."""
    table = TABLES[name]
    data = rows if isinstance(rows, pa.Table) else to_table(table, rows)
    delta = lake.delta(name)
    done = 0 if delta is None else delta.version() + 1
    for number, chosen in enumerate(commits if commits is not None else [np.arange(len(data))]):
        part = _by_date(data.take(pa.array(chosen, pa.int64())), table.time)
        lake.append(name, part.combine_chunks().to_batches(), (f"test-{done}-{number}", 1))


def to_table(table: Table, rows: Iterable[Row]) -> pa.Table:
    """Turn rows into a table of the right types; open columns take the types of their values."""
    filled = [{**DEFAULTS.get(table.name, {}), **_stamps(table, row), **row} for row in rows]
    extra = dict.fromkeys(name for row in filled for name in row if name not in table.schema.names)
    if extra and not table.open_columns:
        raise TypeError(f"no {table.name} column {list(extra)}")
    columns = {
        field.name: pa.array([row.get(field.name) for row in filled], _integer(field.type))
        for field in table.schema
    }
    for name in extra:
        values = pa.array([row.get(name) for row in filled])
        # A column of nulls alone has no type to infer; the names in use say what it would be.
        unknown = pa.bool_() if name.startswith("is_") else pa.float64()
        columns[name] = values.cast(unknown) if pa.types.is_null(values.type) else values
    types = [(f.name, f.type) for f in table.schema] + [(n, columns[n].type) for n in extra]
    return pa.table(columns).cast(pa.schema(types))


def _stamps(table: Table, row: Row) -> Row:
    """Times that default to when it happened."""
    stamps = {"clicks": "ingested_at", "decisions": "decided_at"}
    return {stamps[table.name]: row["ts"]} if table.name in stamps else {}


def _integer(kind: pa.DataType) -> pa.DataType:
    return pa.int64() if kind == TIMESTAMP else kind


def _by_date(rows: pa.Table, time: str) -> pa.Table:
    """Bring the dates together, as a commit's files are one for each, and leave the rest be."""
    days = pc.floor_temporal(rows.column(time), unit="day")
    return rows.take(pc.sort_indices(days))  # stable
