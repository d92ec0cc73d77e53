"""One file into one table: stage it, find what is new, commit once.

Everything up to the commit happens in a temporary database, so an import that stops half-way leaves
nothing. Rows are told apart by their keys, under the lake's lock; so the same file again, whole or
after a kill, adds what is missing and nothing twice.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

import duckdb
import pyarrow as pa
from deltalake import DeltaTable

from replay.importing.expressions import literal
from replay.importing.landing import Landing
from replay.importing.plan import FILTERED, Plan
from replay.importing.report import FileReport
from replay.lake import Lake, writing
from replay.snapshot import Snapshot, connect
from scorer.errors import Inconsistent

_STAGE_ROWS = 20_480
_WRITE_ROWS = 32_768
_TEXT_LENGTH = 10_000


@dataclass(frozen=True)
class _Commit:
    """The identity of one file's import into one table."""

    lake: Lake
    table: str
    writer: str
    metadata: dict[str, str]

    def append(
        self,
        name: str,
        batches: Iterator[pa.RecordBatch],
        exclusive: DeltaTable | None = None,
    ) -> int:
        """Append to a table as this writer's next transaction."""
        number = (self.lake.transaction(name, self.writer) or 0) + 1
        return self.lake.append(name, batches, (self.writer, number), self.metadata, exclusive)


def import_file(lake: Lake, plan: Plan, now: int, *, backfill: bool = False) -> FileReport:
    """Import a file by its plan; `now` (µs) is when its rows count as ingested.

    The lake's folder is made where it is not there yet.
    Rows that break the schema go to `quarantine`, once however often the file is imported; that
    commit comes first. Raises BadInput where the file is damaged, LakeUnwritable, LakeBusy, and
    Inconsistent where the counts of rows do not add up.
    """
    digest = sha256((plan.source.digest() + plan.column_map.canonical).encode()).hexdigest()
    name, file = plan.table.name, plan.source.path.name
    commit = _Commit(lake, name, f"import/{name}/{digest}", {"file": file, "digest": digest})
    with (
        writing(lake.home),
        tempfile.TemporaryDirectory(prefix="replay-import-") as folder,
        connect() as connection,
    ):
        connection.execute("SET temp_directory = ?", [folder])
        connection.execute("SET preserve_insertion_order = false")
        staged = stage(connection, plan)
        # Made only now, so that a file that cannot be read leaves no lake behind.
        Lake.create(lake.home, lake.config.currency)
        if not staged:
            return FileReport(file, name)
        with lake.lock():
            return _commit(connection, plan, commit, now, backfill=backfill)


def stage(connection: duckdb.DuckDBPyConnection, plan: Plan) -> bool:
    """Read a file into the temporary table `staged`; return False where it has no rows at all."""
    select = plan.stage("source_rows")
    target = "CREATE TEMP TABLE staged AS"
    for table in plan.source.tables():
        pieces = pa.Table.from_batches(table.to_batches(_STAGE_ROWS), table.schema)
        connection.register("source_rows", pieces)
        connection.execute(f"{target} {select}")
        target = "INSERT INTO staged"
    connection.unregister("source_rows")
    return target == "INSERT INTO staged"


def _commit(
    connection: duckdb.DuckDBPyConnection, plan: Plan, commit: _Commit, now: int, *, backfill: bool
) -> FileReport:
    name = plan.table.name
    # Before the snapshot: a verdict that is published in between is then a conflict.
    ledger = commit.lake.ready(name) if name == "verdicts" else None
    snapshot = Snapshot.take(commit.lake)
    landing = Landing(connection, plan, snapshot, now, backfill)
    landing.find()
    report = _count(connection, commit)
    if report.quarantined:
        rows = _quarantined(snapshot, name, report.file, now)
        commit.append("quarantine", _batches(connection, rows))
    if report.added:
        added = commit.append(name, _batches(connection, landing.rows()), ledger)
        if added != report.added:
            raise Inconsistent(
                f"{report.file}: {report.added:,} rows were to land in {name}, {added:,} did"
            )
    return report


def _count(connection: duckdb.DuckDBPyConnection, commit: _Commit) -> FileReport:
    """Count each row's fate, each kind by itself."""
    reasons: dict[str, int] = dict(
        connection.execute(f"""
            SELECT reason, count(*) FROM ({_PROBLEMS.format(columns="problem.reason AS reason")})
            GROUP BY reason ORDER BY reason
        """).fetchall()
    )
    filtered, good, chosen, added, read = connection.execute(f"""
        SELECT (SELECT count(*) FROM staged WHERE problem.reason = '{FILTERED}'),
               (SELECT count(*) FROM staged WHERE problem IS NULL),
               (SELECT count(*) FROM candidates),
               (SELECT count(*) FROM landing WHERE problem IS NULL),
               (SELECT count(*) FROM staged)
    """).fetchall()[0]
    already = commit.lake.transaction(commit.table, commit.writer) is not None and not added
    return FileReport(
        commit.metadata["file"],
        commit.table,
        read,
        added,
        good - chosen,
        filtered,
        reasons,
        already,
    )


_PROBLEMS = f"""
    SELECT {{columns}} FROM staged WHERE problem.reason <> '{FILTERED}'
    UNION ALL
    SELECT {{columns}} FROM (SELECT s.line, s.text, l.problem FROM staged s
                             JOIN landing l ON s.row = l.row WHERE l.problem IS NOT NULL)
"""


def _quarantined(snapshot: Snapshot, table: str, file: str, now: int) -> str:
    """SQL for the rows that do not land and are not in quarantine yet."""
    columns = f"""
        make_timestamptz({now}) AS at, {literal(table)} AS "table", {literal(file)} AS file, line,
        problem."column" AS "column", problem.reason AS reason,
        left(coalesce(text, ''), {_TEXT_LENGTH}) AS "row"
    """
    same = " AND ".join(
        f'q."{c}" IS NOT DISTINCT FROM e."{c}"'
        for c in ("table", "file", "line", "column", "reason", "row")
    )
    return f"""
        SELECT q.* FROM ({_PROBLEMS.format(columns=columns)}) q
        ANTI JOIN {snapshot.source("quarantine")} e ON {same} ORDER BY q.line
    """


def _batches(connection: duckdb.DuckDBPyConnection, query: str) -> Iterator[pa.RecordBatch]:
    yield from connection.sql(query).to_arrow_reader(_WRITE_ROWS)
