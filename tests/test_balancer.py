"""The balancer's configuration at work: a real haproxy before two services that fail on demand."""

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from tests.servers import free_port
from tests.tools import tool

CONFIG = Path(__file__).resolve().parent.parent / "deploy" / "haproxy.cfg"
LONG = 20.0  # s


class Service:
    """A service that takes every decision, or meets it as `mood` says.

    `mood` is "well", "unready" (alive, with its store away), "gone" (hangs up without an answer to
    anything) or "stuck" (says it is ready and never answers a decision).
    """

    def __init__(self) -> None:
        self.mood = "well"
        self.taken = 0
        self._over = threading.Event()
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                if service.mood == "gone":
                    self.close_connection = True
                    return
                unready = service.mood == "unready" and self.path == "/readyz"
                self._answer(503 if unready else 200)

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                if service.mood == "gone":
                    self.close_connection = True
                    return
                service.taken += 1
                if service.mood == "stuck":
                    self.close_connection = service._over.wait()
                else:
                    self._answer(200)

            def _answer(self, status: int) -> None:
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "Service":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Balanced:
    """Two services behind the balancer."""

    def __init__(self, services: tuple[Service, Service], port: int, metrics: int) -> None:
        self.services = services
        self.metrics = f"http://127.0.0.1:{metrics}/metrics"
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=LONG)

    def send(self) -> httpx.Response:
        """Ask for a decision."""
        return self._client.post("/v1/decisions", json={"n": 1})

    def post(self, count: int = 1) -> set[int]:
        """Ask for some; return the statuses of the answers."""
        return {self.send().status_code for _ in range(count)}

    def get(self, path: str) -> int:
        return self._client.get(path).status_code

    def sees(self, backend: str, up: int) -> bool:
        """Whether so many of a backend's servers are up."""
        text = httpx.get(self.metrics).text
        line = f'haproxy_backend_active_servers{{proxy="{backend}"}} '
        return int(text.partition(line)[2].split()[0]) == up

    def close(self) -> None:
        self._client.close()


@pytest.fixture
def balanced(tmp_path: Path) -> Iterator[Balanced]:
    binary = tool("haproxy", "Debian: haproxy")
    with ExitStack() as stack:
        services = (stack.enter_context(Service()), stack.enter_context(Service()))
        port, metrics = free_port(), free_port()
        text = CONFIG.read_text()
        for name, service in zip(("service-1", "service-2"), services, strict=True):
            text = text.replace(f" {name}:8080", f" {service.address}")
        text = text.replace("bind :8080", f"bind 127.0.0.1:{port}")
        text = text.replace("bind :8404", f"bind 127.0.0.1:{metrics}")
        (tmp_path / "haproxy.cfg").write_text(text)
        stack.enter_context(_running(binary, tmp_path))
        found = Balanced(services, port, metrics)
        stack.callback(found.close)
        _until(lambda: found.sees("ready", 2))
        yield found


@contextmanager
def _running(binary: str, folder: Path) -> Iterator[None]:
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([binary, "-f", folder / "haproxy.cfg"], stdout=log, stderr=log)
        try:
            yield
        finally:
            process.kill()
            process.wait()


def _until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + LONG
    while True:
        try:
            if holds():
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < until
        time.sleep(0.05)


def test_both_get_work_and_nothing_else_is_reached(balanced: Balanced) -> None:
    assert balanced.post(20) == {200}
    assert [service.taken > 0 for service in balanced.services] == [True, True]
    assert balanced.get("/readyz") == balanced.get("/healthz") == 200
    assert balanced.get("/metrics") == balanced.get("/v1/other") == 404


def test_no_request_is_lost_when_a_service_dies(balanced: Balanced) -> None:
    assert balanced.post(4) == {200}
    balanced.services[0].mood = "gone"
    assert balanced.post(20) == {200}
    _until(lambda: balanced.sees("ready", 1))
    balanced.services[0].mood = "well"
    _until(lambda: balanced.sees("ready", 2))


def test_what_is_not_ready_gets_no_work_while_another_is(balanced: Balanced) -> None:
    balanced.services[0].mood = "unready"
    _until(lambda: balanced.sees("ready", 1))
    taken = balanced.services[0].taken
    assert balanced.post(10) == {200}
    assert balanced.services[0].taken == taken


def test_with_none_ready_those_that_live_still_answer(balanced: Balanced) -> None:
    for service in balanced.services:
        service.mood = "unready"
    _until(lambda: balanced.sees("ready", 0))
    assert balanced.post(10) == {200}
    assert balanced.get("/readyz") == 503


def test_a_slow_service_is_not_asked_twice(balanced: Balanced) -> None:
    for service in balanced.services:
        service.mood = "stuck"
    assert balanced.post() == {504}
    assert sum(service.taken for service in balanced.services) == 1


def test_what_the_balancer_says_itself_is_a_problem_document(balanced: Balanced) -> None:
    for service in balanced.services:
        service.mood = "gone"
    _until(lambda: balanced.sees("ready", 0) and balanced.sees("alive", 0))
    answer = balanced.send()
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {"type": "about:blank", "title": "Service Unavailable", "status": 503}
