"""How a service stops: nothing that was decided goes unanswered."""

import asyncio
import json
import resource
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from threading import Thread

import pytest
from starlette.applications import Starlette

from scorer.errors import BadInput
from scorer.serving.limits import LIMITS
from scorer.serving.metrics import Metrics
from scorer.serving.server import serve
from tests.scorer.serving.service import (
    WAIT,
    Service,
    State,
    click,
    eventually,
    head,
    read_all,
    service,
)


def hold(live: Service) -> asyncio.Event:
    """Let the decider decide nothing until the event is set."""
    live.decider.held = asyncio.Event()
    live.decider.entered.clear()
    return live.decider.held


def test_a_stop_finishes_what_is_in_flight_and_takes_no_more() -> None:
    body = json.dumps(click("late")).encode()
    with service() as live:
        held = hold(live)
        idle = live.connect()
        with live.connect() as bare:
            bare.sendall(head(body) + body)
            assert live.decider.entered.wait(WAIT)
            live.begin_stop()
            assert read_all(idle) == b""
            eventually(lambda: _is_refused(live.port))
            live.loop.call_soon_threadsafe(held.set)
            answer = read_all(bare)
        idle.close()
        live.thread.join(WAIT)
        assert not live.thread.is_alive()
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nconnection: close\r\n" in answer
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["click_id"] == "late"


def _is_refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=WAIT).close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_stop_cuts_off_what_does_not_end() -> None:
    body = json.dumps(click("stuck")).encode()
    with service(replace(LIMITS, stop_seconds=1)) as live:
        hold(live)
        with live.connect() as bare, live.connect() as half:
            bare.sendall(head(body) + body)
            half.sendall(head(body))
            assert live.decider.entered.wait(WAIT)
            live.begin_stop()
            answer = read_all(bare)
    document = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert document["type"] == "urn:slidr-replay:problem:internal"


def test_sigterm_under_load_loses_no_answer() -> None:
    bound = socket.create_server(("127.0.0.1", 0))
    command = [sys.executable, "-m", "tests.scorer.serving.worker"]
    with subprocess.Popen(
        [*command, str(bound.fileno()), "v1", "0.02"],
        pass_fds=[bound.fileno()],
        stdout=subprocess.PIPE,
        text=True,
    ) as worker:
        port = bound.getsockname()[1]
        bound.close()
        answered: list[str] = []
        clients = [Thread(target=_ask, args=(port, f"{n}", answered)) for n in range(8)]
        for client in clients:
            client.start()
        eventually(lambda: len(answered) > 100)
        worker.send_signal(signal.SIGTERM)
        printed, _ = worker.communicate(timeout=WAIT)
        for client in clients:
            client.join(WAIT)
    assert worker.returncode == 0
    assert sorted(answered) == sorted(json.loads(printed))


def _ask(port: int, name: str, answered: list[str]) -> None:
    """Ask for decisions one after the other until the service is gone."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=WAIT) as bare,
        bare.makefile("rb") as said,
    ):
        n = 0
        while True:
            n += 1
            body = json.dumps(click(f"{name}-{n}")).encode()
            try:
                bare.sendall(head(body) + body)
                if not said.readline():
                    return
                while (line := said.readline()) != b"\r\n":
                    if line.startswith(b"content-length: "):
                        length = int(line.split()[1])
                answered.append(json.loads(said.read(length))["click_id"])
            except OSError:
                return


async def _serve_too_many() -> None:
    app, state, metrics = Starlette(), State(), Metrics()
    limits, stop = replace(LIMITS, connections=10**9), asyncio.Event()
    await serve(app, [], state=state, metrics=metrics, stop=stop, limits=limits)


def test_more_connections_than_files_are_refused_in_a_line() -> None:
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] == resource.RLIM_INFINITY:
        pytest.skip("this machine bounds no files")
    with pytest.raises(BadInput, match=r"^1000000000 connections take .* open files.*\.$"):
        asyncio.run(_serve_too_many())
