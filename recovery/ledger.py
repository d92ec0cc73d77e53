"""The ledger of corrections: the lake's table `verdicts`, appended to and never changed.

`ledger_seq` numbers its rows 1..n without a gap. A commit's rows are written in that order and its
files, one for each date, hold consecutive ranges: so the files by their first number, each read
front to back, are the ledger in order, without a sort.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable
from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from recovery.gates import Judged
from replay.lake import Lake
from replay.snapshot import Snapshot, connect
from replay.summary import Tally
from scorer.errors import Inconsistent

NAMESPACE: UUID = uuid5(NAMESPACE_URL, "slidr-replay/verdict")
FIRST = "first"
# SQL for what a verdict does to the bill: credit, re-bill or neutral.
EFFECT = """
CASE WHEN previous <> 'invalid' AND decision = 'invalid' THEN 'credit'
  WHEN previous = 'invalid' AND decision <> 'invalid' THEN 're-bill' ELSE 'neutral' END
"""
BATCH_ROWS = 32_768
RECORD = "publication"


class Publication(BaseModel):
    """What one commit to the ledger was: its terms, its gates and its sums.

    Verdicts `first` to `last` (ledger_seq, both included) are its own. `of` is the run that a
    revert undoes; `run_id` is what the verdicts carry. `clicks` and `spend_micros` are what the
    run decided in [start, end), and the price of that.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: str
    run_id: str
    of: str | None
    at: AwareDatetime
    by: str
    reason: str | None
    overrides: tuple[str, ...]
    rebill: bool
    model_version: str | None
    start: AwareDatetime
    end: AwareDatetime
    clicks: int
    spend_micros: int
    verdicts: int
    first: int
    last: int
    credits: Tally
    rebills: Tally
    neutral: int
    withheld: Tally
    gates: tuple[Judged, ...]


def verdict_ids(click_ids: pa.Array, follows: pa.Array) -> pa.Array:
    """Return each verdict's id: UUIDv5 of its click and the verdict that it follows, or "first".

    >>> verdict_ids(pa.array(["c1"]), pa.array([None], pa.string()))[0].as_py()
    '666bac1d-d679-51a8-99c9-bf22941c2908'
    >>> str(uuid5(NAMESPACE, "c1/first"))
    '666bac1d-d679-51a8-99c9-bf22941c2908'
    """
    names = pc.binary_join_element_wise(click_ids, pc.fill_null(follows, FIRST), "/")
    space, sha1 = NAMESPACE.bytes, hashlib.sha1  # UUIDv5 is made of SHA-1 (RFC 9562, 5.5)
    digests = [sha1(space + name).digest() for name in names.cast(pa.binary()).to_pylist()]
    octets = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 20)[:, :16].copy()
    octets[:, 6] = octets[:, 6] & 0x0F | 0x50  # version 5
    octets[:, 8] = octets[:, 8] & 0x3F | 0x80  # the variant of RFC 9562
    texts = np.full((len(octets), _TEXT), ord("-"), np.uint8)
    texts[:, _DIGITS] = _HEX[octets].view(np.uint8)
    ends = np.arange(len(octets) + 1, dtype=np.int32) * _TEXT
    return pa.StringArray.from_buffers(len(octets), pa.py_buffer(ends), pa.py_buffer(texts))


_TEXT = 36  # characters of a UUID, hyphens included
_DIGITS = [place for place in range(_TEXT) if place not in (8, 13, 18, 23)]
_HEX = np.frombuffer(bytes(range(256)).hex().encode(), np.uint16)  # two digits of each octet


def record_of(lake: Lake, run_id: str) -> Publication | None:
    """Return the first publication of a run, or None where the ledger has no record of it."""
    return next((found for found in publications(lake) if found.run_id == run_id), None)


def head(snapshot: Snapshot) -> int:
    """Return the ledger's last number; 0 where it is empty."""
    return max((last for _, last, _ in _files(snapshot)), default=0)


def newest(snapshot: Snapshot) -> int:
    """Return when the newest verdict was issued, µs; 0 where the ledger is empty.

    Every publication is at this moment or later, so that a clock that stepped back cannot make
    old clicks look new to the billing window.
    """
    with connect(1) as connection:
        query = f"SELECT epoch_us(max(issued_at)) FROM {snapshot.source('verdicts')}"
        return connection.sql(query).fetchall()[0][0] or 0


def read_ledger(
    snapshot: Snapshot, after: int = 0, upto: int | None = None
) -> Iterator[pa.RecordBatch]:
    """Yield the verdicts with after < ledger_seq <= upto, in that order.

    A batch has at most 32,768 rows; one row group is in memory at a time.
    """
    for first, last, path in sorted(_files(snapshot)):
        if last <= after or (upto is not None and first > upto):
            continue
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(BATCH_ROWS, row_groups=_groups(file, after, upto)):
                numbers = batch.column("ledger_seq")
                wanted = pc.greater(numbers, after)
                if upto is not None:
                    wanted = pc.and_(wanted, pc.less_equal(numbers, upto))
                if (rows := batch.filter(wanted)).num_rows:
                    yield rows


def publications(lake: Lake, upto: int | None = None) -> list[Publication]:
    """Return what was published and reverted, oldest first; imported verdicts have no record.

    `upto` is the last version of the table that is looked at; None looks at all.
    Raises Inconsistent where a record cannot be read.
    """
    delta = lake.delta("verdicts")
    entries = [] if delta is None else delta.history()
    return [
        _record(entry)
        for entry in reversed(entries)
        if RECORD in entry and (upto is None or int(entry["version"]) <= upto)
    ]


def _record(entry: Mapping[str, Any]) -> Publication:
    try:
        return Publication.model_validate_json(entry[RECORD])
    except ValidationError as exc:
        said = str(exc).splitlines()[0]
        raise Inconsistent(
            f"the record in version {entry.get('version')} of the table verdicts cannot be read: "
            f"{said}; was it written by another version of this toolkit?"
        ) from exc


def _files(snapshot: Snapshot) -> list[tuple[int, int, str]]:
    """Return each file's first and last ledger_seq, and its path."""
    pin = snapshot.pinned["verdicts"]
    if pin.version < 0:
        return []
    folder = snapshot.lake.home / "verdicts"
    actions = pa.table(
        DeltaTable(folder, version=pin.version).get_add_actions(flatten=True)
    ).to_pylist()
    return [
        (row["min.ledger_seq"], row["max.ledger_seq"], str(folder / row["path"])) for row in actions
    ]


def _groups(file: pq.ParquetFile, after: int, upto: int | None) -> list[int]:
    """Return the row groups that may hold a number with after < number <= upto."""
    column = file.schema_arrow.get_field_index("ledger_seq")
    found = []
    for group in range(file.num_row_groups):
        bounds = file.metadata.row_group(group).column(column).statistics
        if bounds.max > after and (upto is None or bounds.min <= upto):
            found.append(group)
    return found
