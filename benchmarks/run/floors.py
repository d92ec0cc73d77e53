"""What each stage of a run can't be faster than on this machine: one thread, nothing but the work."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from replay.engine import encoded_columns
from replay.lake import Lake
from replay.runs import RunFolder, run_folder
from replay.snapshot import Snapshot
from replay.span import Span
from scorer.models.mlp import Mlp
from scorer.spec import Spec

CLICK_COLUMNS = ("ts", "seq", "click_id", "device", "logged_in", "advertiser_id", "campaign_id")
CLICK_COLUMNS = (*CLICK_COLUMNS, "price_micros")
DECISION_COLUMNS = ("click_id", "decision", "model_version", "probability")
BATCH = 1024
TRIALS = 5
BLOCK = 1 << 26  # bytes


@dataclass(frozen=True)
class Floor:
    """The least seconds of a stage, and what they are made of."""

    seconds: float
    made_of: str


@dataclass(frozen=True)
class Rates:
    """What one thread does in a second: bytes moved, operations of a GEMM, bytes packed, hashed."""

    copy: float
    gemm: float
    zstd: float
    sha256: float


def measure_rates(module: Mlp, sample: bytes) -> Rates:
    """Measure this machine with the network's own layers and with bytes of a run's parts."""
    torch.set_num_threads(1)
    block = np.ones(BLOCK // 8)
    other = np.empty_like(block)
    layers = [layer for layer in (module.first, module.second, module.last)]
    given = [torch.rand(BATCH, layer.in_features) for layer in layers]

    def products() -> None:
        for x, layer in zip(given, layers, strict=True):
            torch.mm(x, layer.weight.T)

    with torch.inference_mode():
        many = 200
        gemm = _least(lambda: [products() for _ in range(many)]) / many
    codec = pa.Codec("zstd", compression_level=1)
    return Rates(
        copy=2 * BLOCK / _least(lambda: np.copyto(other, block)),
        gemm=operations(module) * BATCH / gemm,
        zstd=len(sample) / _least(lambda: codec.compress(sample)),
        sha256=BLOCK / _least(lambda: sha256(block).digest()),
    )


def operations(module: Mlp) -> int:
    """Return the floating-point operations that a click takes in the layers' products."""
    return sum(
        2 * w.in_features * w.out_features for w in (module.first, module.second, module.last)
    )


def _least(work: Callable[[], object]) -> float:
    """Return the least seconds of a few trials."""
    seconds = []
    for _ in range(TRIALS):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return min(seconds)
