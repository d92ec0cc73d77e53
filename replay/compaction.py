"""Merging the small files of closed days, so that reading a day opens one file.

Rows stay as they are and are written in log order. The old files stay on disk, since earlier
versions, `--as-of` and past runs read them. Ledgers (verdicts, promotions) are left alone.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from replay.lake import Lake
from replay.snapshot import File, Snapshot, connect
from replay.span import Span, to_micros
from replay.tables import CLICKS, DECISIONS, PROFILES_IP, PROFILES_USER, PURCHASES, Table

COMPACTED: tuple[Table, ...] = (CLICKS, DECISIONS, PURCHASES, PROFILES_USER, PROFILES_IP)
DAY = 86_400_000_000
_BATCH_ROWS = 32_768


@dataclass(frozen=True)
class Compacted:
    """What was done to one table: `files` small ones of `days` days became `days` files."""

    table: str
    days: int
    files: int
    rows: int


def compact(lake: Lake, before: int, now: int) -> list[Compacted]:
    """Merge the files of every day that ended by `before` and before the day of `now` (µs).

    One commit for each day, under the lake's lock; so it can stop anywhere. A day that is one file
    already is left as it is. Raises LakeBusy where another machine compacts at the same time.
    """
    closed = min(before, now) // DAY * DAY
    return [_compact(lake, table, closed) for table in COMPACTED]


def _compact(lake: Lake, table: Table, closed: int) -> Compacted:
    days = files = rows = 0
    for day in _days(lake, table, closed):
        with lake.lock():
            delta = lake.delta(table.name)
            snapshot = Snapshot.take(lake, tables=(table,))
            old = _files_by_day(snapshot, table).get(day, [])
            if delta is None or len(old) < 2:
                continue
            paths = [str(Path(file.path).relative_to(lake.home / table.name)) for file in old]
            rows += lake.rewrite(delta, table.name, paths, _sorted(snapshot, table, day))
            days, files = days + 1, files + len(old)
    return Compacted(table.name, days, files, rows)


def _days(lake: Lake, table: Table, closed: int) -> list[int]:
    """Return the starts (µs) of the closed days that have more than one file."""
    found = _files_by_day(Snapshot.take(lake, tables=(table,)), table)
    return sorted(d for d, files in found.items() if len(files) > 1 and d + DAY <= closed)


def _files_by_day(snapshot: Snapshot, table: Table) -> dict[int, list[File]]:
    days: dict[int, list[File]] = defaultdict(list)
    for file in snapshot.pinned[table.name].files:
        date = Path(file.path).parent.name.removeprefix("date=")
        days[to_micros(datetime.fromisoformat(date).replace(tzinfo=UTC))].append(file)
    return days


def _sorted(snapshot: Snapshot, table: Table, day: int) -> Iterator[pa.RecordBatch]:
    source = snapshot.source(table.name, Span(day, day + DAY))
    with connect() as connection:
        query = f"SELECT * FROM {source} ORDER BY {', '.join(table.order)}"
        yield from connection.sql(query).to_arrow_reader(_BATCH_ROWS)
