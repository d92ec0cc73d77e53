"""The spool folder: where each worker's segments lie, and which workers live.

    SPOOL/
      flushed-until                up to when (µs) the lake has every click of these workers
      <writer>/lock                a lock that the worker holds for as long as it lives
      <writer>/floor               the worker's floor, while it has nothing to write
      <writer>/<n>.open            the segment being written; its last line may be torn
      <writer>/<n>-<floor>.jsonl   a closed segment, which is on disk

A segment holds one `Answer` a line, as JSON. A worker's *floor* (µs) says: every click of this
worker that is stamped before it is in this segment, or in one that was closed earlier.
"""

import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

LOCK = "lock"
FLOOR = "floor"
FLUSHED = "flushed-until"  # what the committer said last, µs; for the workers
FRESH = ".new-"  # a worker's folder until its lock is held
_BEGINNING = 60.0  # s that a worker may take from its folder to the lock in it
_WRITER = re.compile(r"(\.new-)?.+-\d+-[0-9a-f]{8}")
_SEGMENT = re.compile(r"(\d{10})(?:-(\d+)\.jsonl|\.open)")


@dataclass(frozen=True)
class Segment:
    """A worker's n-th segment; `floor` is None where the worker died before it closed it."""

    path: Path
    number: int
    floor: int | None

    @property
    def writer(self) -> str:
        """The worker that wrote it."""
        return self.path.parent.name

    @property
    def name(self) -> str:
        """Writer and file, as the quarantine and manifests tell it."""
        return f"{self.writer}/{self.path.name}"


@dataclass(frozen=True)
class Writer:
    """A worker's folder as it was found: what it left to read, in order."""

    folder: Path
    alive: bool
    floor: int | None
    segments: tuple[Segment, ...]

    @property
    def open(self) -> bool:
        """Whether its log may still gain clicks that are stamped in the past."""
        return self.alive or bool(self.segments)


def open_name(number: int) -> str:
    """Name the segment being written.

    >>> open_name(7)
    '0000000007.open'
    """
    return f"{number:010d}.open"


def closed_name(number: int, floor: int) -> str:
    """Name a closed segment.

    >>> closed_name(7, 1772323200000000)
    '0000000007-1772323200000000.jsonl'
    """
    return f"{number:010d}-{max(floor, 0)}.jsonl"


def find_writers(spool: Path) -> list[Writer]:
    """Look at every worker's folder; of a living worker only the closed segments count."""
    return [_look(folder) for folder in _folders(spool) if not folder.name.startswith(FRESH)]


def remove_empty(spool: Path) -> None:
    """Remove the folders of dead workers that hold nothing to read."""
    for folder in _folders(spool):
        begun = folder.name.startswith(FRESH) and time.time() - folder.stat().st_mtime < _BEGINNING
        if not begun and not is_alive(folder) and not _segments(folder, alive=False):
            for name in (FLOOR, f"{FLOOR}.new", LOCK):
                (folder / name).unlink(missing_ok=True)
            with suppress(OSError):  # somebody else's file in it
                folder.rmdir()


def is_alive(folder: Path) -> bool:
    """Tell whether a worker holds its folder's lock."""
    try:
        handle = os.open(folder / LOCK, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _folders(spool: Path) -> Iterator[Path]:
    for path in sorted(spool.iterdir()):
        if _WRITER.fullmatch(path.name):
            yield path


def _look(folder: Path) -> Writer:
    alive = is_alive(folder)
    floor = _floor(folder)  # before the segments: each that it speaks of is then there to see
    segments = _segments(folder, alive=alive)
    floors = [s.floor for s in segments if s.floor is not None]
    return Writer(
        folder, alive, max([*floors, *(() if floor is None else (floor,))], default=None), segments
    )


def _floor(folder: Path) -> int | None:
    try:
        return int((folder / FLOOR).read_text())
    except (FileNotFoundError, ValueError):
        return None


def _segments(folder: Path, *, alive: bool) -> tuple[Segment, ...]:
    found = []
    for path in folder.iterdir():
        match = _SEGMENT.fullmatch(path.name)
        if match and not (alive and match[2] is None):
            floor = None if match[2] is None else int(match[2])
            found.append(Segment(path, int(match[1]), floor))
    return tuple(sorted(found, key=lambda segment: segment.number))
