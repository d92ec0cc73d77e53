"""A worker process for the tests of its death: it logs answers until it ends.

`python -m tests.spooling SPOOL FIRST` logs the answers FIRST, FIRST + 1, … three at a time, some of
them twice, and says of each on standard output that it was given, and when. It closes its spool on
SIGTERM.
"""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import IO

from replay.live.spool import Spool
from replay.span import now_micros
from tests.answers import answer

AT_ONCE = 3
REPEATED = 20  # of so many puts one is a repeat


@dataclass
class Life:
    """One worker process, and the file that it says its answers to."""

    process: "subprocess.Popen[bytes]"
    said: IO[bytes]

    def told(self) -> dict[int, float]:
        """Return the numbers it has answered so far, and when (s, monotonic)."""
        self.said.seek(0)
        pairs = (line.split() for line in self.said.read().split(b"\n")[:-1])
        return {int(number): float(at) for number, at in pairs}

    def until(self, count: int) -> None:
        """Wait until it has answered so many."""
        while len(self.told()) < count:
            time.sleep(0.01)

    def end(self, sign: signal.Signals) -> float:
        """End it; return when (s, monotonic)."""
        at = time.monotonic()
        self.process.send_signal(sign)
        self.process.wait()
        return at


def start(spool: Path, first: int, said: Path) -> Life:
    """Start one; what it says goes to the file `said`."""
    command = [sys.executable, "-m", "tests.spooling", str(spool), str(first)]
    with said.open("wb") as out:
        return Life(subprocess.Popen(command, stdout=out), said.open("rb"))


def main(spool: Path, first: int) -> None:
    """Log until SIGTERM."""
    ending = Event()
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    worker = Spool(spool, rotate_every=0.1)
    for number in range(first, sys.maxsize, AT_ONCE):
        if ending.is_set():
            break
        arrived = now_micros()
        worker.opened(arrived, AT_ONCE)
        answers = [answer(n, arrived) for n in range(number, number + AT_ONCE)]
        worker.put(answers, arrived)
        said = [f"{n} {time.monotonic()}\n" for n in range(number, number + AT_ONCE)]
        os.write(1, "".join(said).encode())
        if number // AT_ONCE % REPEATED == 0:
            worker.opened(arrived, AT_ONCE)
            worker.put([replace(each, repeated=True) for each in answers], arrived)
        time.sleep(0.001)
    sys.exit(worker.close())


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
