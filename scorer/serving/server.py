"""Running the app: uvicorn on uvloop, the bounds of `Limits`, and a stop that loses no answer."""

import asyncio
import contextlib
import resource
import signal
import socket
from collections.abc import Iterator, Sequence

import uvicorn
from starlette.types import ASGIApp

from scorer.errors import BadInput
from scorer.serving.guard import Guard, GuardedConfig
from scorer.serving.limits import LIMITS, Limits
from scorer.serving.metrics import Metrics
from scorer.serving.protocol import GuardedProtocol
from scorer.serving.state import ServiceState

SWEEP_SECONDS = 0.25
HEALTH_EACH = 4  # sweeps
FLUSH_EACH = 0.01  # s
OTHER_FILES = 256  # descriptors that a worker needs beside its clients' connections


async def serve(
    app: ASGIApp,
    sockets: Sequence[socket.socket],
    *,
    state: ServiceState,
    metrics: Metrics,
    stop: asyncio.Event,
    limits: Limits = LIMITS,
) -> None:
    """Serve the app on bound sockets until `stop` is set; then finish what is in flight.

    Closes the sockets. What is not finished `limits.stop_seconds` after the stop is cut off. Run it
    on uvloop; signals are the caller's (`stop_on_signals`). Raise BadInput where the process may
    not have as many files open as there may be connections.
    """
    _allow_files(limits.connections)
    guard = Guard(limits, metrics)
    server = _Server(
        GuardedConfig(
            app,
            guard,
            http=GuardedProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=limits.stop_seconds,
        )
    )
    beside = [
        asyncio.create_task(_sweep(server, guard, state)),
        asyncio.create_task(_await_stop(server, stop)),
    ]
    for task in beside:
        task.add_done_callback(lambda _: stop.set())  # a bug in one: stop, and raise it below
    try:
        await server.serve(sockets=list(sockets))
        await _flush(server, guard)
    finally:
        for task in beside:
            task.cancel()
    for ended in await asyncio.gather(*beside, return_exceptions=True):
        if isinstance(ended, Exception):
            raise ended


def stop_on_signals() -> asyncio.Event:
    """Return an event that SIGTERM and SIGINT set; to be called on the running loop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


async def _flush(server: uvicorn.Server, guard: Guard) -> None:
    """Let the last answers out; the sweep cuts off clients that do not read them."""
    while server.server_state.tasks:  # were told to end, and answer that
        await asyncio.sleep(FLUSH_EACH)
    while connections := [*server.server_state.connections, *guard.leaving]:
        for connection in connections:
            connection.transport.close()
        await asyncio.sleep(FLUSH_EACH)


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone: uvicorn would raise them again, and so end the process unflushed."""
        yield


async def _await_stop(server: uvicorn.Server, stop: asyncio.Event) -> None:
    await stop.wait()
    server.should_exit = True


async def _sweep(server: uvicorn.Server, guard: Guard, state: ServiceState) -> None:
    loop = asyncio.get_running_loop()
    connections = server.server_state.connections
    turn = 0
    while True:
        guard.sweep(connections, loop.time())
        if turn % HEALTH_EACH == 0:
            guard.metrics.observe_health(state.health(), len(connections) + len(guard.leaving))
        turn += 1
        await asyncio.sleep(SWEEP_SECONDS)


def _allow_files(connections: int) -> None:
    """Let the process open as many files as it has connections at once, refused ones included."""
    needed = 2 * connections + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise BadInput(
            f"{connections} connections take {needed} open files, and this process may have "
            f"{hard}. Raise the limit (ulimit -n), or allow fewer connections."
        )
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
