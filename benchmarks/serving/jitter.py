"""What the machine itself does to a program that asks for nothing but time.

`spin`: a process per core does nothing but read the clock; where it misses more than 0.1 ms,
somebody took the core. `sample`: during a load, a process per core sleeps 5 ms at a time, ahead of
every other program in the queue (at a real-time priority, where the system grants one), and notes
by how much it overslept; 1% of a core. `python -m benchmarks.serving.jitter HOW CORE SECONDS`
prints JSON.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

MISSED = 100_000  # ns
LONG = 500_000
NAP = 0.005


@dataclass(frozen=True)
class Jitter:
    """Of one core: `gaps` are longer than 0.5 ms, `most` is the longest, in ms."""

    how: str
    core: int
    seconds: float
    gaps: int
    most: float
    lost: float


class Watch:
    """Processes that watch every core, until their time is over."""

    def __init__(self, how: str, seconds: float) -> None:
        self._processes = [
            subprocess.Popen(
                [sys.executable, "-m", "benchmarks.serving.jitter", how, str(core), str(seconds)],
                stdout=subprocess.PIPE,
            )
            for core in sorted(os.sched_getaffinity(0))
        ]

    def result(self) -> list[Jitter]:
        """Wait for the end and return what each core did."""
        return [Jitter(**json.loads(process.communicate()[0])) for process in self._processes]


def spin(seconds: float) -> list[int]:
    """Return the gaps between two looks at the clock that are longer than 0.1 ms, in ns."""
    gaps: list[int] = []
    clock = time.monotonic_ns
    last = clock()
    end = last + int(seconds * 1e9)
    while last < end:
        now = clock()
        if now - last > MISSED:
            gaps.append(now - last)
        last = now
    return gaps


def sample(seconds: float) -> list[int]:
    """Return by how much each nap was longer than it should be, where by more than 0.1 ms."""
    late: list[int] = []
    clock, nap = time.monotonic_ns, int(NAP * 1e9)
    end = clock() + int(seconds * 1e9)
    while (before := clock()) < end:
        time.sleep(NAP)
        if (over := clock() - before - nap) > MISSED:
            late.append(over)
    return late


HOW: dict[str, Callable[[float], list[int]]] = {"spin": spin, "sample": sample}


def _main(how: str, core: int, seconds: float) -> None:
    os.sched_setaffinity(0, {core})
    if how == "sample":
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        except PermissionError:
            how = "sample at common priority"
    found = HOW[how.partition(" ")[0]](seconds)
    report = Jitter(
        how,
        core,
        seconds,
        sum(gap > LONG for gap in found),
        max(found, default=0) / 1e6,
        sum(found) / 1e6,
    )
    print(json.dumps(report.__dict__))


if __name__ == "__main__":
    _main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
