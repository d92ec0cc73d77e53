"""A lake: a folder of Delta tables, written exactly once, read as one snapshot.

    home/
      replay.toml               currency and settings
      clicks/ decisions/ …      Delta tables, partitioned by UTC date
      models/<version>/         see `scorer.registry`
      runs/<run_id>/            see `replay.runs`

Writers on one machine take turns through a lock file, so that two imports of overlapping files
cannot both add a click. Readers need no lock: a snapshot is a list of files.
"""

import fcntl
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count, takewhile
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction

from replay.config import LakeConfig, read_config, write_config
from replay.durable import keep
from replay.errors import LakeBusy, LakeUnwritable, NotALake
from replay.parts import Part, with_date, write_parts
from replay.span import now_micros
from replay.tables import TABLES, Table
from scorer.errors import Inconsistent, ReplayError

TABLE_CONFIGURATION: Mapping[str, str | None] = {
    "delta.enableExpiredLogCleanup": "false",
    "delta.logRetentionDuration": "interval 36500 days",
    "delta.deletedFileRetentionDuration": "interval 36500 days",
}


@dataclass(frozen=True)
class Lake:
    """An opened lake: its folder and settings."""

    home: Path
    config: LakeConfig

    @classmethod
    def open(cls, home: Path) -> "Lake":
        """Open an existing lake; raise NotALake where `home` is none."""
        if not home.is_dir():
            raise NotALake(f"{home} is no folder; give the lake's folder with --home")
        return cls(home, read_config(home))

    @classmethod
    def create(cls, home: Path, currency: str) -> "Lake":
        """Make an empty lake, or open the one that is there."""
        if (home / "replay.toml").exists():
            return cls.open(home)
        with writing(home):
            home.mkdir(parents=True, exist_ok=True)
            config = LakeConfig(currency=currency)
            write_config(home, config)
        return cls(home, config)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the lake's writer lock; other writers on this machine wait."""
        with writing(self.home):
            handle = (self.home / ".lock").open("a")
        with handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def delta(self, name: str) -> DeltaTable | None:
        """Open a table at its newest version; None where nothing was ever written to it."""
        folder = self.home / name
        commit = folder / "_delta_log" / f"{0:020d}.json"
        begun = commit.exists() or any(folder.glob("date=*"))  # before: it may be made now
        try:
            return DeltaTable(folder)
        except (DeltaError, OSError, ValueError) as exc:
            if isinstance(exc, TableNotFoundError) and not begun:
                return None
            said = str(exc).splitlines()[0].split(" {")[0].rstrip(".")  # no dump of Delta's state
            raise Inconsistent(
                f"table {folder} cannot be read: {said}; restore it from a copy of the lake"
            ) from exc

    def identity(self) -> str:
        """Return what tells this lake and its copies from others: its click log's Delta id."""
        table = self.delta("clicks")
        return "" if table is None else str(table.metadata().id)

    def transaction(self, name: str, app_id: str) -> int | None:
        """Return the last transaction number committed to a table under `app_id`, or None."""
        table = self.delta(name)
        return None if table is None else table.transaction_version(app_id)

    def append(
        self,
        name: str,
        batches: Iterable[pa.RecordBatch],
        transaction: tuple[str, int],
        metadata: Mapping[str, str] | None = None,
        exclusive: DeltaTable | None = None,
        opened: DeltaTable | None = None,
    ) -> int:
        """Append rows in one commit, once per transaction; return how many were added.

        `batches` come in ascending order of date. `transaction` is (writer, number): where the
        table already holds it, nothing is added and 0 is returned. `exclusive` is the table as
        the caller read it: the commit then fails with LakeBusy if anybody else committed
        exclusively since, and what it wrote outlasts a power cut. `opened` is the table where the
        caller keeps it: a log that grows is then not read from its start for each commit. Raises
        LakeUnwritable where the disk is full or read-only.
        """
        table = TABLES[name]
        with writing(self.home):
            delta = exclusive or self._current(name, opened)
            if (delta.transaction_version(transaction[0]) or 0) >= transaction[1]:
                return 0
            stem = _digest(f"{transaction[0]}/{transaction[1]}")
            transactions = [Transaction(*transaction)]
            if exclusive is not None:
                # Two who race write the same transaction: neither may touch the other's files.
                stem = uuid4().hex[:20]
                head = delta.transaction_version("head") or 0
                transactions.append(Transaction("head", head + 1))
            folder = self.home / name
            properties = CommitProperties(
                custom_metadata=dict(metadata or {}), app_transactions=transactions
            )
            try:
                parts = list(write_parts(folder, table, batches, stem))
                if not parts:
                    return 0
                schema = self._widen(delta, table, parts)
                if exclusive is not None:
                    keep(folder / part.path for part in parts)
                self._commit(delta, name, [part.action() for part in parts], schema, properties)
            except Exception as exc:
                # Delta may fail after its commit, as at a checkpoint that finds no room.
                if isinstance(exc, LakeBusy) or not self._committed(name, transaction):
                    for path in folder.glob(f"date=*/part-{stem}-*") if exclusive else ():
                        path.unlink()
                    raise
            if exclusive is not None:
                self._keep_log(name, delta)
        return sum(part.rows for part in parts)

    def _current(self, name: str, opened: DeltaTable | None) -> DeltaTable:
        if opened is None:
            return self.ready(name)
        read_config(self.home)  # raises: a lake that was moved away is not written to
        opened.update_incremental()
        return opened

    def _keep_log(self, name: str, delta: DeltaTable) -> None:
        """Make what was committed since `delta` was opened outlast a power cut."""
        log = self.home / name / "_delta_log"
        before = delta.version()
        versions = (log / f"{version:020d}.json" for version in count(before + (before > 0)))
        keep([self.home / name, *takewhile(Path.exists, versions)])

    def _committed(self, name: str, transaction: tuple[str, int]) -> bool:
        try:
            return (self.transaction(name, transaction[0]) or 0) >= transaction[1]
        except (ReplayError, OSError):
            return False

    def rewrite(
        self, delta: DeltaTable, name: str, old: Sequence[str], batches: Iterable[pa.RecordBatch]
    ) -> int:
        """Replace files of one date by others with the same rows; return how many rows there are.

        `old` are paths within the table, `delta` the table as it was before they were read. The old
        files stay on disk for earlier versions. What others append meanwhile is kept; where another
        rewrite came first, raises LakeBusy. Raises Inconsistent where rows would come or go.
        """
        table = TABLES[name]
        rows = {a["path"]: a["num_records"] for a in pa.table(delta.get_add_actions()).to_pylist()}
        with writing(self.home):
            stem = _digest("\n".join(sorted(old)))
            parts = list(write_parts(self.home / name, table, batches, stem))
            if sum(part.rows for part in parts) != sum(rows[path] for path in old):
                raise Inconsistent(f"rewriting {name} would change its number of rows")
            at = now_micros() // 1000
            removed = [RemoveAction(path, False, at, None, {"date": parts[0].date}) for path in old]
            number = (delta.transaction_version("rewrite") or 0) + 1
            self._commit(
                delta,
                name,
                [*(part.action(data_change=False) for part in parts), *removed],
                pa.schema(delta.schema().to_arrow()),
                CommitProperties(app_transactions=[Transaction("rewrite", number)]),
            )
        return sum(part.rows for part in parts)

    def _commit(
        self,
        delta: DeltaTable,
        name: str,
        actions: list[AddAction | RemoveAction],
        schema: pa.Schema,
        properties: CommitProperties,
    ) -> None:
        try:
            delta.create_write_transaction(
                actions,
                mode="append",
                schema=schema,
                partition_by=["date"],
                commit_properties=properties,
            )
        except CommitFailedError as exc:
            raise LakeBusy(
                f"another writer committed to {name} first; run the command again"
            ) from exc

    def ready(self, name: str) -> DeltaTable:
        """Open a table at its newest version; make it, empty, where it is not there."""
        table = TABLES[name]
        delta = self.delta(name)
        if delta is None:
            read_config(self.home)  # raises: a lake that is away must not be begun anew
            delta = DeltaTable.create(
                self.home / table.name,
                with_date(table.schema),
                mode="ignore",
                partition_by=["date"],
                configuration=TABLE_CONFIGURATION,
            )
        return delta

    def _widen(self, delta: DeltaTable, table: Table, parts: list[Part]) -> pa.Schema:
        """Add an open table's new columns to it; return the schema that it then has."""
        if not table.open_columns:
            return with_date(table.schema)
        known = {field.name for field in delta.schema().fields}
        new = [f for f in parts[0].schema if f.name not in known]
        if new:
            widened = pa.schema(new)
            from_arrow = type(delta.schema()).from_arrow(widened)
            delta.alter.add_columns(list(from_arrow.fields))
            delta.update_incremental()
        return pa.schema(delta.schema().to_arrow())


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:20]


_UNWRITABLE = {
    "No space left": "the disk is full",
    "Permission denied": "permission denied",
    "Read-only file system": "the file system is read-only",
    "Operation not permitted": "the system does not permit it",
    "File too large": "a file-size limit was reached",
    "Disk quota exceeded": "the disk quota is used up",
    "No usable temporary directory": "no folder for temporary files can be written",
}


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Turn a full or read-only disk, as Python, Arrow, DuckDB or Delta tell it, into one error."""
    try:
        yield
    except ReplayError:
        raise
    except Exception as exc:
        for sign, meaning in _UNWRITABLE.items():
            if sign.lower() in str(exc).lower():
                raise LakeUnwritable(
                    f"{place} cannot be written: {meaning}. Nothing was committed; "
                    "make room or choose another place, then run the command again."
                ) from exc
        if isinstance(exc, OSError) and exc.strerror:
            raise LakeUnwritable(
                f"{exc.filename or place} cannot be written: {exc.strerror}"
            ) from exc
        raise
