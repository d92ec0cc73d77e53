"""What is measured on a service, and what stands beside it."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import click

from benchmarks.serving.lake import FIRST
from benchmarks.serving.measure import Row, measure
from benchmarks.serving.redis_alone import Alone
from benchmarks.serving.run import Outcome, Plan, finish, start
from benchmarks.serving.stack import Stack, floor
from benchmarks.serving.stages import Stage

BATCH = 32
NAMES = {
    "target": "one click each, a swap in the middle",
    "poisson": "one click each, Poisson arrivals",
    "batches": f"{BATCH} clicks each",
    "ladder": "one click each",
    "batch-ladder": f"{BATCH} clicks each",
}
BESIDE = "beside"
RATES = (250.0, 500.0, 750.0, 1000.0, 1250.0, 1500.0, 1750.0, 2000.0, 2500.0, 3000.0, 4000.0)
BATCH_RATES = (10.0, 20.0, 30.0, 45.0, 60.0, 80.0, 100.0, 130.0, 160.0, 200.0)
MISSES = 2
WARM_UP, WARM_UP_RATE = 5.0, 500.0
STAGE_CLICKS = 10_000


@dataclass(frozen=True)
class Asked:
    """What to measure: cases, clicks per second, seconds of a load and of a ladder's rung."""

    cases: Sequence[str]
    rate: float
    seconds: float
    rung: float


@dataclass(frozen=True)
class Beside:
    """What the service's figures are to be read beside: Redis, each stage, the generator alone."""

    redis: Alone
    stages: list[Stage]
    floor: Outcome


def run_cases(stack: Stack, workers: int, asked: Asked) -> Iterator[Row]:
    """Measure some cases on one service."""
    port, rate, seconds = stack.port, asked.rate, asked.seconds
    finish(start(Plan(port, min(rate, WARM_UP_RATE), WARM_UP, seed=99)))
    for case, plan in (
        ("target", Plan(port, rate, seconds)),
        ("poisson", Plan(port, rate, seconds, arrivals="poisson")),
        ("batches", Plan(port, rate / BATCH, seconds, BATCH)),
    ):
        if case in asked.cases:
            yield measure(NAMES[case], stack, workers, plan, swap=case == "target")
    for case, rates, batch in (("ladder", RATES, 1), ("batch-ladder", BATCH_RATES, BATCH)):
        if case in asked.cases:
            plans = (Plan(port, rung, asked.rung, batch) for rung in rates)
            yield from climb(plans, partial(measure, NAMES[case], stack, workers))


def climb(plans: Iterator[Plan], measured: Callable[[Plan], Row]) -> Iterator[Row]:
    """Measure ever higher rates until two in a row are missed."""
    misses = 0
    for plan in plans:
        yield (row := measured(plan))
        misses = 0 if row.met else misses + 1
        if misses == MISSES:
            return


def beside(stack: Stack, asked: Asked) -> Beside:
    """Measure the rest, on the same Redis, while nothing else runs."""
    url, home = stack.redis_url, stack.home
    redis = _said("redis_alone", url, str(home / "models"), FIRST, str(asked.rung))
    stages = _said("stages", url, str(home), FIRST, str(STAGE_CLICKS))
    with floor() as port:
        outcome = finish(start(Plan(port, asked.rate, asked.rung)))
    return Beside(Alone.read(redis), Stage.read(stages), outcome)


def _said(module: str, *arguments: str) -> str:
    """Run a module of ours in a process of its own; return what it prints."""
    line = [sys.executable, "-m", f"benchmarks.serving.{module}", *arguments]
    done = subprocess.run(line, check=False, capture_output=True, text=True)
    if done.returncode:
        raise click.ClickException(f"{module}: {done.stderr.strip()}")
    return done.stdout
