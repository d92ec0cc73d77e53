"""Real servers on this machine: Redis, and HTTP receivers that misbehave on demand."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

START_SECONDS = 30.0


@dataclass
class RedisServer:
    """A redis-server of our own; `url` is its Unix socket's."""

    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"unix://{self.folder / 'redis.sock'}"

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def redis_server(*options: str) -> Iterator[RedisServer]:
    """Start a redis-server; skip the test where there is none, and fail it where CI is set."""
    binary = shutil.which("redis-server")
    if binary is None:
        missing = "no redis-server on this machine (Debian: apt-get install redis-server)"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    with tempfile.TemporaryDirectory(prefix="redis") as folder:
        place = ["--port", "0", "--unixsocket", f"{folder}/redis.sock", "--dir", folder]
        process = subprocess.Popen(
            [binary, *place, "--save", "", "--appendonly", "no", *options],
            stdout=subprocess.DEVNULL,
        )
        server = RedisServer(Path(folder), process)
        try:
            _await(server)
            yield server
        finally:
            server.stop()


def _await(server: RedisServer) -> None:
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            with server.client() as client:
                client.ping()
            return
        except redis.AuthenticationError:
            return
        except redis.RedisError:
            assert server.process.poll() is None, "redis-server does not start"
            assert time.monotonic() < until
            time.sleep(0.02)


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
