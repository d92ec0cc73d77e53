"""The best peer pipeline: DuckDB's exact windows, ONNX Runtime, and a join with the log.

`python -m benchmarks.run.peer HOME FROM TO VERSION GRAPH OUT NULLS` replays [FROM, TO) (µs) with a
model version, whose graph is in the file GRAPH, writes its changes to OUT as Parquet, and prints as
JSON how many clicks it decided and changed. NULLS are the key columns that hold nulls, with commas.
It finds no causes, writes no decisions and sums nothing up: less than what our run does.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import onnxruntime
import pyarrow as pa

from benchmarks.duckdb_windows import DuckWindows, shared
from benchmarks.source import PLACE, THREADS, Source
from replay.diff import adjustment, kind
from replay.lake import Lake
from replay.production import models_folder
from replay.snapshot import Snapshot, connect
from replay.span import Span
from scorer.slices import slice_key
from scorer.spec import Spec
from scorer.versions import Versions

ROWS = 4096  # of a batch
BORDERLINE = 1e-5  # as scorer.decisions has it, which loads torch
CARRIED = ("click_id", "seq", "ts", "advertiser_id", "campaign_id", "price_micros")


@dataclass(frozen=True)
class Task:
    """What is replayed: `out` and `graph` are files, `nulls` the key columns that hold nulls."""

    home: Path
    span: Span
    version: str
    graph: Path
    out: Path
    nulls: frozenset[str]


def replay(task: Task) -> dict[str, int]:
    """Replay the span; return how many clicks were decided and changed."""
    snapshot = Snapshot.take(Lake.open(task.home))
    versions = Versions(models_folder(snapshot.lake))
    spec = versions.manifest(task.version).spec
    read = Span(task.span.start - spec.look_back, task.span.end)
    source = Source(snapshot, spec, read)
    windows = DuckWindows(source, shared(read.start), "runs", task.nulls, task.span.start)
    with connect(THREADS, memory_limit="90%") as connection:
        for statement in windows.prepare():
            connection.execute(statement)
        reader = connection.sql(windows.query()).to_arrow_reader(64 * ROWS)
        connection.register("scored", pa.Table.from_batches(_score(reader, task.graph, spec)))
        _carry(connection, snapshot, task.span)
        _threshold(connection, versions, task.version)
        return _compare(connection, snapshot, task)


def _score(reader: pa.RecordBatchReader, graph: Path, spec: Spec) -> Iterator[pa.RecordBatch]:
    """Yield each batch's places and probabilities."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    for batch in reader:
        for at in range(0, batch.num_rows, ROWS):
            rows = batch.slice(at, ROWS)
            given = {
                name: np.stack([rows[n].to_numpy() for n in names]).astype(dtype, copy=False)
                for name, names, dtype in (
                    ("facts", spec.facts, np.int32),
                    ("reals", spec.reals, np.float32),
                )
            }
            (p,) = session.run(["p"], given)
            yield pa.record_batch({PLACE: rows[PLACE], "probability": p[:, 0]})


def _carry(connection: duckdb.DuckDBPyConnection, snapshot: Snapshot, span: Span) -> None:
    """Make a table of what else is needed of the decided clicks, by their place in the log."""
    slices = "device, logged_in"
    connection.execute(
        f"CREATE TEMP TABLE carried AS SELECT {', '.join(CARRIED)}, {slices},"
        f" row_number() OVER (ORDER BY ts, seq, click_id) + before.n AS {PLACE}"
        f" FROM {snapshot.source('clicks', span)},"
        f" (SELECT count(*) AS n FROM log WHERE t < {span.start}) AS before"
    )


def _threshold(connection: duckdb.DuckDBPyConnection, versions: Versions, version: str) -> None:
    """Make a table of each slice's threshold."""
    found = connection.sql("SELECT DISTINCT device, logged_in FROM carried").to_arrow_table()
    columns = versions.manifest(version).slice_columns
    keys = [slice_key({column: row[column] for column in columns}) for row in found.to_pylist()]
    thresholds = versions.calibration(version).thresholds(keys)
    connection.register("thresholds", found.append_column("threshold", pa.array(thresholds)))


def _compare(
    connection: duckdb.DuckDBPyConnection, snapshot: Snapshot, task: Task
) -> dict[str, int]:
    """Set the decisions beside production's, and write the changes."""
    connection.execute(f"""
        CREATE TEMP TABLE decided AS
        SELECT c.*, s.probability, h.threshold, l.decision AS effective,
          CASE WHEN s.probability >= h.threshold THEN 'invalid' ELSE 'valid' END AS decision,
          abs(s.probability - h.threshold) <= {BORDERLINE} AS borderline
        FROM scored s JOIN carried c USING ({PLACE}) JOIN thresholds h USING (device, logged_in)
        LEFT JOIN {snapshot.source("decisions", task.span)} l USING (click_id)
    """)
    connection.execute(f"""
        COPY (
          SELECT * EXCLUDE ({PLACE}) FROM (
            SELECT *, {kind()} AS kind, {adjustment()} AS adjustment_micros FROM decided
          ) WHERE kind IS NOT NULL ORDER BY {PLACE}
        ) TO '{task.out}' (FORMAT parquet, COMPRESSION zstd)
    """)
    decided, changed = connection.sql(f"SELECT count(*), count({kind()}) FROM decided").fetchall()[
        0
    ]
    return {"decided": decided, "changed": changed}


def _read(words: list[str]) -> Task:
    home, start, end, version, graph, out, nulls = words
    span = Span(int(start), int(end))
    keys = frozenset(filter(None, nulls.split(",")))
    return Task(Path(home), span, version, Path(graph), Path(out), keys)


if __name__ == "__main__":
    print(json.dumps(replay(_read(sys.argv[1:]))))
