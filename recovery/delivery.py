"""Delivery: every sink gets the ledger's verdicts in order, at least once, under the same ids.

One thread for each sink, so that one that is slow or dead holds up no other. Where a sink goes on
from is its own word where it can tell, else its cursor. The cursor is written after the sink has
the batch. A lock file for each sink keeps two deliveries from sending to it at once.
"""

import fcntl
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import closing, contextmanager
from threading import Event, Lock, Thread
from typing import ParamSpec, TypeVar

import duckdb

from recovery.delivered import Delivery, Served
from recovery.documents import documents, gathered, same_verdict
from recovery.ledger import head, read_ledger
from recovery.sinks import open_sinks
from recovery.sinks.sink import (
    Batch,
    ForeignSink,
    Held,
    Sink,
    SinkError,
    SinkRefused,
    SinkUnreachable,
)
from replay.cursors import Cursor, DeadLetter, cursor_path, read_cursor, write_cursor
from replay.lake import Lake, writing
from replay.snapshot import Snapshot, connect, reading
from replay.span import now_micros, to_datetime
from replay.tables import VERDICTS
from scorer.errors import ReplayError

P = ParamSpec("P")
T = TypeVar("T")

LOCK_SECONDS = 0.05
STOP_SECONDS = 2.0

Counted = Callable[[int], None]


class Stopped(Exception):
    """The delivery was told to stop."""


def deliver(
    lake: Lake,
    names: Sequence[str] | None = None,
    *,
    dead_letters: bool = False,
    advance: Counted = lambda _: None,
    clock: Callable[[], int] = now_micros,
) -> Delivery:
    """Send each sink (or those named) what it does not have yet, and its dead letters on demand.

    Waits until every sink was served, or failed: that is in the report, not raised. `advance` hears
    how many verdicts more were sent; `clock` gives µs. Raises BadSink where a sink cannot be used
    as it is configured, before anything is sent. On Ctrl-C the sinks stop after the batch that
    they are at, or within it where that takes long, and every cursor is right.
    """
    sinks = open_sinks(lake, names)
    stop = Event()
    counted = _one_at_a_time(advance)
    works = [_Service(lake, sink, stop, counted, clock) for sink in sinks]
    futures = [_start(work.serve, dead_letters) for work in works]
    try:
        wait(futures)
    finally:
        stop.set()
        if wait(futures, STOP_SECONDS).not_done:
            for sink in sinks:
                sink.interrupt()
            wait(futures, STOP_SECONDS)
    return Delivery(tuple(future.result() for future in futures))


def check_sinks(sinks: Sequence[Sink]) -> None:
    """Raise SinkUnreachable where a sink can't take anything now; asks all of them at once.

    Names every sink that is away; changes nothing. Lets go of the connections that it made.
    """
    futures = [_start(_check, sink) for sink in sinks]
    problems = [problem for future in futures if (problem := future.result()) is not None]
    if problems:
        raise SinkUnreachable("; ".join(problems))


def _check(sink: Sink) -> str | None:
    try:
        sink.check()
    except SinkError as exc:
        return str(exc)
    finally:
        sink.close()
    return None


def _start(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
    """Run in a thread that does not keep the process alive once it is told to end."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work(*args, **kwargs))
        except BaseException as exc:  # noqa: BLE001  raised again where the result is asked for
            future.set_exception(exc)

    Thread(target=run, daemon=True).start()
    return future


def _one_at_a_time(advance: Counted) -> Counted:
    lock = Lock()

    def counted(units: int) -> None:
        with lock:
            advance(units)

    return counted


class _Service:
    """One sink's delivery."""

    def __init__(
        self,
        lake: Lake,
        sink: Sink,
        stop: Event,
        advance: Counted,
        clock: Callable[[], int],
    ) -> None:
        self._lake, self._sink = lake, sink
        self._stop, self._advance, self._clock = stop, advance, clock
        self._kind = str(lake.config.sinks[sink.name]["kind"])
        self._cursor = Cursor(sink=sink.name, kind=self._kind)
        self._head = 0
        self._first: int | None = None
        self._sent = self._left_behind = 0

    def serve(self, dead_letters: bool) -> Served:
        """Deliver to the end, or until the sink fails."""
        started, error = time.monotonic(), None
        try:
            with self._alone(), closing(self._sink):
                # Not before: whoever had the lock may have sent what was published meanwhile.
                self._snapshot = Snapshot.take(self._lake, tables=(VERDICTS,))
                self._head = head(self._snapshot)
                with reading(self._snapshot):
                    error = self._serve(dead_letters)
        except ReplayError as exc:  # its cursor can't be read, written or locked
            error = str(exc)
        return Served(
            self._sink.name,
            self._kind,
            self._sink.where,
            self._sent,
            self._first,
            self._cursor.ledger_seq,
            self._head,
            self._left_behind,
            self._cursor.dead_letters,
            error,
            time.monotonic() - started,
        )

    def _serve(self, dead_letters: bool) -> str | None:
        self._cursor = read_cursor(self._lake, self._sink.name, self._kind)
        try:
            held = self._sink.position()
            self._move(self._cursor.at_place(self._place(held)))
            with connect(1) as connection:
                if dead_letters:
                    self._resend(connection)
                self._send_new(connection, may_leave=held is None)
        except SinkError as exc:
            self._move(self._cursor.failed(str(exc), self._clock()))
            return str(exc)
        self._move(self._cursor.model_copy(update={"error": None}))
        return None

    def _place(self, held: Held | None) -> int:
        """Return the number up to which the sink has everything; raise ForeignSink where none."""
        place = self._cursor.ledger_seq if held is None else held.ledger_seq
        name = self._sink.name
        if place > self._head:
            raise ForeignSink(
                f"sink {name!r}: {self._sink.where} is at verdict {place:,} and the ledger ends at "
                f"{self._head:,}: it is of another ledger, or the lake of an older copy. Give the "
                "sink a place of its own"
                + (f", or remove {cursor_path(self._lake, name)}" if held is None else "")
            )
        if held and held.document and not same_verdict(held.document, self._snapshot, place):
            raise ForeignSink(
                f"sink {name!r}: {self._sink.where} has another verdict {place:,} than this "
                "ledger; give the sink a place of its own"
            )
        return place

    def _send_new(self, connection: duckdb.DuckDBPyConnection, *, may_leave: bool) -> None:
        """Send what stands after the cursor.

        A batch that the sink refuses becomes a dead letter where the sink took something since the
        last one: what refuses everything is down, and waits where it is.
        """
        for batch in self._batches(connection, self._cursor.ledger_seq, self._head):
            try:
                self._send(batch)
            except SinkRefused as exc:
                if not may_leave or self._cursor.after_dead_letter:
                    raise
                self._move(self._cursor.beyond(self._letter(batch.first, batch.last, exc)))
                self._left_behind += len(batch)
            else:
                self._move(self._cursor.delivered(batch.last, self._clock()))

    def _resend(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Send the dead letters again; the sink may refuse each anew."""
        for letter in self._cursor.dead_letters:
            try:
                for batch in self._batches(connection, letter.first - 1, letter.last):
                    self._send(batch)
            except SinkRefused as exc:
                again = self._letter(letter.first, letter.last, exc, letter.attempts)
                self._move(self._cursor.without(letter).beyond(again))
                self._left_behind += letter.verdicts
            else:
                self._move(self._cursor.without(letter))

    def _letter(self, first: int, last: int, exc: SinkRefused, before: int = 0) -> DeadLetter:
        return DeadLetter(
            first=first,
            last=last,
            attempts=before + exc.attempts,
            error=str(exc),
            at=to_datetime(self._clock()),
        )

    def _batches(
        self, connection: duckdb.DuckDBPyConnection, after: int, upto: int
    ) -> Iterator[Batch]:
        for rows in gathered(read_ledger(self._snapshot, after, upto), self._sink.rows):
            for batch in Batch(rows, documents(connection, rows)).cut(self._sink.rows):
                self._pause(0)
                yield batch

    def _send(self, batch: Batch) -> None:
        try:
            self._sink.send(batch, self._pause)
        except SinkError:
            self._pause(0)  # one that was interrupted has refused nothing
            raise
        self._first = batch.first if self._first is None else self._first
        self._sent += len(batch)
        self._advance(len(batch))

    def _pause(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise Stopped

    def _move(self, cursor: Cursor) -> None:
        """Write a cursor that differs from the one before."""
        if cursor != self._cursor:
            write_cursor(self._lake, cursor)
            self._cursor = cursor

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the sink's lock; wait while another delivery has it."""
        path = cursor_path(self._lake, self._sink.name).with_suffix(".lock")
        with writing(path):
            path.parent.mkdir(exist_ok=True)
            handle = path.open("a")
        with handle:
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    self._pause(LOCK_SECONDS)
            yield
