"""What each stage of a run can't be faster than here: one thread, and nothing but the bare work."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from benchmarks.run.graph import load_mlp
from replay.engine import encoded_columns
from replay.lake import Lake
from replay.replayer import CLICK_COLUMNS
from replay.runs import run_folder
from replay.snapshot import Snapshot
from replay.span import Span
from scorer.models.mlp import Mlp

ORDERED = ("ts", "seq", "click_id")
SLICED = ("device", "logged_in")
LOGGED = ("click_id", "decision", "model_version", "probability")
BATCH = 1024
TRIALS = 5
BLOCK = 1 << 28  # bytes; no cache holds it
SAMPLE = 1 << 24  # bytes
REPEATS = 50
Counts = Mapping[str, int]


@dataclass(frozen=True)
class Floor:
    """The least seconds of a stage, and what they are made of."""

    seconds: float
    made_of: str


@dataclass(frozen=True)
class Rates:
    """What one thread does in a second: bytes moved, operations, bytes packed, bytes hashed."""

    moved: float
    operations: float
    packed: float
    hashed: float


@dataclass(frozen=True)
class Decoded:
    """Columns of some files read by pyarrow alone: seconds, and bytes in memory."""

    seconds: float
    size: int


def measure_floors(lake: Lake, span: Span, counts: Counts, version: str) -> dict[str, Floor]:
    """Return the floors of the stages that have one, for the lake's latest run over `span`."""
    snapshot, read = Snapshot.take(lake), counts["read"]
    module, spec = load_mlp(lake, version)
    seen = Span(span.start - spec.look_back, span.end)
    keys = encoded_columns(spec)
    columns = dict.fromkeys([*ORDERED, *CLICK_COLUMNS, *SLICED, *keys])
    clicks = _decode(snapshot.pinned["clicks"].within(seen), list(columns), keys)
    logged = _decode(snapshot.pinned["decisions"].within(span), LOGGED, LOGGED[1:3])
    parts = sorted(run_folder(lake, "latest").path.glob("*/part-*.parquet"))
    rates = measure_rates(module, _plain_bytes(pq.read_table(parts[-1])))
    files = [pq.read_metadata(path) for path in parts]
    plain = sum(f.row_group(g).total_byte_size for f in files for g in range(f.num_row_groups))
    packed = sum(path.stat().st_size for path in parts)
    encoded, facts = 4 * len(keys) * read, 4 * len(spec.facts) * read
    done = operations(module) * counts["decided"]

    def moved(size: int, what: str) -> Floor:
        return Floor(size / rates.moved, f"{_mib(size)} {what}, one pass at {_mib(rates.moved)}/s")

    return {
        "read": Floor(clicks.seconds, f"{_mib(clicks.size)} decoded by pyarrow alone"),
        "order": moved(16 * read, "of ts and seq"),
        "encode keys": moved(2 * encoded, "of key codes, read and written"),
        "windows": moved(encoded + facts, "of key codes read and facts written"),
        "score": Floor(
            done / rates.operations,
            f"{done / 1e9:,.0f} Gflop of products at {rates.operations / 1e9:,.0f} Gflop/s",
        ),
        "compare": Floor(logged.seconds, f"{_mib(logged.size)} decoded by pyarrow alone"),
        "write": Floor(plain / rates.packed, f"{_mib(plain)} packed at {_mib(rates.packed)}/s"),
        "digests": Floor(packed / rates.hashed, f"{_mib(packed)} hashed at {_mib(rates.hashed)}/s"),
    }


def _mib(size: float) -> str:
    return f"{size / (1 << 20):,.0f} MiB"


def _plain_bytes(rows: pa.Table) -> bytes:
    """Return some of a table's bytes as they lie in memory."""
    arrays = (chunk for column in rows.columns for chunk in column.chunks)
    buffers = (bytes(buffer) for array in arrays for buffer in array.buffers() if buffer)
    return b"".join(buffers)[:SAMPLE]


def _decode(paths: Sequence[str], columns: Sequence[str], encoded: Sequence[str]) -> Decoded:
    """Read row group by row group, and keep none."""
    size, started = 0, time.process_time()
    for path in paths:
        with pq.ParquetFile(path, read_dictionary=list(encoded)) as file:
            for group in range(file.num_row_groups):
                size += file.read_row_group(group, list(columns), use_threads=False).nbytes
    return Decoded(time.process_time() - started, size)


def measure_rates(module: Mlp, sample: bytes) -> Rates:
    """Measure this machine with the network's own layers and bytes of a run's own parts."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    block = np.ones(BLOCK // 8)
    other = np.empty_like(block)
    weights = [layer.weight.detach() for layer in (module.first, module.second, module.last)]
    given = [torch.rand(BATCH, weight.shape[1]) for weight in weights]
    codec = pa.Codec("zstd", compression_level=1)
    pairs = list(zip(given, weights, strict=True)) * REPEATS
    products = _least(lambda: [x @ w.T for x, w in pairs]) / REPEATS
    torch.set_num_threads(threads)
    return Rates(
        moved=2 * BLOCK / _least(lambda: np.copyto(other, block)),
        operations=operations(module) * BATCH / products,
        packed=len(sample) / _least(lambda: codec.compress(sample)),
        hashed=BLOCK / _least(lambda: sha256(block.data).digest()),
    )


def operations(module: Mlp) -> int:
    """Return the floating-point operations that a click takes in the layers' products."""
    layers = (module.first, module.second, module.last)
    return sum(2 * layer.in_features * layer.out_features for layer in layers)


def _least(work: Callable[[], object]) -> float:
    """Return the least processor seconds of some trials."""
    seconds = []
    for _ in range(TRIALS):
        started = time.process_time()
        work()
        seconds.append(time.process_time() - started)
    return min(seconds)
