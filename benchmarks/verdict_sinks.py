"""Places to deliver to, one at a time: a file, a real Redis server, a server that says 200.

Each yields what its table of `replay.toml` holds; servers end with the block.
`python -m benchmarks.verdict_sinks SOCKET` is the HTTP server.
"""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SECRET = "REPLAY_BENCHMARK_SECRET"  # noqa: S105  the variable's name
START_SECONDS = 10.0
Place = Callable[[Path], AbstractContextManager[str]]


@contextmanager
def ndjson(folder: Path) -> Iterator[str]:
    """A file on the disk that holds the lake."""
    yield f'kind = "ndjson"\npath = "{folder / "verdicts.ndjson"}"\n'


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    """A server on a Unix socket that keeps everything in memory; none where none is installed."""
    server = shutil.which("redis-server")
    if server is None:
        raise FileNotFoundError("redis-server is not installed")
    socket = folder / "redis.sock"
    line = [server, "--port", "0", "--unixsocket", str(socket), "--save", "", "--appendonly", "no"]
    with _served([*line, "--dir", str(folder)], socket):
        yield f'kind = "redis"\nurl = "unix://{socket}"\n'


@contextmanager
def webhook(folder: Path) -> Iterator[str]:
    """A server that reads what it is sent and says 200, in a process of its own."""
    ready = folder / "port"
    with _served([sys.executable, "-m", "benchmarks.verdict_sinks", str(ready)], ready):
        url = f"http://127.0.0.1:{ready.read_text()}/"
        yield f'kind = "webhook"\nurl = "{url}"\nsecret_env = "{SECRET}"\n'


@contextmanager
def _served(line: Sequence[str], ready: Path) -> Iterator[None]:
    """Run a server while the block lasts; `ready` is the file that it makes when it can be used."""
    server = subprocess.Popen(line, stdout=subprocess.DEVNULL)
    try:
        started = time.monotonic()
        while not ready.exists():
            if server.poll() is not None or time.monotonic() - started > START_SECONDS:
                raise ChildProcessError(f"{line[0]} did not start")
            time.sleep(0.01)
        yield
    finally:
        server.terminate()
        server.wait()


class _Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  as in the base
        pass


def _receive(ready: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Receiver) as server:
        unfinished = ready.with_suffix(".new")
        unfinished.write_text(str(server.server_address[1]))
        unfinished.replace(ready)
        server.serve_forever()


if __name__ == "__main__":
    _receive(Path(sys.argv[1]))
