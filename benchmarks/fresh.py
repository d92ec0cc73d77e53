"""What only a process of its own can show: peak memory, and what starting costs.

`python -m benchmarks.fresh HOME ENGINE FORM` runs one engine, drops each piece as it comes, as a
replay does, and prints the clicks, the seconds of each pass and the peak memory as JSON. It imports
no engine but that one's.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.duckdb_windows import duckdb_engines
from benchmarks.machine import peak_bytes
from benchmarks.ours import Ours
from benchmarks.source import Engine, Source
from replay.span import iso

HELP_RUNS = 10
PASSES = 6  # of ours; the first also loads the compiled kernels and finds no memory at hand


@dataclass(frozen=True)
class Peak:
    """One engine alone, with interpreter and libraries: each pass's seconds, the first's peak."""

    clicks: int
    seconds: list[float]
    peak_bytes: int

    @property
    def steady(self) -> float:
        """Median seconds of the passes after the first; the first where it is the only one."""
        return statistics.median(self.seconds[1:] or self.seconds)


@dataclass(frozen=True)
class Starts:
    """Seconds from the start of a process to its end.

    `first` and `second` are `replay features` over a small log, without and with compiled kernels.
    """

    help: float
    first: float
    second: float


def measure_peak(home: Path, engine: str, form: int) -> Peak:
    """Run one engine in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.fresh", str(home), engine, str(form)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return Peak(**json.loads(done.stdout))


def measure_starts(home: Path) -> Starts:
    """Time `replay --help`, and the first and second `replay features` over a small lake."""
    replay = str(Path(sys.executable).with_name("replay"))
    span = Source.open(home).span
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["--home", str(home), "--from", iso(span.start), "--to", iso(span.end)]
        features = [replay, "features", *arguments, "--out", f"{folder}/features.parquet"]
        cache = {**os.environ, "NUMBA_CACHE_DIR": folder}
        first, second = (_time(features, cache) for _ in range(2))
    helps = [_time([replay, "--help"], dict(os.environ)) for _ in range(HELP_RUNS)]
    return Starts(statistics.median(helps), first, second)


def _time(command: list[str], environment: dict[str, str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=environment)
    return time.perf_counter() - started


def _run(home: Path, name: str, form: int) -> Peak:
    source = Source.open(home)
    engine: Engine = Ours(source, source.spec)
    if name != "ours":
        engine = duckdb_engines(source)[name][form]
    seconds, peak = [], 0
    for _ in range(PASSES if name == "ours" else 1):
        started = time.perf_counter()
        for piece in engine.pieces():
            del piece
        seconds.append(time.perf_counter() - started)
        peak = peak or peak_bytes()
    return Peak(source.clicks, seconds, peak)


if __name__ == "__main__":
    print(json.dumps(asdict(_run(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))))
