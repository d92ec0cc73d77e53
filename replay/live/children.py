"""The processes of a service, as their supervisor sees them: started, heard, started again."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from replay.live.service import Settings

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 10.0  # s before a process that died is started again
LIVED = 30.0  # s after which a process did not die soon
MODULES = {"keeper": "replay.live.keeper", "worker": "replay.live.worker"}
STDERR = 2  # stdout is the command's
METRICS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


class Process:
    """A process that was started, and the socket that it hears its settings on and tells news by.

    `news` is what it told last; empty before.
    """

    def __init__(self, module: str, settings: Settings, metrics: Path) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603  our own module
                [sys.executable, "-m", module],
                stdin=theirs.fileno(),
                stdout=STDERR,
                pass_fds=() if settings.socket is None else (settings.socket,),
                process_group=0,  # Ctrl-C on a terminal is for the supervisor alone
                env={**os.environ, METRICS_VARIABLE: str(metrics), "OMP_NUM_THREADS": "1"},
            )
        self.pid = self._process.pid
        self.started = time.monotonic()
        self.news: Mapping[str, Any] = {}
        self._channel, self._heard = ours, b""
        ours.setblocking(False)
        with suppress(OSError):  # it died at once
            ours.sendall(settings.told().encode())

    @property
    def lives(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def hear(self) -> None:
        """Take what it has told since."""
        with suppress(OSError):
            while data := self._channel.recv(65_536):
                *lines, self._heard = (self._heard + data).split(b"\n")
                for line in lines:
                    self.news = json.loads(line)

    def terminate(self) -> None:
        """Ask it to end."""
        self._process.terminate()

    def kill(self) -> None:
        """End it."""
        self._process.kill()

    def close(self) -> str:
        """Wait until it has ended; return how it did."""
        status = self._process.wait()
        self._channel.close()
        if status >= 0:
            return f"ended with status {status}"
        return f"was ended by {signal.Signals(-status).name}"


class Place:
    """The place of one process in a service: it is started again when it dies.

    `failures` counts the processes that died soon, one after the other; `refused` is why the last
    one that ended could not serve as asked, where it said so.
    """

    def __init__(self, kind: str, name: str, settings: Settings) -> None:
        self.name = name
        self._settings = settings
        self._module = MODULES[kind]
        self._process: Process | None = None
        self._due = 0.0
        self.failures = 0
        self.refused: str | None = None

    @property
    def process(self) -> Process | None:
        """What runs here now."""
        return self._process if self._process is not None and self._process.lives else None

    @property
    def news(self) -> Mapping[str, Any]:
        """What the process told last; empty where there is none or it told nothing."""
        return {} if self._process is None else self._process.news

    def look_after(self, metrics: Path) -> str | None:
        """Start a process where one is due; return a line where one has died."""
        died = None
        if self._process is not None and not self._process.lives:
            soon = time.monotonic() - self._process.started < LIVED
            self.failures = self.failures + 1 if soon else 1
            pause = min(FIRST_PAUSE * 2 ** min(self.failures - 1, 9), LONGEST_PAUSE)
            self._due = time.monotonic() + pause
            said = self.bury(metrics)
            why = "" if self.refused is None else f": {self.refused}"
            died = f"{self.name} {said}{why}; starts again in {pause:g} s"
        if self._process is None and time.monotonic() >= self._due:
            self._process = Process(self._module, self._settings, metrics)
        if self._process is not None:
            self._process.hear()
        return died

    def bury(self, metrics: Path) -> str:
        """Wait for the end of the process, and forget it; return how it ended."""
        if self._process is None:
            return "did not run"
        self._process.hear()
        self.refused = self._process.news.get("refused")
        said = self._process.close()
        for gauge in metrics.glob(f"gauge_live*_{self._process.pid}.db"):
            gauge.unlink()
        self._process = None
        return said
