"""A worker process for the tests of its death: logs answers until it ends.

`python -m tests.spooling SPOOL FIRST` logs answers FIRST, FIRST + 1, … a few at a time, writes the
number of each to standard output once it was put, and closes its spool on SIGTERM.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Event

from replay.spool import Spool, now
from tests.answers import answer


def start(spool: Path, first: int, *options: str) -> "subprocess.Popen[bytes]":
    """Start one; the caller reads, and ends it."""
    command = [sys.executable, "-m", "tests.spooling", str(spool), str(first), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def answered(process: "subprocess.Popen[bytes]") -> list[int]:
    """Wait for its end; return the numbers that it answered, in order."""
    said, _ = process.communicate()
    return [int(line) for line in said.split(b"\n")[:-1]]


def until(process: "subprocess.Popen[bytes]", count: int) -> list[int]:
    """Read on until it has answered so many more."""
    assert process.stdout is not None
    return [int(process.stdout.readline()) for _ in range(count)]


def main(spool: Path, first: int, pause: float = 0.001) -> None:
    """Log until SIGTERM."""
    ending = Event()
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    worker = Spool(spool, rotate_every=0.1)
    number = first
    while not ending.is_set():
        arrived = now()
        worker.opened(arrived, 3)
        worker.put([answer(n, arrived) for n in range(number, number + 3)], arrived)
        os.write(1, b"".join(b"%d\n" % n for n in range(number, number + 3)))
        number += 3
        time.sleep(pause)
    sys.exit(worker.close())


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), *map(float, sys.argv[3:]))
