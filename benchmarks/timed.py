"""What a command takes: `python -m benchmarks.timed COMMAND…` prints it as JSON.

Seconds by the clock and by the processor, and the peak memory. A process in between, since a
child's peak (getrusage) starts with that of whoever started it: this one imports little and stays
small. The command's output goes to stderr.
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Timed:
    """From the start of a process to its end, and the largest of it and its children."""

    code: int
    seconds: float
    processor_seconds: float
    peak_bytes: int


def timed(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Timed:
    """Run a command in a process of its own; raise CalledProcessError where that breaks.

    Exit codes 0 and 1 (a finding) are answers.
    """
    line = [sys.executable, "-m", "benchmarks.timed", *command]
    done = subprocess.run(line, check=False, capture_output=True, text=True, env=environment)
    found = (
        Timed(**json.loads(done.stdout)) if done.stdout else Timed(done.returncode or 2, 0, 0, 0)
    )
    if found.code not in (0, 1) or "Traceback" in done.stderr:
        sys.stderr.write(done.stderr)
        raise subprocess.CalledProcessError(found.code, command)
    return found


def _main(command: Sequence[str]) -> None:
    started = time.perf_counter()
    code = subprocess.run(command, check=False, stdout=sys.stderr).returncode
    seconds = time.perf_counter() - started
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = Timed(code, seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)
    print(json.dumps(asdict(found)))


if __name__ == "__main__":
    _main(sys.argv[1:])
