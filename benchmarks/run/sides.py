"""Our run and the peer's, each a process of its own, and whether they found the same."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.run.graph import graph, load_mlp
from benchmarks.run.lake import CANDIDATE, forget_runs, typed
from benchmarks.serving.lake import REPLAY
from benchmarks.timed import Timed, timed
from replay.lake import Lake
from replay.runs import RunManifest, read_manifest, run_folder
from replay.snapshot import Snapshot, connect, quoted
from replay.span import Span
from scorer.decisions import BORDERLINE

KEYS = ("user_id", "session_id", "ip")


class OtherDecisionsError(Exception):
    """The peer decided a click otherwise that is not borderline."""


@dataclass(frozen=True)
class Agreement:
    """Changes that both found, and those that one found where the other was borderline."""

    changes: int
    borderline: int


def run_ours(lake: Lake, span: Span) -> tuple[Timed, RunManifest]:
    """Run `replay run` as it is typed; the lake then has this run alone."""
    forget_runs(lake)
    line = [REPLAY, "run", *typed(span), "--model", CANDIDATE, "--device", "cpu"]
    taken = timed([*line, "--home", str(lake.home)], dict(os.environ))
    return taken, read_manifest(run_folder(lake, "latest"))


class Peer:
    """The peer's process; its graph and the key columns with nulls are looked up before."""

    def __init__(self, lake: Lake, span: Span, folder: Path) -> None:
        self._lake, self._span = lake, span
        self._graph, self.changes = folder / "mlp.onnx", folder / "changes.parquet"
        module, _ = load_mlp(lake, CANDIDATE)
        self._graph.write_bytes(graph(module))
        self._nulls = ",".join(_with_nulls(lake))

    def run(self) -> Timed:
        """Replay the span."""
        words = [self._lake.home, self._span.start, self._span.end]
        words += [CANDIDATE, self._graph, self.changes, self._nulls]
        line = [sys.executable, "-m", "benchmarks.run.peer", *map(str, words)]
        return timed(line, dict(os.environ))


def _with_nulls(lake: Lake) -> Iterator[str]:
    source = Snapshot.take(lake).source("clicks")
    with connect() as connection:
        counts = ", ".join(f"count(*) - count({key})" for key in KEYS)
        row = connection.sql(f"SELECT {counts} FROM {source}").fetchall()[0]
    return (key for key, nulls in zip(KEYS, row, strict=True) if nulls)


def agree(lake: Lake, changes: Path) -> Agreement:
    """Hold the peer's changes against those of our run, the latest of the lake.

    A click that one of them changed and the other did not is fine where its probability lies within
    twice BORDERLINE of its threshold, and counted; raises OtherDecisionsError for any other.
    """
    ours = run_folder(lake, "latest").source("changes")
    query = f"""
        SELECT count(*) FILTER (o.kind = p.kind AND o.adjustment_micros = p.adjustment_micros),
          count(*) FILTER (NOT same AND near), count(*) FILTER (NOT same AND NOT near),
          any_value(click_id) FILTER (NOT same AND NOT near)
        FROM (
          SELECT click_id, o, p, coalesce(o.kind = p.kind, false) AS same,
            abs(coalesce(o.probability - o.threshold, p.probability - p.threshold))
              <= {2 * BORDERLINE} AS near
          FROM {ours} o FULL JOIN {_parquet(changes)} p USING (click_id)
        )
    """
    with connect() as connection:
        same, near, others, example = connection.sql(query).fetchall()[0]
    if others:
        raise OtherDecisionsError(f"{others:,} clicks, {example} among them")
    return Agreement(same, near)


def _parquet(path: Path) -> str:
    return f"read_parquet({quoted(str(path))})"
