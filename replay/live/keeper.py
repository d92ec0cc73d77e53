"""The keeper: the one process of a service that opens the lake.

It tells the workers what stands in production, keeps their profile caches up to date, and commits
what they have spooled. Of several keepers on one spool, one does the latter two;
the others stand by. While the lake is away, what was last known stays and the spool fills.
"""

import fcntl
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from typing import IO, TypeVar

from replay.lake import Lake
from replay.live.committer import Committer
from replay.live.delta_log import TableVersion
from replay.live.profile_cache import ProfileCaches
from replay.live.service import Settings, Trouble, start_process
from replay.live.standing import write_standing
from replay.production import models_folder, open_versions, read_production
from replay.span import now_micros
from replay.tables import PROMOTIONS
from scorer.serving.ports import Standing

LOOK_SECONDS = 0.3  # between two looks at what stands in production
CHECK_SECONDS = 2.0  # between two looks at the profile tables
LOCK = ".keeper.lock"
NICE = 10

log = logging.getLogger("keeper")
T = TypeVar("T")


class StandingKeeper:
    """Follows the `promotions` table and the folder of models."""

    def __init__(self, lake: Lake, spool: Path) -> None:
        self._lake, self._spool = lake, spool
        self._promotions = TableVersion(lake.home, PROMOTIONS.name)
        self._seen: tuple[int, int] | None = None
        self._names: tuple[str | None, tuple[str, ...]] = (None, ())

    def look(self, now: int) -> None:
        """Tell the workers what stands at `now` (µs)."""
        seen = (self._promotions.newest(), _changed_at(models_folder(self._lake)))
        if seen != self._seen:
            self._names = self._read()
            self._seen = seen
        write_standing(self._spool, Standing(*self._names, checked_at=now))

    def _read(self) -> tuple[str | None, tuple[str, ...]]:
        """Return the version in production and those to keep warm: the previous, the latest."""
        history = read_production(self._lake)
        stored = open_versions(self._lake).names()
        production = history.production()
        others = [history.previous(), stored[-1] if stored else None]
        warm = dict.fromkeys(name for name in others if name in stored and name != production)
        return production, tuple(name for name in warm if name is not None)


class Keeper:
    """Runs the keeper's duties until it is told to stop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stop = Event()
        self._lock: IO[str] | None = None

    def run(self) -> None:
        """Work until SIGTERM or the supervisor's end; then commit what is spooled."""
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # in every thread from here on
        Thread(target=_outlive, daemon=True).start()
        lake: list[Lake] = []
        trouble = Trouble(log, "the lake can't be opened")
        while not _try(lambda: lake.append(Lake.open(self._settings.home)), trouble):
            if signal.sigtimedwait({signal.SIGTERM}, LOOK_SECONDS):
                return
        committer = Committer(lake[0], self._settings.spool)
        committing = Thread(target=_when_idle, args=(committer.run, self._stop), name="committer")
        for duty in (committing, *self._duties(lake[0])):
            duty.start()
        signal.sigwait({signal.SIGTERM})
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # asked twice, end at once
        self._stop.set()
        committing.join()

    def _duties(self, lake: Lake) -> list[Thread]:
        spool, keep_all = self._settings.spool, self._settings.simulated_time
        standing = StandingKeeper(lake, spool)
        caches = ProfileCaches(lake, spool, keep_all=keep_all)
        return [
            self._duty("production", LOOK_SECONDS, lambda: standing.look(now_micros())),
            self._duty("profiles", CHECK_SECONDS, lambda: _when_idle(self._if_locked, caches)),
        ]

    def _if_locked(self, caches: ProfileCaches) -> None:
        if self._has_lock() and caches.check(now_micros()):
            log.info("made the profile caches anew")

    def _duty(self, name: str, every: float, work: Callable[[], None]) -> Thread:
        """Return a thread that does something again and again, whatever comes between."""
        trouble = Trouble(log, f"{name} can't be kept up to date")

        def repeat() -> None:
            while not self._stop.is_set():
                _try(work, trouble)
                self._stop.wait(every)

        return Thread(target=repeat, name=name, daemon=True)

    def _has_lock(self) -> bool:
        """Return whether this is the keeper of the spool, and become it where there is none."""
        if self._lock is None:
            lock = (self._settings.spool / LOCK).open("a")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.close()
                return False
            self._lock = lock
        return True


def _when_idle(work: Callable[[T], None], given: T) -> None:
    """Work in this thread with processor time that nobody else wants.

    A process that is merely nice may keep a worker that wakes up waiting for some milliseconds.
    """
    if hasattr(os, "SCHED_IDLE"):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    work(given)


def _try(work: Callable[[], None], trouble: Trouble) -> bool:
    """Do something that a lake that is away makes fail; return whether it worked."""
    try:
        work()
    except Exception as exc:
        trouble.met(exc)
        log.debug("in full", exc_info=exc)
        return False
    trouble.over()
    return True


def _outlive() -> None:
    """Stop when the supervisor is gone."""
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


def _changed_at(folder: Path) -> int:
    """Return when a folder's entries changed last, ns; 0 where there is none."""
    try:
        return folder.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


if __name__ == "__main__":
    os.nice(NICE)
    Keeper(start_process("keeper")).run()
    os._exit(0)  # a cache half made is made again, and DuckDB would tell of its open threads
