"""One row of the table: a load on a service, and what the machine did meanwhile."""

import contextlib
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

from benchmarks.serving.jitter import Jitter, Watch
from benchmarks.serving.lake import SECOND, promote
from benchmarks.serving.run import Outcome, Plan, finish, start
from benchmarks.serving.stack import Stack

SHARE = 0.999
SPIN = 2.0  # s
SCRAPE = 10.0  # s
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Swap:
    """A promotion during a load; from the pointer's move on, in s, null where there was no answer.

    `first` is when the new version answered first, `last` when the old one did last.
    """

    first: float | None
    last: float | None


@dataclass(frozen=True)
class Row:
    """A load; `cores` is how much of a core each process took, `stolen` what the host kept (s)."""

    name: str
    workers: int
    plan: Plan
    outcome: Outcome
    cores: Mapping[str, float]
    before: list[Jitter]
    during: list[Jitter]
    after: list[Jitter]
    stolen: float
    load: float
    swap: Swap | None = None

    @property
    def failed(self) -> int:
        """Requests without a 200, or without any answer."""
        return self.outcome.requests - self.outcome.statuses.get("200", 0)

    @property
    def undecided(self) -> int:
        """Clicks answered `undecided`."""
        return sum(n for r, n in self.outcome.reasons.items() if r.startswith("undecided"))

    @property
    def in_time(self) -> float:
        """The share of requests that were decided, and answered within 5 ms."""
        return self.outcome.in_time / self.outcome.requests

    @property
    def met(self) -> bool:
        """Whether 99.9% were in time; `undecided` at the deadline is not, however fast."""
        return self.in_time >= SHARE and not self.failed and not self.outcome.wrong


def measure(name: str, stack: Stack, workers: int, plan: Plan, swap: bool = False) -> Row:
    """Run a load on a service, with a promotion in its middle where `swap` says so.

    Meanwhile the service's metrics are asked for every ten seconds.
    """
    load = os.getloadavg()[0]
    before = Watch("spin", SPIN).result()
    process = start(plan)
    used, stolen, began = stack.processor_seconds(), _stolen(), time.monotonic()
    watch = Watch("sample", plan.seconds)
    moved: list[int] = []
    promoting = threading.Timer(plan.seconds / 2, _promote, (stack.home, moved))
    if swap:
        promoting.start()
    over = threading.Event()
    scraping = threading.Thread(target=_scrape, args=(stack.port, over))
    scraping.start()
    outcome = finish(process)
    over.set()
    for thread in (scraping, promoting) if swap else (scraping,):
        thread.join()
    seconds = time.monotonic() - began
    spent = {part: now - used.get(part, 0) for part, now in stack.processor_seconds().items()}
    spent["generator"] = outcome.processor_seconds
    during = watch.result()
    return Row(
        name,
        workers,
        plan,
        outcome,
        {part: round(each / seconds, 3) for part, each in spent.items()},
        before,
        during,
        Watch("spin", SPIN).result(),
        _stolen() - stolen,
        load,
        _swapped(outcome, moved[0]) if moved else None,
    )


def _scrape(port: int, over: threading.Event) -> None:
    """Ask for the figures now and then, as Prometheus would."""
    while not over.wait(SCRAPE):
        with contextlib.closing(HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
            connection.request("GET", "/metrics")
            connection.getresponse().read()


def _promote(home: Path, moved: list[int]) -> None:
    """Promote, and note when the pointer moved: when the commit's file was written."""
    promote(home, SECOND)
    newest = max((home / "promotions" / "_delta_log").glob("*.json"))
    offset = time.time_ns() - time.monotonic_ns()
    moved.append(newest.stat().st_mtime_ns - offset)


def _swapped(outcome: Outcome, moved: int) -> Swap:
    new = outcome.versions.get(SECOND)
    old = [last for version, (_, last) in outcome.versions.items() if version != SECOND]
    return Swap(
        (new[0] - moved) / 1e9 if new else None, (max(old) - moved) / 1e9 if old and new else None
    )


def _stolen() -> float:
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    return int(fields[8]) / TICKS
