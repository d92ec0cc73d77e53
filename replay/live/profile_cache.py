"""Making the profile caches that live workers read; see `replay.live.profiles` for their files.

The keeper follows the profile tables and makes a cache anew when one has grown: from the former
cache and the files that are new, so that the work follows the keys and not the history. A cache
keeps, for each key, the snapshot that was the latest an hour ago and all later ones.
"""

import json
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from replay.lake import Lake
from replay.live.delta_log import TableVersion
from replay.live.profiles import CURRENT, FALSE, FOLDER, FORMAT, META, NULL, TABLES, TRUE
from replay.live.standing import write_whole
from replay.snapshot import Pinned, Snapshot, connect
from replay.tables import TABLES as LAKE_TABLES

KEPT = 3_600_000_000  # µs before now as of which a click may still ask
PRUNED_EVERY = 1_800_000_000  # µs between two looks for superseded snapshots
SUPERSEDED_SECONDS = 60.0  # how long a worker may take to let go of a former cache
MEMORY = "512MB"
BATCH_ROWS = 131_072
ORDER: tuple[tuple[str, str], ...] = (("hi", "u8"), ("lo", "u8"), ("valid_from", "i8"))

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Meta:
    """What a cache was made of: `files` of the table at `version`, rows superseded by `horizon`.

    `next_prune` (µs) is when one of its rows will be superseded; null for never.
    """

    format: int
    table_id: str
    version: int
    files: tuple[str, ...]
    columns: tuple[str, ...]
    horizon: int | None
    rows: int
    made_at: int
    next_prune: int | None


class ProfileCaches:
    """Keeps the caches of both profile tables up to date."""

    def __init__(self, lake: Lake, spool: Path, *, keep_all: bool) -> None:
        """Take over what an earlier keeper made; `keep_all` keeps history, for simulated time."""
        self._lake, self._keep_all = lake, keep_all
        self._folder = spool / FOLDER
        self._folder.mkdir(parents=True, exist_ok=True)
        self._versions = {name: TableVersion(lake.home, f"profiles_{name}") for name in TABLES}
        self._caches = _current(self._folder)
        self._superseded: dict[Path, float] = {}

    def check(self, now: int) -> bool:
        """Make what is out of date at `now` (µs); return whether anything was."""
        made = False
        for name in TABLES:
            if self._due(name, now):
                self._caches[name] = self._make(name, now)
                made = True
        folders = {name: folder.name for name, (folder, _) in self._caches.items()}
        write_whole(self._folder / CURRENT, {**folders, "checked_at": now})
        self._sweep()
        return made

    def _due(self, name: str, now: int) -> bool:
        newest = self._versions[name].newest()
        if name not in self._caches:
            return True
        meta = self._caches[name][1]
        if meta.version != newest or (self._keep_all and meta.horizon is not None):
            return True
        prunable = meta.next_prune is not None and meta.next_prune <= now
        return prunable and not self._keep_all and now - meta.made_at >= PRUNED_EVERY

    def _make(self, name: str, now: int) -> tuple[Path, Meta]:
        """Make a table's cache, beside the former one."""
        numbers = [_number(folder) for folder in self._folder.glob(f"{name}-*")]
        folder = self._folder / f"{name}-{max(numbers, default=0) + 1}"
        temporary = self._folder / f".{folder.name}"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        try:
            meta = self._write(name, temporary, now)
            (temporary / META).write_text(json.dumps(asdict(meta)))
            temporary.rename(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return folder, meta

    def _write(self, name: str, folder: Path, now: int) -> Meta:
        table = LAKE_TABLES[f"profiles_{name}"]
        snapshot = Snapshot.take(self._lake, None, (table,))
        delta = self._lake.delta(table.name)
        table_id = "" if delta is None else str(delta.metadata().id)
        pin = snapshot.pinned[table.name]
        columns = tuple(f.name for f in pin.schema if f.name not in ("key", "valid_from", "date"))
        horizon = None if self._keep_all else now - KEPT
        base = self._base(name, table_id, pin, horizon)
        done = frozenset(base[1].files) if base else frozenset()
        new = replace(pin, files=tuple(f for f in pin.files if f.path not in done))
        writer = _Writer(folder, columns, horizon)
        with connect(1, MEMORY) as connection:
            connection.execute("SET temp_directory = ?", [str(folder / "spill")])
            source = Snapshot(self._lake, {table.name: new}).source(table.name)
            stored = connection.sql(f"SELECT * FROM {source} LIMIT 0").columns
            rows = _rows(source, columns, stored)
            if base:
                connection.register("base", _reader(*base, columns))
                rows += " UNION ALL SELECT * FROM base"
            ordered = connection.sql(f"SELECT * FROM ({rows}) ORDER BY hi, lo, valid_from")
            with writer:
                for batch in ordered.to_arrow_reader(BATCH_ROWS):
                    writer.add({n: batch.column(n).to_numpy() for n in batch.schema.names})
        shutil.rmtree(folder / "spill", ignore_errors=True)
        files = tuple(file.path for file in pin.files)
        prune = None if writer.next_prune is None else writer.next_prune + KEPT
        return Meta(FORMAT, table_id, pin.version, files, columns, horizon, writer.rows, now, prune)

    def _base(
        self, name: str, table_id: str, pin: Pinned, horizon: int | None
    ) -> tuple[Path, Meta] | None:
        """Return the former cache where the table has only gone on since."""
        if name not in self._caches:
            return None
        folder, meta = self._caches[name]
        went_on = meta.table_id == table_id and meta.version <= pin.version
        whole = meta.horizon is None or (horizon is not None and meta.horizon <= horizon)
        return (folder, meta) if went_on and whole and meta.rows else None

    def _sweep(self) -> None:
        """Remove caches that were superseded a while ago."""
        current = {folder for folder, _ in self._caches.values()}
        for folder in {f for name in TABLES for f in self._folder.glob(f"{name}-*")} - current:
            since = self._superseded.setdefault(folder, time.monotonic())
            if time.monotonic() - since > SUPERSEDED_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)
                self._superseded.pop(folder)


class _Writer:
    """Writes ordered rows to a cache's files, without the superseded ones and the doubles."""

    def __init__(self, folder: Path, columns: Sequence[str], horizon: int | None) -> None:
        self._kinds = [*ORDER, *_kinds(columns)]
        self._folder, self._horizon = folder, horizon
        self._open = ExitStack()
        self._held: Arrays = {name: np.empty(0, kind) for name, kind in self._kinds}
        self.rows = 0
        self.next_prune: int | None = None

    def __enter__(self) -> "_Writer":
        self._files = {
            name: self._open.enter_context((self._folder / name).open("wb"))
            for name, _ in self._kinds
        }
        return self

    def __exit__(self, failed: object, *_: object) -> None:
        with self._open:
            if failed is None and len(self._held["hi"]):
                self._put(self._held, np.ones(1, np.bool_))

    def add(self, rows: Arrays) -> None:
        """Take the next rows; the last is held back until its successor is known."""
        rows = {name: np.concatenate([self._held[name], rows[name]]) for name, _ in self._kinds}
        self._held = {name: values[-1:] for name, values in rows.items()}
        hi, lo, valid_from = rows["hi"], rows["lo"], rows["valid_from"]
        followed = (hi[:-1] == hi[1:]) & (lo[:-1] == lo[1:])
        superseded = valid_from[:-1] == valid_from[1:]
        if self._horizon is not None:
            superseded |= valid_from[1:] <= self._horizon
        later = valid_from[1:][followed & ~superseded]
        if len(later):
            least = int(later.min())
            self.next_prune = least if self.next_prune is None else min(least, self.next_prune)
        self._put({n: values[:-1] for n, values in rows.items()}, ~(followed & superseded))

    def _put(self, rows: Arrays, kept: NDArray[np.bool_]) -> None:
        for name, kind in self._kinds:
            self._files[name].write(np.ascontiguousarray(rows[name][kept], kind).data)
        self.rows += int(kept.sum())


def _kinds(columns: Sequence[str]) -> Iterator[tuple[str, str]]:
    for number in range(len(columns)):
        yield from ((f"v{number}", "f4"), (f"m{number}", "u1"))


def _rows(source: str, columns: Sequence[str], stored: Sequence[str]) -> str:
    """Write SQL for a source's snapshots, in the form of a cache's rows."""
    values = [_values(name if name in stored else None, n) for n, name in enumerate(columns)]
    halves = (
        f"('0x' || \"#\"[{first}:{first + 15}])::UBIGINT AS {name}"
        for name, first in (("hi", 1), ("lo", 17))
    )
    return (
        f"SELECT {', '.join([*halves, 'epoch_us(valid_from) AS valid_from', *values])} "
        f'FROM (SELECT *, sha256(key) AS "#" FROM {source})'
    )


def _values(column: str | None, number: int) -> str:
    """Write SQL for a column as a number, NaN where it has none, and as a flag."""
    if column is None:
        return f"'nan'::FLOAT AS v{number}, {NULL}::UTINYINT AS m{number}"
    name = '"' + column.replace('"', '""') + '"'
    flag = f"CASE WHEN {name} IS NULL THEN {NULL} WHEN {name}::BOOLEAN THEN {TRUE} ELSE {FALSE} END"
    return (
        f"coalesce(TRY_CAST({name} AS FLOAT), 'nan'::FLOAT) AS v{number}, {flag}::UTINYINT "
        f"AS m{number}"
    )


def _reader(folder: Path, meta: Meta, columns: Sequence[str]) -> pa.RecordBatchReader:
    """Return a former cache's rows, with the columns of the new one."""
    mapped: Arrays = {name: np.memmap(folder / name, kind, "r") for name, kind in ORDER}
    for number, name in enumerate(columns):
        former = meta.columns.index(name) if name in meta.columns else None
        for letter, kind, absent in (("v", "f4", np.nan), ("m", "u1", NULL)):
            mapped[f"{letter}{number}"] = (
                np.broadcast_to(np.array(absent, kind), meta.rows)
                if former is None
                else np.memmap(folder / f"{letter}{former}", kind, "r")
            )
    kinds = [(name, pa.from_numpy_dtype(values.dtype)) for name, values in mapped.items()]
    batches = (
        pa.record_batch({n: pa.array(v[at : at + BATCH_ROWS]) for n, v in mapped.items()})
        for at in range(0, meta.rows, BATCH_ROWS)
    )
    return pa.RecordBatchReader.from_batches(pa.schema(kinds), batches)


def _current(folder: Path) -> dict[str, tuple[Path, Meta]]:
    """Return the caches that an earlier keeper made, where they can be read."""
    found: dict[str, tuple[Path, Meta]] = {}
    for name in TABLES:
        for cache in sorted(folder.glob(f"{name}-*"), key=_number):
            try:
                meta = Meta(**json.loads((cache / META).read_bytes()))
            except (OSError, ValueError, TypeError):
                continue
            if meta.format == FORMAT:
                found[name] = (cache, meta)
    return found


def _number(folder: Path) -> int:
    number = folder.name.rpartition("-")[2]
    return int(number) if number.isdigit() else 0
