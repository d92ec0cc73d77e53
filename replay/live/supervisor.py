"""The supervisor of a service: binds the port, starts the keeper and the workers, and ends them.

Each worker inherits a listening socket of its own, all of one port: the kernel spreads connections
over them. A process that dies is started again on its socket, later each time that it dies soon. At
the end the workers finish what they have begun, and then the keeper commits what they have spooled.
"""

import os
import shutil
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from replay.errors import BadInput
from replay.live.children import Place
from replay.live.service import Settings

SIGNALS = (signal.SIGTERM, signal.SIGINT)
TICK = 0.1  # s
WORKERS_GRACE, KEEPER_GRACE = 15.0, 120.0  # s that they have to end by themselves
SAY_SECONDS = 1.0  # between two lines on whether it is ready
TRIES = 3  # deaths of one process after which a service that never served gives up
BACKLOG = 2048
METRICS = "slidr-metrics-"

Say = Callable[[str], None]


class Supervisor:
    """Runs one service."""

    def __init__(self, settings: Settings, listening: Sequence[socket.socket]) -> None:
        """Take a listening socket for each worker."""
        self._listening = listening
        self._keeper = Place("keeper", "the keeper", settings)
        self._workers = [
            Place("worker", f"worker {n}", settings.model_copy(update={"socket": each.fileno()}))
            for n, each in enumerate(listening, start=1)
        ]
        # In memory: a worker that counts must not wait for a disk that the spool is synced to.
        memory = Path("/dev/shm")  # noqa: S108  our folder's name has our pid
        place = memory if os.access(memory, os.W_OK) else settings.spool
        self._metrics = place / f"{METRICS}{os.getpid()}"
        self._asked = 0

    def run(self, started: Callable[[], None], say: Say) -> None:
        """Serve until SIGTERM or SIGINT; `started` is called once all workers serve.

        Raises BadInput where a worker finds at its start that it can't serve as asked.
        """
        before = {number: signal.signal(number, self._ask) for number in SIGNALS}
        self._make_metrics_folder()
        try:
            self._watch(started, say)
        finally:
            for each in self._listening:
                each.close()
            self._end(self._workers, WORKERS_GRACE)
            self._end([self._keeper], KEEPER_GRACE)
            shutil.rmtree(self._metrics, ignore_errors=True)
            for number, handler in before.items():
                signal.signal(number, handler)

    def _watch(self, started: Callable[[], None], say: Say) -> None:
        serving, told, again = False, "", 0.0
        while not self._asked:
            for place in (self._keeper, *self._workers):
                if died := place.look_after(self._metrics):
                    if not serving and (place.refused or place.failures >= TRIES):
                        raise BadInput(
                            place.refused or f"{place.name} dies again and again: see above"
                        )
                    say(died)
            states = [place.news for place in self._workers]
            if not serving and all("missing" in state for state in states):
                serving = True
                started()
            if serving and (state := _summary(states)) != told and time.monotonic() > again:
                told, again = state, time.monotonic() + SAY_SECONDS
                say(state)
            time.sleep(TICK)

    def _end(self, places: Sequence[Place], grace: float) -> None:
        """Ask processes to end, and wait; a further signal ends them at once."""
        asked, until = self._asked, time.monotonic() + grace
        for place in places:
            if place.process is not None:
                place.process.terminate()
        while running := [place.process for place in places if place.process is not None]:
            if self._asked > asked or time.monotonic() > until:
                for process in running:
                    process.kill()
            time.sleep(TICK)
        for place in places:
            place.bury(self._metrics)

    def _ask(self, _signal: int, _frame: FrameType | None) -> None:
        self._asked += 1

    def _make_metrics_folder(self) -> None:
        """Make this service's folder; remove those of services that are gone."""
        for folder in self._metrics.parent.glob(f"{METRICS}*"):
            pid = folder.name.removeprefix(METRICS)
            if pid.isdigit() and not _lives(int(pid)):
                shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(self._metrics, ignore_errors=True)
        self._metrics.mkdir(parents=True)


def listen(host: str, port: int, count: int) -> list[socket.socket]:
    """Return listening sockets of one port; raise BadInput where the address can't be had."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as exc:
        raise BadInput(f"--host {host}: {exc.strerror}; give a name or address") from exc
    found: list[socket.socket] = []
    try:
        with socket.socket(family, kind, protocol) as alone:  # sees a port that others share
            alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            alone.bind(address)
            alone.listen()
        for _ in range(count):
            found.append(socket.socket(family, kind, protocol))
            found[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            found[-1].bind(address)
            address = found[-1].getsockname()  # port 0 is chosen once
        for each in found:
            each.listen(BACKLOG)
    except OSError as exc:
        for each in found:
            each.close()
        raise BadInput(
            f"can't listen on {host} port {port}: {exc.strerror}; choose another with --port"
        ) from exc
    return found


def address_of(listening: socket.socket) -> str:
    """Return the URL of a listening socket."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _summary(states: Sequence[Mapping[str, Any]]) -> str:
    """Say in a line whether the service is ready.

    >>> _summary([{"missing": []}, {"missing": []}]), _summary([{"missing": []}, {}])
    ('ready', '1 of 2 workers serve')
    >>> _summary([{"missing": ["no model"]}, {"missing": ["no model", "no store"]}])
    'not ready: no model; no store'
    """
    serving = [state for state in states if "missing" in state]
    if len(serving) < len(states):
        return f"{len(serving)} of {len(states)} workers serve"
    missing = dict.fromkeys(str(what) for state in serving for what in state["missing"])
    return f"not ready: {'; '.join(missing)}" if missing else "ready"


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
