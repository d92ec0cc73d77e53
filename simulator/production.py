"""Production decisions, as the live service would have logged them, by the batch engine."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from replay.decision_log import decision_rows
from replay.engine import Features
from replay.features import FeatureSlice, stream
from replay.lake import Lake
from replay.snapshot import Snapshot
from replay.span import Span
from scorer.decisions import decide
from scorer.registry import ModelVersion
from simulator.draw import Ints, mix

REASON = "model"
LATENCY = (900, 3_800)  # µs from click to decision: least, most


def log_decisions(lake: Lake, version: ModelVersion, span: Span, writer: str) -> int:
    """Log a version's decision on every click of the span; return how many were logged.

    One commit under `writer`: a second call with the same writer logs nothing.
    """
    pieces = stream(Snapshot.take(lake), version.spec, span, columns=version.manifest.slice_columns)
    return lake.append("decisions", _rows(version, pieces), (writer, 1))


def _rows(version: ModelVersion, pieces: Iterator[FeatureSlice]) -> Iterator[pa.RecordBatch]:
    for piece in pieces:
        if piece.clicks.num_rows:
            yield logged_rows(version, piece)


def logged_rows(version: ModelVersion, piece: FeatureSlice) -> pa.RecordBatch:
    """Return what the live service would have logged of one slice's clicks."""
    decisions = decide(version, piece.clicks, piece.facts, piece.reals)
    decided_at = piece.clicks["ts"].to_numpy() + _latency(piece.clicks["seq"].to_numpy())
    features = Features(piece.facts, piece.reals)
    return decision_rows(version, piece.clicks, features, decisions, decided_at, REASON)


def _latency(seq: Ints) -> Ints:
    least, most = LATENCY
    spread = mix(seq.astype(np.uint64)) % np.uint64(most - least)
    return spread.astype(np.int64) + least
