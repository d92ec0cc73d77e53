"""A worker's end of the log: answers go through a queue and a thread into segments on disk.

`put` runs on the service's event loop and touches no file. The thread writes what is queued every
50 ms (`flush_every`), and closes its segment every second: syncs it and gives it its floor.

What is lost: nothing on SIGTERM, where the service calls `close`; on kill -9 what was answered in
the last `flush_every` and had not been written; on a power cut what was answered since the last
segment was closed. With the disk full or failing the service is told that there is no room,
answers that it gives all the same wait in memory, and the thread tries on until they are written.

The floor rests on clocks: a click is stamped no earlier than it arrived, less `SLACK` and less the
most that a stamp was seen to lie before its arrival in the last minutes.
"""

import fcntl
import logging
import os
import re
import secrets
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import TypeAdapter

from replay.durable import keep, put_whole
from replay.errors import LakeUnwritable
from replay.live.segments import FLOOR, FRESH, LOCK, closed_name, open_name
from replay.span import now_micros
from scorer.serving.ports import Answer

SLACK = 1_000_000  # µs that the store's clock and the service's may differ without being seen
FORGOTTEN = 60_000_000  # µs after which a click that was never put holds the floor no longer
REMEMBERED = 600_000_000  # µs for which a stamp that lay before its arrival counts

_LOG = logging.getLogger(__name__)
_TO_JSON = TypeAdapter(Answer).serializer.to_json


class Spool:
    """Implements `scorer.serving.ports.DecisionLog`; one for each worker process."""

    def __init__(
        self,
        spool: Path,
        *,
        flush_every: float = 0.05,
        rotate_every: float = 1.0,
        limit: int = 50_000,
        reserve: int = 64 << 20,
        clock: Callable[[], int] = now_micros,
    ) -> None:
        """Make the worker's folder and start the thread.

        There is room for `limit` answers in memory (about 1 KB each), and for as long as `reserve`
        bytes of the disk stay free. Raises LakeUnwritable where the folder cannot be made.
        """
        self._clock = clock
        self._flush_every, self._rotate_every = flush_every, rotate_every
        self._limit, self._reserve = limit, reserve
        self._queue: deque[bytes] = deque()
        self._awaited: dict[int, int] = {}  # arrival -> clicks not put yet
        self._behind = _Behind(clock())
        self._files = _Segments(*_own_folder(spool, clock() - SLACK))
        self._tight = False
        self._problem: str | None = None
        self._closing = threading.Event()
        self._deadline = float("inf")
        self._thread = threading.Thread(target=self._work, name="spool", daemon=True)
        self._thread.start()

    @property
    def folder(self) -> Path:
        """The worker's own folder."""
        return self._files.folder

    @property
    def waiting(self) -> int:
        """How many answers are not written yet."""
        return len(self._queue) + self._files.held

    @property
    def problem(self) -> str | None:
        """What keeps the disk from taking answers, in words; None where nothing does."""
        return self._problem

    def has_room(self) -> bool:
        """Return False while the disk takes nothing or is nearly full, or the queue is full."""
        return self._problem is None and len(self._queue) < self._limit

    def opened(self, arrived: int, count: int) -> None:
        """Hear that `count` clicks arrived at `arrived` (µs); they hold the floor until put."""
        self._awaited[arrived] = self._awaited.get(arrived, 0) + count

    def put(self, answers: Sequence[Answer], arrived: int) -> None:
        """Queue answers on clicks that arrived at `arrived` (µs); takes about 5 µs for each.

        Raises RuntimeError once the spool is closed.
        """
        if self._closing.is_set():
            raise RuntimeError("the spool is closed: an answer came too late to be logged")
        self._queue.extend([_TO_JSON(answer) + b"\n" for answer in answers])
        for answer in answers:
            if arrived > answer.ts and not answer.repeated:
                self._behind.saw(arrived - answer.ts)
        # Only now: whoever sees the floor pass them must find them in the queue.
        left = self._awaited.get(arrived, 0) - len(answers)
        if left > 0:
            self._awaited[arrived] = left
        else:
            self._awaited.pop(arrived, None)

    def close(self, patience: float = 10.0) -> int:
        """Write what is left, for at most `patience` s; return how many answers that lost.

        Call it when no answer is on its way any more.
        """
        self._deadline = time.monotonic() + patience
        self._closing.set()
        self._thread.join()
        if self.waiting:
            _LOG.error("%d answers are lost: %s", self.waiting, self._problem)
        self._files.leave()
        return self.waiting

    def _work(self) -> None:
        rotated = time.monotonic()
        while True:
            ending = self._closing.wait(self._flush_every)
            due = ending or time.monotonic() >= rotated + self._rotate_every
            if self._step(rotate=due) and due:
                rotated = time.monotonic()
            if ending and (not self.waiting or time.monotonic() >= self._deadline):
                return
            if ending:
                time.sleep(self._flush_every)

    def _step(self, *, rotate: bool) -> bool:
        """Write what is queued, and close the segment with `rotate`; tell whether that worked."""
        floor = self._floor() if rotate else 0
        try:
            self._files.write()
            self._files.take([self._queue.popleft() for _ in range(len(self._queue))])
            self._files.write()
            if rotate:
                self._files.rotate(floor)
            free = os.statvfs(self._files.folder)
        except OSError as exc:
            self._say(f"{self._files.folder} cannot be written: {exc.strerror}")
            return False
        tight = free.f_bavail * free.f_frsize < self._reserve
        self._say(f"the disk of {self._files.folder} is nearly full" if tight else None)
        return True

    def _say(self, problem: str | None) -> None:
        if problem and not self._problem:
            _LOG.error("%s; requests are refused until it can be", problem)
        elif self._problem and not problem:
            _LOG.warning("%s takes answers again", self._files.folder)
        self._problem = problem

    def _floor(self) -> int:
        """Return what no click is stamped before that is not queued yet, µs."""
        present = self._clock()
        awaited = list(self._awaited)
        for arrived in [each for each in awaited if each < present - FORGOTTEN]:
            _LOG.error("%d clicks of %d were never put", self._awaited.pop(arrived, 0), arrived)
            awaited.remove(arrived)
        return min(awaited, default=present) - SLACK - self._behind.most(present)


class _Behind:
    """By how much stamps lay before their clicks' arrival, at most, in 10 to 20 minutes."""

    def __init__(self, at: int) -> None:
        self._since, self._last, self._current = at, 0, 0

    def saw(self, micros: int) -> None:
        self._current = max(self._current, micros)

    def most(self, at: int) -> int:
        if at >= self._since + REMEMBERED:
            self._since, self._last, self._current = at, self._current, 0
        return max(self._last, self._current)


class _Segments:
    """The files of a worker; what could not be written yet is held."""

    def __init__(self, folder: Path, lock: int) -> None:
        self.folder = folder
        self.held = 0
        self._lock = lock
        self._number = 0
        self._file: int | None = None
        self._rest = b""
        self._lines: list[bytes] = []

    def take(self, lines: list[bytes]) -> None:
        self.held = len(lines)
        self._rest = b"".join(lines)

    def write(self) -> None:
        """Write what is held; after an error the file may end within a line, and goes on there."""
        if not self._rest:
            return
        if self._file is None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            self._file = os.open(self.folder / open_name(self._number), flags, 0o644)
        while self._rest:
            self._rest = self._rest[os.write(self._file, self._rest) :]
        self.held = 0

    def rotate(self, floor: int) -> None:
        """Close the segment, on disk; where it is empty only tell the floor."""
        if self._file is None:
            put_whole(self.folder / FLOOR, str(max(floor, 0)), lasting=False)
            return
        os.fsync(self._file)
        path = self.folder / open_name(self._number)
        path.rename(self.folder / closed_name(self._number, floor))
        # From here on the segment is the committer's, who may have read it: nothing is added.
        os.close(self._file)
        self._file = None
        self._number += 1
        keep([self.folder])

    def leave(self) -> None:
        """Let go of the lock: what lies here is then the committer's."""
        if self._file is not None:
            os.close(self._file)
        os.close(self._lock)


def _own_folder(spool: Path, floor: int) -> tuple[Path, int]:
    """Make a folder for this process, its lock held from the first moment that it is seen."""
    host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())[:64]
    name = f"{host}-{os.getpid()}-{secrets.token_hex(4)}"
    fresh = spool / f"{FRESH}{name}"
    try:
        fresh.mkdir(parents=True)
        lock = os.open(fresh / LOCK, os.O_WRONLY | os.O_CREAT, 0o644)
        fcntl.flock(lock, fcntl.LOCK_EX)
        put_whole(fresh / FLOOR, str(max(floor, 0)), lasting=False)
        fresh.rename(spool / name)
        keep([spool / name])
    except OSError as exc:
        raise LakeUnwritable(f"{exc.filename or spool} cannot be written: {exc.strerror}") from exc
    return spool / name, lock
