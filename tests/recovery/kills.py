"""Commands in processes of their own that are killed, at a chosen step or at a chosen time.

A step is a call that may leave something behind: of a seam below, or of the operating system on a
path in the lake's folder. Python's audit events tell of the latter before they happen, so that no
code under test knows of being watched. Killing before every step and before the end leaves each
state that a crash between two steps can leave.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Lock
from typing import Any, NoReturn

from replay.cli import main

# What leaves no audit event: what Arrow and Delta write, what forces bytes to disk, what is sent.
SEAMS = (
    "replay.lake:Lake.append",
    "replay.lake:Lake._commit",
    "replay.parts:_PartWriter.write",
    "replay.parts:_PartWriter.close",
    "recovery.sinks.ndjson:Ndjson.position",
    "recovery.sinks.ndjson:Ndjson.send",
    "os:fsync",
    "os:ftruncate",
    "socket:socket.sendall",
)
AUDITED = ("open", "os.rename", "os.remove", "os.truncate", "os.link", "os.mkdir", "os.rmdir")
PRELOADED = (
    "pytest",
    "tests.recovery.kills",
    "tests.replay.interrupting",
    "tests.warm",
    "replay.console",
    "recovery.delivery",
    "recovery.publishing",
    "recovery.commands.models.calibrate",
    "recovery.commands.models.promote",
    "recovery.commands.models.rollback",
    "recovery.commands.verdicts.deliver",
    "recovery.commands.verdicts.publish",
    "recovery.commands.verdicts.revert",
    "replay.commands.run",
    "replay.commands.train",
)
Main = Callable[[Sequence[str]], NoReturn]
LOST = 255
READ_ONLY = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Steps:
    """Numbers a process's steps from 0.

    Before the `chosen` one it says so to `told`, or kills itself where there is nobody to tell.
    """

    def __init__(self, root: str, chosen: int | None, told: Connection | None) -> None:
        self.seen: list[str] = []
        self._root = root
        self._chosen = chosen
        self._told = told
        self._lock = Lock()

    def step(self, label: str) -> None:
        """Count one more."""
        with self._lock:
            if len(self.seen) == self._chosen:
                if self._told is None:
                    os.kill(os.getpid(), signal.SIGKILL)
                else:
                    self._told.send_bytes(b"here")
            self.seen.append(label)

    def watch(self) -> None:
        """Hear of every step from here on."""
        for seam in SEAMS:
            self._wrap(seam)
        sys.addaudithook(self._audit)

    def _wrap(self, seam: str) -> None:
        module, _, name = seam.partition(":")
        owner: Any = import_module(module)
        *parents, last = name.split(".")
        for parent in parents:
            owner = getattr(owner, parent)
        inner: Callable[..., Any] = getattr(owner, last)

        def outer(*args: object, **kwargs: object) -> object:
            self.step(name)
            return inner(*args, **kwargs)

        setattr(owner, last, outer)

    def _audit(self, event: str, args: tuple[Any, ...]) -> None:
        if event not in AUDITED or not str(args[0]).startswith(self._root):
            return
        if event == "open" and not (args[2] or 0) & READ_ONLY:
            return
        self.step(f"{event} {str(args[0])[len(self._root) :]}")


def _victim(
    begin: Main, argv: Sequence[str], root: str, chosen: int | None, told: Connection | None
) -> None:
    """Run a command of `replay`; where no step is chosen, tell all of them at the end."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (1, 2):
        os.dup2(null, descriptor)
    steps = Steps(root, chosen, told)
    if told is not None or chosen is not None:
        steps.watch()
    code = 0
    try:
        begin(argv)
    except SystemExit as exc:
        code = exc.code if isinstance(exc.code, int) else 1
    steps.step("the end")
    if told is not None and chosen is None:
        told.send(steps.seen)
    sys.stdout.flush()
    os._exit(code)


_CONTEXT = get_context("forkserver")
_CONTEXT.set_forkserver_preload(list(PRELOADED))


@dataclass(frozen=True)
class Command:
    """Arguments of `replay`, all but --home; `main` may prepare the process, and then calls it."""

    argv: tuple[str, ...]
    main: Main = main

    def start(
        self, home: Path, chosen: int | None = None, told: Connection | None = None
    ) -> BaseProcess:
        """Start it in a process of its own."""
        argv = [*self.argv, "--home", str(home)]
        process = _CONTEXT.Process(target=_victim, args=(self.main, argv, str(home), chosen, told))
        process.start()
        return process

    def finish(self, home: Path) -> int | None:
        """Run it to the end; return its exit code.

        Multiprocessing says 255 where its fork server was lost and with it the code, which no
        command gives: then the command is run again, as its user would.
        """
        for _ in range(3):
            process = self.start(home)
            process.join()
            if process.exitcode != LOST:
                break
        return process.exitcode

    def steps(self, home: Path) -> tuple[list[str], float]:
        """Run it to the end; return its steps, and how many seconds it took."""
        started = time.monotonic()
        here, there = _CONTEXT.Pipe(duplex=False)
        process = self.start(home, told=there)
        there.close()
        try:
            found: list[str] = here.recv()
        except EOFError:
            found = []
        process.join()
        if process.exitcode:
            raise AssertionError(f"{self.argv} exited with {process.exitcode}")
        return found, time.monotonic() - started

    def kill_before(self, home: Path, step: int) -> bool:
        """Run it with a kill before a step; tell whether it got there."""
        process = self.start(home, step)
        process.join()
        return process.exitcode == -signal.SIGKILL

    def kill_after(self, home: Path, seconds: float, step: int | None = None) -> bool:
        """Run it and kill it so long after its start, or a step; tell whether it still ran."""
        here, there = _CONTEXT.Pipe(duplex=False)
        process = self.start(home, step, None if step is None else there)
        there.close()
        if step is not None:
            here.poll(None)  # the step, or the end of the process
        process.join(seconds)
        process.kill()
        process.join()
        here.close()
        return process.exitcode == -signal.SIGKILL
