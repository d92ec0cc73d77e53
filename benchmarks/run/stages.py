"""Where the time of a run goes: `python -m benchmarks.run.stages HOME FROM TO VERSION`.

Prints JSON: processor seconds of each stage of one run in this process, with one thread and with
nothing overlapped, so that they add up. A stage's seconds are its own: what a stage within it takes
is that one's. What other engines do inside a stage (pyarrow, DuckDB, torch) is in it.

Start it through `measure_stages`, on one core: libraries look how many there are as they load.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, Self, TypeVar

from numba.core.dispatcher import Dispatcher

from replay import causes, reader, run, summary
from replay import engine as features
from replay.diff import Comparison
from replay.keys import KeySpaces
from replay.lake import Lake
from replay.runs import RunFolder
from replay.span import Span
from replay.windows import Counts, Distincts, Gaps
from scorer import decisions
from scorer.scoring import Scorer

P = ParamSpec("P")
R = TypeVar("R")

START, REST = "start of the process", "rest"
# Stage, and where its functions are made; the order is the table's.
STAGES: tuple[tuple[str, tuple[tuple[Any, str], ...]], ...] = (
    ("load compiled kernels", ((Dispatcher, "compile"),)),
    ("look before", ((run, "prepare"),)),
    ("read", ((reader.ClickReader, "read"),)),
    ("order", ((reader, "log_order"),)),
    ("encode keys", ((KeySpaces, "extend"),)),
    ("windows", ((Counts, "advance"), (Distincts, "advance"), (Gaps, "advance"))),
    ("profiles, flags, time", ((features.FeatureEngine, "advance"),)),
    ("score", ((Scorer, "probabilities"),)),
    ("slices and thresholds", ((decisions, "decide"),)),
    ("compare", ((Comparison, "beside"),)),
    ("causes", ((causes.Attribution, "causes"), (Comparison, "logged"))),
    ("write", ((RunFolder, "write_part"),)),
    ("summary", ((summary, "summarise"), (summary, "reconcile"))),
    ("digests", ((RunFolder, "digests"),)),
)
NAMES = (START, *(name for name, _ in STAGES), REST)


@dataclass(frozen=True)
class Stages:
    """Processor seconds of each of NAMES, and what the run counted."""

    seconds: dict[str, float]
    counts: dict[str, int]

    @property
    def total(self) -> float:
        """Processor seconds of the whole process."""
        return sum(self.seconds.values())


class Clock:
    """Gives the passing processor time to the stage that was entered last."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(NAMES, 0.0)
        self._stack = [START]
        self._last = 0.0

    def turn(self, stage: str) -> None:
        """Give what has passed to the present stage, and go on with another at its level."""
        now = time.process_time()
        self.seconds[self._stack[-1]] += now - self._last
        self._stack[-1], self._last = stage, now

    def wrap(self, stage: str, function: Callable[P, R]) -> Callable[P, R]:
        """Return a function whose time is that stage's."""

        @wraps(function)
        def timed(*given: P.args, **named: P.kwargs) -> R:
            outer = self._stack[-1]
            self.turn(outer)
            self._stack.append(stage)
            try:
                return function(*given, **named)
            finally:
                self.turn(stage)
                self._stack.pop()

        return timed


class AtOnce:
    """Stands in for a ThreadPoolExecutor: runs what it is given at once, in this thread."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def submit(self, function: Callable[P, R], *given: P.args, **named: P.kwargs) -> Future[R]:
        """Run a function; its future is done."""
        done: Future[R] = Future()
        try:
            done.set_result(function(*given, **named))
        except Exception as exc:  # noqa: BLE001  whoever asks for the result gets it
            done.set_exception(exc)
        return done

    def map(self, function: Callable[..., R], *given: Iterable[object]) -> Iterator[R]:
        """Run a function on each item, one after the other."""
        return map(function, *given)

    def shutdown(self, *_: object, **__: object) -> None:
        """Do nothing."""


def instrument(clock: Clock) -> None:
    """Wrap the stages, for good, and let nothing work beside them."""
    _exchange(ThreadPoolExecutor, AtOnce)
    for stage, places in STAGES:
        for owner, name in places:
            function = getattr(owner, name)
            timed = clock.wrap(stage, function)
            setattr(owner, name, timed)
            _exchange(function, timed)


def _exchange(old: object, new: object) -> None:
    """Put a thing in place of another in every module of ours that has it."""
    for module in list(sys.modules.values()):
        if module.__name__.partition(".")[0] in ("replay", "scorer"):
            names = [name for name, value in vars(module).items() if value is old]
            vars(module).update(dict.fromkeys(names, new))


def measure(home: Path, span: Span, version: str) -> Stages:
    """Run once, with the clock; compiled kernels and files should be at hand from a run before."""
    lake, request = Lake.open(home), run.Request(version, span, device="cpu")
    clock = Clock()
    clock.turn(REST)
    instrument(clock)
    prepared = run.prepare(lake, request)
    prepared = replace(prepared, plan=replace(prepared.plan, threads=1))
    manifest, _ = run.execute(prepared, lambda _: None)
    clock.turn(REST)
    return Stages(clock.seconds, manifest.counts)


def measure_stages(home: Path, span: Span, version: str) -> Stages:
    """Run in a process of its own, on one core."""
    words = [str(home), str(span.start), str(span.end), version]
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})  # which the process inherits
    try:
        line = [sys.executable, "-m", "benchmarks.run.stages", *words]
        done = subprocess.run(line, check=True, stdout=subprocess.PIPE, text=True)
    finally:
        os.sched_setaffinity(0, cores)
    return Stages(**json.loads(done.stdout))


if __name__ == "__main__":
    _home, _start, _end, _version = sys.argv[1:]
    print(json.dumps(asdict(measure(Path(_home), Span(int(_start), int(_end)), _version))))
