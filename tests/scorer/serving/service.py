"""A real service on a real socket, with a decider in memory behind it."""

import asyncio
import json
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Any

import httpx
import uvloop

from scorer.serving.app import create_app
from scorer.serving.clicks import Click
from scorer.serving.limits import LIMITS, Limits
from scorer.serving.metrics import Metrics
from scorer.serving.ports import Answer
from scorer.serving.server import serve
from scorer.serving.state import Health
from scorer.slices import slice_key

VERSION = "v1"
THRESHOLD = 0.5
WAIT = 30.0
HEALTHY = Health((), VERSION, 1.0, 0.01, store_open=False)


class MemoryDecider:
    """Counts each click_id once and calls a user's every second click invalid."""

    def __init__(self, version: str = VERSION, seconds: float = 0) -> None:
        self.version = version
        self.seconds = seconds
        self.stamps: dict[str, tuple[int, int]] = {}
        self.seen: list[Click] = []
        self.held: asyncio.Event | None = None  # decides nothing until it is set
        self.entered = Event()
        self.fails = False

    async def decide(self, clicks: Sequence[Click]) -> list[Answer]:
        self.entered.set()
        if self.fails:
            raise RuntimeError("a bug in the decider")
        if self.held is not None:
            await self.held.wait()
        if self.seconds:
            await asyncio.sleep(self.seconds)
        return [self._answer(click) for click in clicks]

    def _answer(self, click: Click) -> Answer:
        self.seen.append(click)
        repeated = click.click_id in self.stamps
        now = time.time_ns() // 1000 if click.time is None else click.time
        ts, seq = self.stamps.setdefault(click.click_id, (now, len(self.stamps)))
        probability = 0.25 + 0.5 * (seq % 2)
        return Answer(
            click=click,
            ts=ts,
            seq=seq,
            source="live",
            store_epoch="e",
            repeated=repeated,
            decided_at=now,
            decision="invalid" if probability >= THRESHOLD else "valid",
            reason="scored",
            model_version=self.version,
            probability=probability,
            threshold=THRESHOLD,
            slice=slice_key({"device": click.device, "logged_in": click.logged_in}),
            spec_digest=None,
            facts=None,
            reals=None,
        )


@dataclass
class State:
    """A worker that says of itself what the test says."""

    found: Health = HEALTHY
    room: bool = True

    def health(self) -> Health:
        return self.found

    def has_room(self) -> bool:
        return self.room


@dataclass
class Service:
    """A running service; `loop` is the one it runs on, in a thread of its own."""

    port: int
    loop: asyncio.AbstractEventLoop
    stop: asyncio.Event
    decider: MemoryDecider
    state: State
    metrics: Metrics
    thread: Thread
    client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=WAIT)

    def post(self, body: object, **headers: str) -> httpx.Response:
        """Send a body: bytes as they are, all else as JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        kind = {"content-type": "application/json"} | headers
        return self.client.post("/v1/decisions", content=content, headers=kind)

    def connect(self) -> socket.socket:
        """Open a bare connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=WAIT)

    def raw(self, *pieces: bytes) -> bytes:
        """Send pieces on a connection of their own, and return all that comes until its end."""
        with self.connect() as bare:
            for piece in pieces:
                bare.sendall(piece)
            return read_all(bare)

    def begin_stop(self) -> None:
        self.loop.call_soon_threadsafe(self.stop.set)


def read_all(bare: socket.socket) -> bytes:
    """Read until the other side is done."""
    found = b""
    while piece := bare.recv(65536):
        found += piece
    return found


def eventually(holds: Callable[[], bool]) -> None:
    """Wait until something holds; fail where it does not."""
    until = time.monotonic() + WAIT
    while not holds():
        assert time.monotonic() < until, "it never held"
        time.sleep(0.005)


def click(click_id: str = "c1", **values: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return a click as a caller sends it."""
    return {
        "click_id": click_id,
        "user_id": "u1",
        "device": "tv",
        "logged_in": True,
        "advertiser_id": "a1",
        "campaign_id": "k1",
        "price_micros": 120_000,
    } | values


def head(
    body: bytes = b"", *lines: str, path: str = "/v1/decisions", method: str = "POST"
) -> bytes:
    """Return a request's head, for a body sent after it."""
    kind = f"content-type: application/json\r\ncontent-length: {len(body)}" if body else "x: y"
    return "\r\n".join([f"{method} {path} HTTP/1.1", "host: x", kind, *lines, "", ""]).encode()


@contextmanager
def service(limits: Limits = LIMITS, *, simulated_time: bool = False) -> Iterator[Service]:
    """Run a service until the block ends; fail where it does not stop."""
    bound = socket.create_server(("127.0.0.1", 0), backlog=1024)
    port = bound.getsockname()[1]
    started: list[Service] = []
    ready = Event()
    failed: list[BaseException] = []

    async def run() -> None:
        state, metrics, decider = State(), Metrics(), MemoryDecider()
        metrics.know(VERSION, {"device=tv,logged_in=true"})
        app = create_app(decider, state, metrics, simulated_time=simulated_time)
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        started.append(Service(port, loop, stop, decider, state, metrics, thread))
        ready.set()
        await serve(app, [bound], state=state, metrics=metrics, stop=stop, limits=limits)

    def work() -> None:
        try:
            uvloop.run(run())
        except BaseException as exc:  # noqa: BLE001
            failed.append(exc)
        ready.set()

    thread = Thread(target=work, daemon=True)
    thread.start()
    assert ready.wait(WAIT)
    assert not failed, failed
    try:
        yield started[0]
    finally:
        started[0].client.close()
        if thread.is_alive():
            started[0].begin_stop()
        thread.join(WAIT)
        assert not thread.is_alive(), "the service does not stop"
        assert not failed, failed
