"""Several publishers at once, and a disk that is full: the ledger is as if they had taken turns."""

import resource
import signal
from collections.abc import Callable, Sequence
from itertools import permutations
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from shutil import rmtree
from typing import Protocol

import pytest

from recovery.publishing import publish, revert
from recovery.reconcile import reconcile
from replay.lake import Lake
from replay.snapshot import Snapshot
from replay.span import now_micros
from scorer.errors import ReplayError
from tests.oracles.ledger import Ledger
from tests.recovery.ledgers import (
    SPANS,
    Base,
    Said,
    again,
    all_terms,
    assert_ledger,
    base,
    replayed,
    stored,
)
from tests.versions import HOUR, START

CALLS = {"publish": publish, "revert": revert}
NOW = START + 100 * HOUR
_CONTEXT = get_context("forkserver")
_CONTEXT.set_forkserver_preload(["pytest", "tests.recovery.test_publishers"])


class Waits(Protocol):
    """A barrier."""

    def wait(self) -> int: ...


def _publisher(home: str, action: str, run_id: str, start: Waits, said: Connection) -> None:
    lake = Lake.open(Path(home))
    start.wait()
    try:
        CALLS[action](lake, run_id, all_terms(rebill=True), NOW)
        said.send("")
    except ReplayError as exc:
        said.send(str(exc))


def at_once(lake: Lake, steps: Sequence[tuple[str, str]]) -> list[str]:
    """Do the steps (action, run id) in a process each, at once; return what each said."""
    barrier = _CONTEXT.Barrier(len(steps))
    pipes, processes = [], []
    for action, run_id in steps:
        here, there = _CONTEXT.Pipe(duplex=False)
        given = (str(lake.home), action, run_id, barrier, there)
        processes.append(_CONTEXT.Process(target=_publisher, args=given))
        processes[-1].start()
        there.close()
        pipes.append(here)
    said = [pipe.recv() for pipe in pipes]
    for process in processes:
        process.join()
    return said


@pytest.fixture(scope="module")
def origin() -> Base:
    """The lake that every round starts from."""
    return base(1)


Round = tuple[Lake, Ledger, list[Said]]


@pytest.fixture
def begin(origin: Base, tmp_path: Path) -> Callable[[int], Round]:
    """Return what makes a fresh lake with four overlapping runs, and its oracle."""

    def fresh(number: int) -> Round:
        lake = origin.copy(tmp_path / str(number))
        oracle = origin.ledger()
        pairs = [("two", 0), ("three", 1), ("four", 2), ("three", 0)]
        runs = [replayed(lake, origin, oracle, model, SPANS[span]) for model, span in pairs]
        if not (lake.home / "runs" / runs[0].run_id).exists():
            runs = [again(lake, said, Snapshot.take(lake).versions) for said in runs]
        return lake, oracle, runs

    return fresh


def act(oracle: Ledger, step: tuple[str, str], runs: Sequence[Said]) -> None:
    """Do a step on the oracle's ledger."""
    action, run_id = step
    if action == "revert":
        oracle.revert(run_id, NOW, rebill=True)
        return
    (said,) = (one for one in runs if one.run_id == run_id)
    oracle.publish(run_id, said.decisions, NOW, rebill=True)


def check_serial(
    lake: Lake, oracle: Ledger, steps: Sequence[tuple[str, str]], runs: Sequence[Said]
) -> None:
    """The ledger is what the steps give in one order or another."""
    rows = stored(lake)
    for order in permutations(steps):
        end = oracle.copy()
        for step in order:
            act(end, step, runs)
        if [v.verdict_id for v in end.verdicts] == [r["verdict_id"] for r in rows] and [
            v.run_id for v in end.verdicts
        ] == [r["run_id"] for r in rows]:
            assert_ledger(lake, end)
            assert reconcile(lake).reconciles
            return
    raise AssertionError(f"no order of {steps} gives this ledger of {len(rows)} verdicts")


CASES: dict[str, tuple[str, ...]] = {
    "the same run twice": ("publish 0", "publish 0"),
    "the same run four times": ("publish 0",) * 4,
    "two that overlap": ("publish 0", "publish 1"),
    "four that overlap": ("publish 0", "publish 1", "publish 2", "publish 3"),
    "a publish and a revert": ("publish 1", "revert 0"),
    "two reverts of a run": ("revert 0", "revert 0"),
    "reverts and publishes": ("revert 0", "publish 1", "publish 2", "revert 0"),
}


def rounds(case: str, begin: Callable[[int], Round], count: int) -> None:
    """Do a case so many times, each on a fresh lake."""
    for number in range(count):
        lake, oracle, runs = begin(number)
        steps = [(a, runs[int(n)].run_id) for a, n in (word.split() for word in CASES[case])]
        if any(action == "revert" for action, _ in steps):
            first = ("publish", runs[0].run_id)
            publish(lake, runs[0].run_id, all_terms(rebill=True), NOW)
            act(oracle, first, runs)
        said = at_once(lake, steps)
        assert all(not words or "nothing" in words for words in said), said
        check_serial(lake, oracle, steps, runs)
        rmtree(lake.home)


@pytest.mark.parametrize("case", CASES)
def test_publishers_at_once(case: str, begin: Callable[[int], Round]) -> None:
    rounds(case, begin, 2)


@pytest.mark.soak
@pytest.mark.parametrize("case", CASES)
def test_publishers_at_once_many_times(case: str, begin: Callable[[int], Round]) -> None:
    rounds(case, begin, 100)


def _on_a_full_disk(home: str, run_id: str, size: int, said: Connection) -> None:
    """Publish where no file may grow beyond `size` bytes."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    try:
        publish(Lake.open(Path(home)), run_id, all_terms(rebill=True), NOW)
        said.send("")
    except ReplayError as exc:
        said.send(str(exc))


def test_a_disk_that_is_full_during_a_publish(begin: Callable[[int], Round]) -> None:
    lake, oracle, runs = begin(0)
    failed = []
    for size in (0, 100, 1_000, 3_000, 5_000, 7_000, 9_000, 11_000, 100_000):
        here, there = _CONTEXT.Pipe(duplex=False)
        given = (str(lake.home), runs[0].run_id, size, there)
        process = _CONTEXT.Process(target=_on_a_full_disk, args=given)
        process.start()
        there.close()
        words = here.recv()
        process.join()
        if not words:
            break
        assert "cannot be written" in words, words
        assert "\n" not in words
        failed.append(size)
        assert_ledger(lake, oracle)
        assert not list(lake.home.rglob("*.writing"))
    assert len(failed) > 4
    act(oracle, ("publish", runs[0].run_id), runs)
    assert_ledger(lake, oracle)
    assert reconcile(lake).reconciles


def test_the_clock_of_the_machine_is_not_what_orders_the_ledger(
    begin: Callable[[int], Round],
) -> None:
    lake, oracle, runs = begin(0)
    for said, now in zip(runs, (now_micros(), NOW, 0, now_micros() + 300 * 24 * HOUR), strict=True):
        if oracle.publish(said.run_id, said.decisions, now, rebill=True).added:
            publish(lake, said.run_id, all_terms(rebill=True), now)
        assert_ledger(lake, oracle)
    assert [v.issued_at for v in oracle.verdicts] == sorted(v.issued_at for v in oracle.verdicts)
