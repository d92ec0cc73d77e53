"""Production decisions, as the live service would have logged them, by the batch engine."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from replay.features import FeatureSlice, stream
from replay.lake import Lake
from replay.snapshot import Snapshot
from replay.span import Span
from replay.tables import DECISIONS
from scorer.registry import ModelVersion
from scorer.slices import slice_codes
from simulator.draw import Ints, mix
from simulator.rows import times

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
            yield decision_rows(version, piece)


def decision_rows(version: ModelVersion, piece: FeatureSlice) -> pa.RecordBatch:
    """Return rows of `decisions` for one slice of clicks and their features."""
    probability = version.probabilities(piece.facts, piece.reals)
    codes, keys = slice_codes(piece.clicks, version.manifest.slice_columns)
    threshold = version.calibration.thresholds(keys)[codes]
    ts, count = piece.clicks["ts"].to_numpy(), piece.clicks.num_rows
    columns = {
        "seq": piece.clicks["seq"].combine_chunks(),
        "click_id": piece.clicks["click_id"].combine_chunks(),
        "ts": times(ts),
        "decided_at": times(ts + _latency(piece.clicks["seq"].to_numpy())),
        "model_version": pa.repeat(pa.scalar(version.name), count),
        "probability": pa.array(probability, pa.float32()),
        "threshold": pa.array(threshold, pa.float32()),
        "slice": pa.array(keys, pa.string()).take(pa.array(codes)),
        "decision": pa.array(np.where(probability >= threshold, "invalid", "valid"), pa.string()),
        "reason": pa.repeat(pa.scalar(REASON), count),
        "spec_digest": pa.repeat(pa.scalar(version.spec.digest), count),
        "facts": _lists(piece.facts),
        "reals": _lists(piece.reals),
    }
    return pa.RecordBatch.from_pydict(columns, schema=DECISIONS.schema)


def _latency(seq: Ints) -> Ints:
    least, most = LATENCY
    spread = mix(seq.astype(np.uint64)) % np.uint64(most - least)
    return spread.astype(np.int64) + least


def _lists(features: npt.NDArray[np.int32] | npt.NDArray[np.float32]) -> pa.Array:
    """Turn (features, clicks) into one list per click."""
    width, count = features.shape
    offsets = pa.array(np.arange(count + 1, dtype=np.int32) * np.int32(width))
    return pa.ListArray.from_arrays(offsets, pa.array(np.ascontiguousarray(features.T).ravel()))
