"""A committer in a process of its own, which is killed at a chosen step or at any time."""

import os
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Event

from replay.lake import Lake
from replay.live.committer import Committer
from tests.recovery.kills import Steps

_CONTEXT = get_context("forkserver")
_CONTEXT.set_forkserver_preload(["pytest", "tests.committing", "tests.recovery.kills"])


def _once(root: Path, chosen: int | None, told: Connection | None) -> None:
    """Run one tick, killed before the chosen step; else tell the steps that it took."""
    steps = Steps(str(root), chosen, None)
    steps.watch()
    Committer(Lake.open(root / "lake"), root / "spool").tick()
    if told is not None:
        told.send(steps.seen)
    os._exit(0)


def commit(root: Path, chosen: int | None = None) -> tuple[int | None, list[str]]:
    """Commit in a process of its own; return its exit code, and its steps where it told them."""
    here, there = _CONTEXT.Pipe(duplex=False)
    process = _CONTEXT.Process(target=_once, args=(root, chosen, there))
    process.start()
    there.close()
    try:
        seen: list[str] = here.recv()
    except EOFError:
        seen = []
    process.join()
    return process.exitcode, seen


def _always(root: Path, pause: float) -> None:
    Committer(Lake.open(root / "lake"), root / "spool", every=pause).run(Event())


def start(root: Path, pause: float) -> BaseProcess:
    """Start one that commits every `pause` s until it is killed."""
    process = _CONTEXT.Process(target=_always, args=(root, pause))
    process.start()
    return process
