"""A user's SQL: over one snapshot, able to read it and to do nothing else.

The connection has no access to files or the network at all: DuckDB reads the tables through Arrow,
and its configuration is locked. So no statement, however it is written, reads or changes anything
outside of the snapshot.
"""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

from replay.errors import BadQuery
from replay.runs import MANIFEST
from replay.snapshot import Pinned, Snapshot, connect

BATCH_ROWS = 8192
# The columns of `runs`, and the key of each in a run's manifest.
RUNS = {
    "run_id": "run_id",
    "created_at": "created_at",
    "model_version": "model_version",
    "from": "start",
    "to": "end",
    "status": "status",
}


@contextmanager
def reader(snapshot: Snapshot) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a locked connection with every table of the snapshot, and `runs`, as a view."""
    with tempfile.TemporaryDirectory(prefix="replay-sql-") as folder, connect() as connection:
        for name, pin in snapshot.pinned.items():
            connection.register(name, _dataset(pin))
        connection.register("runs", _runs(snapshot.lake.home / "runs"))
        connection.execute("SET temp_directory = ?", [folder])
        connection.execute("SET python_enable_replacements = false")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        yield connection


def run_query(connection: duckdb.DuckDBPyConnection, query: str) -> Iterator[pa.RecordBatch]:
    """Yield a query's rows in batches, at least one, so that the columns are known.

    Raises BadQuery, with the first line of DuckDB's message, where the query is not exactly one
    SELECT or cannot be run.
    """
    with _one_line(""):
        statements = connection.extract_statements(query)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            kinds = ", ".join(statement.type.name for statement in statements) or "nothing"
            raise BadQuery(f"give exactly one SELECT; this is {kinds}")
        batches = connection.sql(query).to_arrow_reader(BATCH_ROWS)
        yield pa.RecordBatch.from_arrays(
            [pa.array([], field.type) for field in batches.schema], schema=batches.schema
        )
        yield from batches


def check_where(connection: duckdb.DuckDBPyConnection, expression: str, relation_sql: str) -> str:
    """Return a `--where` as SQL that can stand in parentheses, without comments.

    `relation_sql` is what stands after FROM and has the columns that the expression may use. Raises
    BadQuery unless it is exactly one boolean expression over them, without subqueries, windows,
    aggregates or parameters, and gives the same answer whenever it is run.
    """
    if not expression.strip():
        raise BadQuery("--where is empty; write a condition, as in \"device = 'mobile_web'\"")
    label = f"--where {expression!r}: "
    with _one_line(label):
        text = str(duckdb.SQLExpression(expression))
        _refuse(connection, text, label)
        relation = connection.sql(f"SELECT ({text}) AS chosen FROM {relation_sql} WHERE ({text})")
        kind = str(relation.types[0])
    if kind != "BOOLEAN":
        raise BadQuery(f"{label}is {kind}, not true or false")
    return text


_REFUSED = {
    "SUBQUERY": "holds a subquery",
    "WINDOW": "holds a window function",
    "STAR": "holds a *",
    "PARAMETER": "holds a parameter",
}


def _refuse(connection: duckdb.DuckDBPyConnection, text: str, label: str) -> None:
    """Raise BadQuery where a parsed expression holds what a condition must not."""
    tree = json.loads(
        connection.execute("SELECT json_serialize_sql(?)", [f"SELECT ({text})"]).fetchall()[0][0]
    )
    if tree["error"]:
        raise BadQuery(f"{label}{tree['error_message']}")
    changing = {
        str(name)
        for (name,) in connection.execute(
            "SELECT DISTINCT function_name FROM duckdb_functions() WHERE stability <> 'CONSISTENT'"
        ).fetchall()
    }
    for node in _nodes(tree["statements"]):
        if reason := _REFUSED.get(str(node.get("class"))):
            raise BadQuery(f"{label}{reason}; give a condition on a click's own columns")
        name = str(node.get("function_name", ""))
        if name.lower() in changing:
            raise BadQuery(f"{label}{name} differs from run to run")


def _nodes(tree: object) -> Iterator[dict[str, object]]:
    if isinstance(tree, dict):
        yield tree
        for value in tree.values():
            yield from _nodes(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _nodes(value)


def _dataset(pin: Pinned) -> ds.Dataset:
    schema = pa.schema([field for field in pin.schema if field.name != "date"])
    return ds.dataset([file.path for file in pin.files], schema=schema, format="parquet")


def _runs(folder: Path) -> pa.Table:
    rows = []
    for path in sorted(folder.glob(f"*/{MANIFEST}")):
        text = path.read_text(encoding="utf-8", errors="replace")
        try:
            manifest = json.loads(text)
        except ValueError:
            manifest = {"run_id": path.parent.name, "status": "damaged"}
        row = {name: manifest.get(key) for name, key in RUNS.items()}
        rows.append({**row, "manifest": text})
    return pa.Table.from_pylist(rows, pa.schema([(n, pa.string()) for n in (*RUNS, "manifest")]))


@contextmanager
def _one_line(label: str) -> Iterator[None]:
    try:
        yield
    except (duckdb.Error, pa.ArrowException) as exc:
        raise BadQuery(label + str(exc).strip().splitlines()[0]) from exc
