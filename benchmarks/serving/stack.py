"""Everything that a run needs on this machine: a Redis server, the service, a lake of its own."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import click
import redis

from benchmarks.serving.lake import REPLAY

PATIENCE = 60.0
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Stack:
    """A service that is ready: where it listens, its lake, its Redis, its processes."""

    port: int
    home: Path
    redis_url: str
    redis_pid: int
    service_pid: int

    def processor_seconds(self) -> dict[str, float]:
        """Return what its Redis, its keeper and each of its workers have used so far."""
        used = {"redis": _used(self.redis_pid)}
        workers = 0
        for pid in _descendants(self.service_pid):
            if os.getpriority(os.PRIO_PROCESS, pid) > 0 or os.sched_getscheduler(pid) != 0:
                used["keeper"] = used.get("keeper", 0) + _used(pid)
            else:
                workers += 1
                used[f"worker {workers}"] = _used(pid)
        return used


@contextmanager
def redis_server(folder: Path) -> Iterator[tuple[str, int]]:
    """Start a Redis server that keeps nothing on disk; yield its URL and process.

    It is asked over a Unix socket, as docs/serving.md advises where it is on the same machine.
    """
    path = folder / "redis.sock"
    binary = shutil.which("redis-server")
    if binary is None:
        raise click.ClickException("no redis-server on this machine")
    place = ["--port", "0", "--unixsocket", str(path), "--dir", str(folder)]
    process = subprocess.Popen(
        [binary, *place, "--save", "", "--appendonly", "no"], stdout=subprocess.DEVNULL
    )
    try:
        url = f"unix://{path}"
        _await(process, lambda: redis.Redis.from_url(url).ping(), "redis-server")
        yield url, process.pid
    finally:
        process.kill()
        process.wait()


@contextmanager
def started(lake: Path, folder: Path, workers: int, options: Sequence[str] = ()) -> Iterator[Stack]:
    """Serve a fresh copy of a lake, by hard links; yield when it is ready, and stop it after."""
    with (
        tempfile.TemporaryDirectory(dir=folder, prefix="serving-") as scratch,
        redis_server(Path(scratch)) as (url, redis_pid),
    ):
        home = Path(scratch) / "lake"
        shutil.copytree(lake, home, copy_function=os.link)
        port = free_port()
        line = [REPLAY, "serve", "--home", str(home), "--redis", url, "--port", str(port)]
        with (Path(folder) / "service.log").open("w") as log:
            process = subprocess.Popen(
                [*line, "--workers", str(workers), *options], stdout=log, stderr=log
            )
        try:
            _await(process, lambda: _ready(port), "replay serve")
            yield Stack(port, home, url, redis_pid, process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def floor() -> Iterator[int]:
    """Start a server that answers without looking; yield its port."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.serving.floor", str(port)])
    try:
        _await(process, lambda: _listens(port), "benchmarks.serving.floor")
        yield port
    finally:
        process.kill()
        process.wait()


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    socket.create_connection(("127.0.0.1", port)).close()
    return True


def _ready(port: int) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    finally:
        connection.close()


def _await(process: subprocess.Popen[bytes], ready: Callable[[], object], name: str) -> None:
    until = time.monotonic() + PATIENCE
    while True:
        try:
            if ready():
                return
        except (OSError, HTTPException, redis.RedisError):
            pass
        if process.poll() is not None or time.monotonic() > until:
            raise click.ClickException(f"{name} does not become ready; see service.log")
        time.sleep(0.05)


def _descendants(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [found for child in map(int, children) for found in (child, *_descendants(child))]


def _used(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS
