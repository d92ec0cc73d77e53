"""Decisions as rows of the `decisions` table, with the features that they were made on."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from replay.engine import Features
from replay.tables import DECISIONS, TIMESTAMP
from scorer.decisions import Decisions
from scorer.registry import ModelVersion


def decision_rows(
    version: ModelVersion,
    clicks: pa.Table,
    features: Features,
    decisions: Decisions,
    decided_at: NDArray[np.int64],
    reason: str,
) -> pa.RecordBatch:
    """Return a row per click; `clicks` has seq, click_id and ts (µs), `decided_at` is in µs."""
    count = clicks.num_rows
    columns = {
        "seq": clicks["seq"].combine_chunks(),
        "click_id": clicks["click_id"].combine_chunks(),
        "ts": clicks["ts"].combine_chunks().cast(TIMESTAMP),
        "decided_at": pa.array(decided_at).cast(TIMESTAMP),
        "model_version": pa.repeat(pa.scalar(version.name), count),
        "probability": pa.array(decisions.probability, pa.float32(), from_pandas=True),
        "threshold": pa.array(decisions.threshold, pa.float32()),
        "slice": decisions.slices.cast(pa.string()),
        "decision": decisions.words.cast(pa.string()),
        "reason": pa.repeat(pa.scalar(reason), count),
        "spec_digest": pa.repeat(pa.scalar(version.spec.digest), count),
        "facts": _lists(features.facts),
        "reals": _lists(features.reals),
    }
    return pa.RecordBatch.from_pydict(columns, schema=DECISIONS.schema)


def _lists(features: NDArray[np.int32] | NDArray[np.float32]) -> pa.Array:
    """Turn (features, clicks) into one list per click."""
    width, count = features.shape
    offsets = pa.array(np.arange(count + 1, dtype=np.int32) * np.int32(width))
    return pa.ListArray.from_arrays(offsets, pa.array(np.ascontiguousarray(features.T).ravel()))
