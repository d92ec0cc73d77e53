"""A file of verdicts, one JSON document a line, appended to a whole batch at a time."""

import json
import os
from io import FileIO
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from recovery.sinks.options import place
from recovery.sinks.sink import Batch, ForeignSink, Held, Pause, SinkRefused, SinkUnreachable
from replay.durable import keep

BATCH_ROWS = 32_768
BLOCK = 1 << 16
BEGINNING = b'{"verdict_id":"'


class NdjsonOptions(BaseModel):
    """`path` is relative to the lake's folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str


class Ndjson:
    """A file whose last complete line says how far it is.

    What stands after that line is a batch that a crash cut off: the next batch overwrites it. A
    file that was removed or emptied gets every verdict again.
    """

    Options: ClassVar[type[BaseModel]] = NdjsonOptions

    def __init__(self, name: str, options: NdjsonOptions, home: Path) -> None:
        self.name = name
        self.path = Path(os.path.normpath(place("path", options.path, home)))
        self.rows = BATCH_ROWS
        self._end = 0

    @property
    def where(self) -> str:
        """The file."""
        return str(self.path)

    def check(self) -> None:
        """Raise SinkUnreachable where the file can be neither made nor appended to."""
        try:
            there = self.path.exists()
            reason = "is a folder" if self.path.is_dir() else "cannot be written"
            holder = self.path if there else self.path.parent
            usable = self.path.parent.is_dir() and os.access(holder, os.W_OK)
        except OSError as exc:  # a name that is too long
            usable, reason = False, f"cannot be written: {exc.strerror}"
        if not usable or self.path.is_dir():
            raise SinkUnreachable(
                f"sink {self.name!r}: {self.path} {reason}; its folder must be there, and both "
                "writable"
            )

    def position(self) -> Held:
        """Read the last complete line; raise ForeignSink where it is no verdict."""
        self._end = 0
        try:
            with self.path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                self._end = _line_end(file.fileno(), size)
                start = _line_end(file.fileno(), self._end - 1) if self._end else 0
                line = os.pread(file.fileno(), self._end - start, start)
                torn = os.pread(file.fileno(), len(BEGINNING), self._end)
                os.fsync(file.fileno())  # who wrote it may have died before
        except FileNotFoundError:
            return Held(0)
        except OSError as exc:
            raise SinkUnreachable(
                f"sink {self.name!r}: {self.path} cannot be read: {exc.strerror}"
            ) from exc
        if not self._end:
            if not BEGINNING.startswith(torn.rstrip(b"\0")):
                raise self._foreign()
            return Held(0)
        try:
            number = json.loads(line)["ledger_seq"]
        except (ValueError, KeyError, TypeError):
            raise self._foreign() from None
        if type(number) is not int or number < 1:
            raise self._foreign()
        return Held(number, line)

    def send(self, batch: Batch, pause: Pause) -> None:
        """Append the batch and wait until the disk has it; on an error, take it back."""
        data = ("\n".join(batch.texts()) + "\n").encode()
        new = not self.path.exists()
        try:
            with self.path.open("ab", buffering=0) as file:
                if file.seek(0, os.SEEK_END) < self._end:
                    raise SinkRefused(
                        f"sink {self.name!r}: {self.path} was cut or replaced during the "
                        "delivery; run `replay verdicts deliver` again"
                    )
                file.truncate(self._end)
                try:
                    _write(file, data)
                except OSError:
                    file.truncate(self._end)
                    raise
            if new:
                keep([self.path])
        except OSError as exc:
            raise SinkRefused(
                f"sink {self.name!r}: {self.path} cannot be written: {exc.strerror}; it keeps what "
                "it had. Make room and run `replay verdicts deliver`"
            ) from exc
        self._end += len(data)

    def interrupt(self) -> None:
        """It never waits."""

    def close(self) -> None:
        """Nothing is held open."""

    def _foreign(self) -> ForeignSink:
        return ForeignSink(
            f"sink {self.name!r}: {self.path} is not a file of this sink: its last line is no "
            "verdict; give the sink a path of its own"
        )


def _write(file: FileIO, data: bytes) -> None:
    """Write all of it, and wait until the disk has it."""
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]
    os.fsync(file.fileno())


def _line_end(descriptor: int, size: int) -> int:
    """Return the place after the last line break among the first `size` bytes; 0 if none."""
    end = size
    while end > 0:
        start = max(end - BLOCK, 0)
        found = os.pread(descriptor, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0
