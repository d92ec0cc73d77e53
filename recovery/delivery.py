"""Delivery: every sink gets the ledger's verdicts in order, at least once, under the same ids.

One thread for each sink, so that one that is slow or dead holds up no other. Where a sink goes on
from is its own word where it can tell, else its cursor. The cursor is written after the sink has
the batch. A lock file for each sink keeps two deliveries from sending to it at once.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from threading import Event, Lock, Thread
from typing import ParamSpec, TypeVar

from recovery.service import Counted, Served, Service
from recovery.sinks import open_sinks
from recovery.sinks.sink import Sink, SinkError, SinkUnreachable
from replay.lake import Lake
from replay.snapshot import Snapshot
from replay.span import now_micros
from replay.tables import VERDICTS

P = ParamSpec("P")
T = TypeVar("T")

STOP_SECONDS = 2.0


@dataclass(frozen=True)
class Delivery:
    """What every sink got, in the order of `replay.toml`."""

    sinks: tuple[Served, ...]

    @property
    def exit_code(self) -> int:
        """The worst of the sinks'."""
        return max((served.exit_code for served in self.sinks), default=0)

    @property
    def problems(self) -> list[str]:
        """One line for each sink that was not served to the end."""
        return [served.error for served in self.sinks if served.error is not None]


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
    as it is configured, before anything is sent. On Ctrl-C the sinks stop after, or within, the
    batch that they are at, and every cursor is right.
    """
    sinks = open_sinks(lake, names)
    snapshot = Snapshot.take(lake, tables=(VERDICTS,))
    stop = Event()
    counted = _one_at_a_time(advance)
    works = [Service(lake, snapshot, sink, stop, counted, clock) for sink in sinks]
    futures = [_start(work.serve, dead_letters) for work in works]
    try:
        return Delivery(tuple(future.result() for future in futures))
    finally:
        stop.set()
        wait(futures, STOP_SECONDS)


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
