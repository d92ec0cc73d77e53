"""Delivery: every sink gets the ledger's verdicts in order, at least once, under the same ids.

One thread for each sink, so that one that is slow or dead holds up no other. Where a sink goes on
from is its own word where it can tell, else its cursor. The cursor is written after the sink has
the batch. A lock file for each sink keeps two deliveries from sending to it at once.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import closing
from threading import Event, Lock, Thread
from typing import ParamSpec, TypeVar

import duckdb

from recovery.delivered import Delivery, Served
from recovery.documents import documents, gathered, same_verdict
from recovery.ledger import head, read_ledger
from recovery.letters import Again, Pending
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
from recovery.turns import alone
from replay.cursors import Cursor, DeadLetter, cursor_path, read_cursor, write_cursor
from replay.lake import Lake
from replay.snapshot import Snapshot, connect, reading
from replay.span import now_micros
from replay.tables import VERDICTS
from scorer.errors import ReplayError

P = ParamSpec("P")
T = TypeVar("T")

STOP_SECONDS = 2.0

Counted = Callable[[int], None]
Say = Callable[[str], None]


class Stopped(Exception):
    """The delivery was told to stop."""


def deliver(
    lake: Lake,
    names: Sequence[str] | None = None,
    *,
    dead_letters: bool = False,
    advance: Counted = lambda _: None,
    say: Say = lambda _: None,
    clock: Callable[[], int] = now_micros,
) -> Delivery:
    """Send each sink (or those named) what it does not have yet, and its dead letters on demand.

    Waits until every sink was served, or failed: that is in the report, not raised. `advance` hears
    how many verdicts more were sent, `say` what is waited for; `clock` gives µs. Raises BadSink
    where a sink cannot be used as it is configured, before anything is sent. On Ctrl-C the sinks
    stop after the batch that they are at, or within it where that takes long, and every cursor is
    right.
    """
    sinks = open_sinks(lake, names)
    stop = Event()
    counted, said = _one_at_a_time(advance), _one_at_a_time(say)
    works = [_Service(lake, sink, stop, counted, said, clock) for sink in sinks]
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


def _one_at_a_time(hears: Callable[[T], None]) -> Callable[[T], None]:
    lock = Lock()

    def locked(what: T) -> None:
        with lock:
            hears(what)

    return locked


class _Service:
    """One sink's delivery."""

    def __init__(
        self,
        lake: Lake,
        sink: Sink,
        stop: Event,
        advance: Counted,
        say: Say,
        clock: Callable[[], int],
    ) -> None:
        self._lake, self._sink, self._say = lake, sink, say
        self._stop, self._advance, self._clock = stop, advance, clock
        self._kind = str(lake.config.sinks[sink.name]["kind"])
        self._cursor = Cursor(sink=sink.name, kind=self._kind)
        self._head = 0
        self._first: int | None = None
        self._sent = 0

    def serve(self, dead_letters: bool) -> Served:
        """Deliver to the end, or until the sink fails."""
        started, error = time.monotonic(), None
        try:
            with alone(self._lake, self._sink.name, self._pause, self._say), closing(self._sink):
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
                letters = self._cursor.dead_letters if dead_letters else ()
                self._send_new(connection, may_leave=held is None)
                self._resend(connection, letters)
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
        """Send what stands after the cursor, which passes what the sink refused with what it took.

        A sink that tells its own place is left no gap: it could not be filled later.
        """
        pending = Pending(self._clock)
        for batch in self._batches(connection, self._cursor.ledger_seq, self._head):
            try:
                self._send(batch)
            except SinkRefused as exc:
                if not may_leave:
                    raise
                pending.refused(batch, exc)
            else:
                passed = self._cursor.beyond(*pending.taken())
                self._move(passed.delivered(batch.last, self._clock()))
        self._move(self._cursor.beyond(*pending.at_end()))

    def _resend(self, connection: duckdb.DuckDBPyConnection, letters: Sequence[DeadLetter]) -> None:
        """Send dead letters again, those that were refused longest ago first."""
        again = Again(self._cursor, self._send, self._move, self._clock, up=self._sent > 0)
        for letter in sorted(letters, key=lambda one: one.at):
            for batch in self._batches(connection, letter.first - 1, letter.last):
                again.send(letter, batch)
        again.end()

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
        self._first = min(batch.first, self._first or batch.first)
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
