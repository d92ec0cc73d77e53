"""Real servers on this machine: Redis, and HTTP receivers that misbehave on demand."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
import redis

START_SECONDS = 30.0


@dataclass
class RedisServer:
    """A redis-server of our own; `url` is its Unix socket's."""

    folder: Path
    command: list[str]
    process: subprocess.Popen[bytes] = field(init=False)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL)
        _await(self)

    def restart(self) -> None:
        """End it as its administrator would, and start it on what it kept."""
        self.process.terminate()
        self.process.wait()
        self.start()

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
        command = [binary, *place, "--save", "", "--appendonly", "no", *options]
        server = RedisServer(Path(folder), command)
        try:
            server.start()
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


@dataclass(frozen=True)
class Answer:
    """How a receiver meets one request.

    `take` is "all" (read it, answer), "half" (read half, hang up), "hang" (read it, say nothing
    until the test ends) or "torn" (read it, answer, and hang up within the answer's text).
    """

    status: int = 204
    headers: Mapping[str, str] = field(default_factory=dict)
    take: str = "all"


@dataclass(frozen=True)
class Request:
    """A request as it came; `body` is what was read of it."""

    headers: Mapping[str, str]
    body: bytes

    @property
    def events(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.body)
        return found


class Receiver:
    """An HTTP server that meets each POST as the test says, the last of `answers` for ever."""

    def __init__(self, *answers: Answer, judge: Callable[[Request], Answer] | None = None) -> None:
        self.requests: list[Request] = []
        self.taken: list[dict[str, Any]] = []
        self.checks = 0
        self._answers = list(answers) or [Answer()]
        self._judge = judge
        self._over = Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_OPTIONS(self) -> None:
                receiver.checks += 1
                self.send_response(501)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_POST(self) -> None:
                receiver.meet(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/verdicts"

    def meet(self, handler: BaseHTTPRequestHandler) -> None:
        length = int(handler.headers["Content-Length"])
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        request = Request(
            dict(handler.headers),
            handler.rfile.read(length // 2 if answer.take == "half" else length),
        )
        if self._judge is not None:
            answer = self._judge(request)
        self.requests.append(request)
        if answer.take != "half" and (answer.status < 300 or answer.take == "hang"):
            self.taken += request.events
        if answer.take == "hang":
            self._over.wait()
        if answer.take in ("half", "hang"):
            handler.close_connection = True
            return
        handler.send_response(answer.status)
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", "1000" if answer.take == "torn" else "0")
        handler.end_headers()
        handler.close_connection = answer.take == "torn"

    def __enter__(self) -> "Receiver":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
