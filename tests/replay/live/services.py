"""A `replay serve` of our own, started, asked and stopped as users do."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

PATIENCE = 120.0  # s: no test depends on speed, and a machine may be slow
SLOW = ("--deadline", "1000")  # ms: a machine that also runs other tests decides late
CLICK: dict[str, Any] = {
    "user_id": "u1",
    "device": "desktop",
    "logged_in": True,
    "advertiser_id": "adv1",
    "campaign_id": "camp1",
    "price_micros": 250_000,
}


def until(true: Callable[[], object], what: str) -> None:
    """Wait for something to come true."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, f"not within {PATIENCE:g} s: {what}"
        time.sleep(0.02)


@dataclass
class Service:
    """A running service; `said` are the lines of its stderr."""

    process: subprocess.Popen[str]
    said: list[str] = field(default_factory=list)

    @property
    def port(self) -> int:
        line = next(line for line in self.said if "listening on" in line)
        return urlsplit(line.split("listening on ")[1].split()[0]).port or 0

    def has_said(self, text: str) -> bool:
        assert text in "".join(self.said) or self.process.poll() is None, "".join(self.said)
        return any(text in line for line in self.said)

    def processes(self, module: str) -> list[int]:
        """Return the pids of the service's workers or keeper."""
        tasks = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        found = []
        for pid in tasks.read_text().split():
            try:
                command = Path(f"/proc/{pid}/cmdline").read_text()
            except OSError:
                continue
            if module in command:
                found.append(int(pid))
        return found

    def connect(self) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)

    def get(self, path: str) -> tuple[int, str]:
        connection = self.connect()
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text

    def decide(self, click_id: str, **columns: object) -> dict[str, Any]:
        connection = self.connect()
        found = ask(connection, {"click_id": click_id, **CLICK, **columns})
        connection.close()
        return found

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


def ask(connection: HTTPConnection, body: object) -> dict[str, Any]:
    """Ask for a decision; anything but 200 fails."""
    headers = {"Content-Type": "application/json"}
    connection.request("POST", "/v1/decisions", json.dumps(body), headers)
    answer = connection.getresponse()
    text = answer.read()
    assert answer.status == 200, (answer.status, text)
    found: dict[str, Any] = json.loads(text)
    return found


@contextmanager
def service(home: Path, *options: str, ready: bool = True) -> Iterator[Service]:
    """Start `replay serve` on a free port; wait until it listens, or is ready."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("REPLAY_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "replay.cli", "serve", "--home", str(home), "--port", "0", *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    running = Service(process)
    assert process.stderr is not None
    reader = Thread(target=running.said.extend, args=(process.stderr,), daemon=True)
    reader.start()
    try:
        until(lambda: running.has_said("listening on"), "listening")
        if ready:
            until(lambda: running.has_said(": ready"), "ready")
        yield running
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        reader.join()
        process.stderr.close()
