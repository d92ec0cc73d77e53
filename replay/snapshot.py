"""One consistent view of a lake: each table pinned to a version, read with DuckDB.

`clicks` is pinned first: writers commit what a click needs (quarantine, purchases, decisions)
before the clicks, so a later look at those tables sees at least what belongs to the pinned clicks.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable

from replay.errors import BadTime
from replay.lake import Lake
from replay.span import Span, iso, to_micros
from replay.tables import LOG_TABLES, Table
from scorer.errors import Inconsistent

MILLISECOND = 1000


@dataclass(frozen=True)
class File:
    """A data file of a pinned table: rows, and inclusive bounds of its time column in µs.

    `last` is already rounded up to what the cut-off statistics may hide.
    """

    path: str
    rows: int
    first: int
    last: int


@dataclass(frozen=True)
class Pinned:
    """A table at one version; version −1 where nothing was ever written to it."""

    table: Table
    version: int
    files: tuple[File, ...]
    schema: pa.Schema

    def within(self, span: Span | None) -> list[str]:
        """Paths of the files that may hold rows with start <= time < end."""
        if span is None:
            return [f.path for f in self.files]
        return [f.path for f in self.files if f.first < span.end and f.last >= span.start]


@dataclass(frozen=True)
class Snapshot:
    """Every table of a lake as it stood at one moment."""

    lake: Lake
    pinned: dict[str, Pinned]
    as_of: int | None = field(default=None)

    @classmethod
    def take(
        cls, lake: Lake, as_of: int | None = None, tables: Sequence[Table] = LOG_TABLES
    ) -> "Snapshot":
        """Pin every table, `clicks` first; `as_of` (µs) reads what was known then.

        Raises BadTime where `as_of` lies before the log's first commit.
        """
        pinned = {table.name: _pin(lake, table, as_of) for table in tables}
        if as_of is not None and pinned["clicks"].version < 0:
            raise BadTime(
                f"--as-of {iso(as_of)} is before the lake's first clicks were committed"
                f"{_first_commit(lake)}"
            )
        return cls(lake, pinned, as_of)

    @classmethod
    def at_versions(cls, lake: Lake, versions: Mapping[str, int]) -> "Snapshot":
        """Pin each table to a version taken earlier; a table not named had no rows then."""
        return cls(lake, {t.name: _pin_version(lake, t, versions.get(t.name)) for t in LOG_TABLES})

    @property
    def versions(self) -> dict[str, int]:
        """Table name → pinned version, for the tables that exist."""
        return {name: pin.version for name, pin in self.pinned.items() if pin.version >= 0}

    def digest(self) -> str:
        """Return the SHA-256 of which files the tables are made of, with their rows and times.

        Copies of a lake share it for as long as neither goes on by itself.
        """
        home = str(self.lake.home)
        files = (file for pin in self.pinned.values() for file in pin.files)
        names = sorted(f"{f.path.removeprefix(home)} {f.rows} {f.first} {f.last}" for f in files)
        return sha256("\n".join(names).encode()).hexdigest()

    def rows(self, name: str, span: Span | None = None) -> int:
        """Upper bound of a table's rows in the span, from file statistics alone."""
        pin = self.pinned[name]
        inside = set(pin.within(span))
        return sum(f.rows for f in pin.files if f.path in inside)

    def log_span(self) -> Span | None:
        """Bounds of the click log, from file statistics (end exclusive); None if empty."""
        files = self.pinned["clicks"].files
        if not files:
            return None
        return Span(min(f.first for f in files), max(f.last for f in files) + 1)

    def clip(self, span: Span) -> Span | None:
        """Cut a span to where the click log lies; None where it misses the log."""
        log = self.log_span()
        if log is None or span.end <= log.start or log.end <= span.start:
            return None
        return Span(max(span.start, log.start), min(span.end, log.end))

    def source(self, name: str, span: Span | None = None) -> str:
        """SQL for a table's pinned files, with the rows of `span` alone where one is given.

        The result stands in a FROM clause. It is made of the lake's own file names and of
        integers, never of a user's text.
        """
        pin = self.pinned[name]
        files = pin.within(span)
        if not files:
            columns = ", ".join(
                f'NULL::{sql_type(f.type)} AS "{f.name}"' for f in pin.schema if f.name != "date"
            )
            return f"(SELECT {columns} WHERE false)"
        paths = ", ".join(quoted(path) for path in files)
        union = ", union_by_name = true" if pin.table.open_columns else ""
        read = f"read_parquet([{paths}], hive_partitioning = false{union})"
        if span is None:
            return read
        time = pin.table.time
        bounds = (
            f"{time} >= make_timestamptz({span.start}) AND {time} < make_timestamptz({span.end})"
        )
        return f"(SELECT * FROM {read} WHERE {bounds})"

    def create_views(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Make a view of every table, under its own name."""
        for name in self.pinned:
            connection.execute(
                f'CREATE OR REPLACE VIEW "{name}" AS SELECT * FROM {self.source(name)}'
            )


def quoted(path: str) -> str:
    """Return a path as an SQL string in which DuckDB sees no pattern.

    >>> quoted("o'lake [old]/a.parquet")
    "'o''lake [[]old]/a.parquet'"
    """
    for sign in "[*?":
        path = path.replace(sign, f"[{sign}]")
    return "'" + path.replace("'", "''") + "'"


@contextmanager
def reading(snapshot: Snapshot) -> Iterator[None]:
    """Name the damaged or missing file where a snapshot's tables cannot be read."""
    try:
        yield
    except (duckdb.Error, pa.ArrowException, OSError) as exc:
        for name, pin in snapshot.pinned.items():
            for file in pin.files:
                if problem := _damage(file.path, pin.table):
                    raise Inconsistent(
                        f"{file.path}, a file of table {name}, cannot be read: {problem}; "
                        "restore it from a copy of the lake"
                    ) from exc
        raise


def _damage(path: str, table: Table) -> str | None:
    """Read a file whole; return what is wrong with it."""
    try:
        with pq.ParquetFile(path) as file:
            found = {field.name: field.type for field in file.schema_arrow}
            for _ in file.iter_batches():
                pass
    except (pa.ArrowException, OSError) as exc:
        return str(exc).splitlines()[0].rstrip(".")
    for column in table.schema:
        if column.name not in found:
            return f"it has no column {column.name}"
        if found[column.name] != column.type:
            return f"its column {column.name} is {found[column.name]} and not {column.type}"
    return None


def connect(threads: int | None = None, memory_limit: str = "1GB") -> duckdb.DuckDBPyConnection:
    """Open an in-memory DuckDB that thinks in UTC."""
    connection = duckdb.connect(":memory:")
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET memory_limit = ?", [memory_limit])
    connection.execute("SET enable_progress_bar = false")
    if threads is not None:
        connection.execute("SET threads = ?", [threads])
    return connection


def _pin(lake: Lake, table: Table, as_of: int | None) -> Pinned:
    delta = lake.delta(table.name)
    if delta is not None and as_of is not None:
        version = _version_at(delta, as_of)
        if version is None:
            delta = None
        elif version != delta.version():
            delta = DeltaTable(lake.home / table.name, version=version)
    return _pinned(lake, table, delta)


def _pin_version(lake: Lake, table: Table, version: int | None) -> Pinned:
    delta = None if version is None else DeltaTable(lake.home / table.name, version=version)
    return _pinned(lake, table, delta)


def _pinned(lake: Lake, table: Table, delta: DeltaTable | None) -> Pinned:
    if delta is None:
        return Pinned(table, -1, (), table.schema)
    schema = pa.schema(delta.schema().to_arrow()) if table.open_columns else table.schema
    return Pinned(
        table, delta.version(), tuple(_files(lake.home / table.name, delta, table)), schema
    )


def _version_at(delta: DeltaTable, as_of: int) -> int | None:
    """Return the newest version whose commit's own timestamp is not after `as_of`; None if none.

    A commit counts from the latest timestamp up to it, so a clock that stepped back hides nothing.
    """
    latest, found = 0, None
    for entry in reversed(delta.history()):
        latest = max(latest, int(entry["timestamp"]))
        if latest * MILLISECOND <= as_of:
            found = int(entry["version"])
    return found


def _first_commit(lake: Lake) -> str:
    delta = lake.delta("clicks")
    if delta is None:
        return ""
    stamp = min(int(entry["timestamp"]) for entry in delta.history())
    return f" ({iso(stamp * MILLISECOND)})"


def _files(folder: Path, delta: DeltaTable, table: Table) -> list[File]:
    actions = pa.table(delta.get_add_actions(flatten=True))
    if not actions.num_rows:
        return []
    columns = (
        actions["path"].to_pylist(),
        actions["num_records"].to_pylist(),
        actions[f"min.{table.time}"].to_pylist(),
        actions[f"max.{table.time}"].to_pylist(),
    )
    files = [
        File(str(folder / path), rows, to_micros(first), to_micros(last) + MILLISECOND)
        for path, rows, first, last in zip(*columns, strict=True)
    ]
    return sorted(files, key=lambda f: (f.first, f.path))


def sql_type(kind: pa.DataType) -> str:
    """Return DuckDB's name of a column type that the lake's tables use.

    >>> sql_type(pa.list_(pa.int32()))
    'INTEGER[]'
    """
    if pa.types.is_list(kind):
        return sql_type(kind.value_type) + "[]"
    names = {
        "int64": "BIGINT",
        "int32": "INTEGER",
        "string": "VARCHAR",
        "bool": "BOOLEAN",
        "float": "FLOAT",
        "double": "DOUBLE",
        "timestamp[us, tz=UTC]": "TIMESTAMPTZ",
    }
    return names[str(kind)]
