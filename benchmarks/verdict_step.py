"""One commit to the ledger in a process of its own: `python -m benchmarks.verdict_step …`.

Arguments are HOME, `publish` or `revert`, and a run id. Prints as JSON the seconds from call to
return (digests, netting, gates, commit), the verdicts, and the peak memory of the process.
"""

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.machine import peak_bytes
from recovery.gates import GATES
from recovery.publishing import Terms, publish, revert
from replay.lake import Lake
from replay.span import now_micros

# The runs begin where the log does, and change more than anyone should publish unasked.
TERMS = Terms(
    rebill=True,
    overrides=tuple(gate.name for gate in GATES if not gate.fixed),
    reason="benchmark",
    by="benchmark",
)
ACTIONS = {"publish": publish, "revert": revert}


@dataclass(frozen=True)
class Step:
    """What one commit took."""

    verdicts: int
    seconds: float
    processor_seconds: float
    peak_bytes: int


def measure_step(home: Path, action: str, run_id: str) -> Step:
    """Publish or revert a run in a process of its own."""
    line = [sys.executable, "-m", "benchmarks.verdict_step", str(home), action, run_id]
    done = subprocess.run(line, check=True, stdout=subprocess.PIPE, text=True)
    return Step(**json.loads(done.stdout))


def _main(home: str, action: str, run_id: str) -> None:
    lake = Lake.open(Path(home))
    started, used = time.perf_counter(), time.process_time()
    record = ACTIONS[action](lake, run_id, TERMS, now_micros())
    seconds, used = time.perf_counter() - started, time.process_time() - used
    print(json.dumps(asdict(Step(record.verdicts, seconds, used, peak_bytes()))))


if __name__ == "__main__":
    _main(*sys.argv[1:])
