"""`python -m benchmarks scoring`: from a log to a calibrated version in production.

Every step is the command as it is typed, from the start of its process to its end, on a simulated
lake: training (features, labels and weights included), calibration by slice, promotion, rollback,
and an audit of three versions over the last fifth. The calibration of many slices is timed alone.
"""

import json
import os
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np

from benchmarks.machine import Machine, read_machine
from benchmarks.timed import Timed, timed
from replay.lake import Lake
from scorer.curves import Clicks
from scorer.models import ARCHITECTURES
from scorer.slice_calibration import calibrate_slices
from simulator.scenario import load_scenario
from simulator.write import simulate

START = date(2026, 3, 1)
DAYS = 5
BUDGET = "0.01"
LIBRARIES = ("torch", "numpy", "cvxpy", "duckdb")


@dataclass(frozen=True)
class Step:
    """A command's runs, one a round."""

    name: str
    runs: list[Timed]

    @property
    def seconds(self) -> float:
        """Median wall-clock seconds."""
        return statistics.median(run.seconds for run in self.runs)

    @property
    def peak_bytes(self) -> int:
        """The largest peak of any round."""
        return max(run.peak_bytes for run in self.runs)


@click.command()
@click.option("--clicks", default=2_500_000, show_default=True, help="In the whole log.")
@click.option("--rounds", default=3, show_default=True, help="Of every step but the first.")
@click.option("--slices", default=200, show_default=True, help="Calibrated at once.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Also write JSON here.")
def scoring(clicks: int, rounds: int, slices: int, json_file: Path | None) -> None:
    """Time training, calibration, rollback and an audit, and print Markdown.

    Example: python -m benchmarks scoring --clicks 100000 --rounds 1
    """
    machine = read_machine(LIBRARIES)
    with TemporaryDirectory(prefix="scoring") as folder:
        lake = Lake.create(Path(folder), "USD")
        shape = {"days": DAYS, "clicks_per_day": round(clicks / DAYS / 1.06), "start": START}
        simulate(lake, load_scenario("quiet", shape))
        steps = list(_steps(lake, rounds))
    seconds = [time_slices(slices, clicks // 5) for _ in range(rounds)]
    if json_file:
        figures = {"machine": asdict(machine), "clicks": clicks, "slices": seconds}
        figures["steps"] = [asdict(step) for step in steps]
        json_file.write_text(json.dumps(figures, indent=2) + "\n")
    click.echo("\n".join(markdown(machine, clicks, steps, slices, seconds)))


def _steps(lake: Lake, rounds: int) -> Iterator[Step]:
    """Run the steps; each architecture is trained once a round, under a name of its own."""
    end = START + timedelta(days=DAYS)
    held_out = ("--from", f"{end - timedelta(days=1)}", "--to", f"{end}")
    span = ("--from", f"{START}", "--to", f"{end}")
    for name in ARCHITECTURES:
        lines = [("train", *span, "--arch", name, "--name", f"{name}{n}") for n in range(rounds)]
        yield _step(lake, f"train --arch {name}", lines)
    calibrate = ("models", "calibrate", "mlp0", "--fpr-budget", BUDGET)
    yield _step(lake, "models calibrate", [(*calibrate, "--name", f"c{n}") for n in range(rounds)])
    names = [f"mlp{n}" for n in range(rounds)] + [f"c{n}" for n in range(rounds)]
    promote = [("models", "promote", name, "--reason", "measured") for name in names]
    yield _step(lake, "models promote", promote)
    yield _step(lake, "models rollback", [("models", "rollback")] * rounds)
    audit = ("audit", *held_out, "--models", "mlp0,dcn0,c0")
    yield _step(lake, "audit of 3 versions, 1 day", [audit] * rounds)


def _step(lake: Lake, name: str, lines: Sequence[Sequence[str]]) -> Step:
    click.echo(f"{name}: {len(lines)} times", err=True)
    replay = str(Path(sys.executable).with_name("replay"))
    environment = {**os.environ, "REPLAY_HOME": str(lake.home)}
    return Step(name, [timed([replay, *line], environment) for line in lines])


def time_slices(slices: int, clicks: int) -> float:
    """Return the seconds that calibrating so many slices takes, without reading any log."""
    random = np.random.default_rng(0)
    codes = random.integers(0, slices, clicks)
    robot = random.random(clicks) < 0.3
    humans = random.beta(1.5 + codes / slices, 6)
    p = np.where(robot, random.beta(5, 2, clicks), humans).astype(np.float32)
    purchasing = ~robot & (random.random(clicks) < 0.15)
    keys = tuple(f"device=d{n:04d}" for n in range(slices))
    known = Clicks(p, purchasing, robot & (random.random(clicks) < 0.5), codes, keys)
    started = time.perf_counter()
    calibrate_slices(known, float(BUDGET))
    return time.perf_counter() - started


def markdown(
    machine: Machine, clicks: int, steps: Sequence[Step], slices: int, seconds: Sequence[float]
) -> Iterator[str]:
    """Yield the lines of a report."""
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    yield f"- machine: {machine.processor}, {machine.cores} cores, {machine.system}"
    yield f"- {versions}; load {machine.load:.2f} when it began"
    yield f"- {clicks:,} clicks over {DAYS} days, scenario `quiet`; medians, most memory of any run"
    yield ""
    yield "| step | runs | wall | least | most | processor | peak memory |"
    yield "|---|--:|--:|--:|--:|--:|--:|"
    for step in steps:
        walls = [run.seconds for run in step.runs]
        processor = statistics.median(run.processor_seconds for run in step.runs)
        yield (
            f"| `{step.name}` | {len(walls)} | {step.seconds:.2f} s | {min(walls):.2f} s "
            f"| {max(walls):.2f} s | {processor:.2f} s | {step.peak_bytes / 2**20:,.0f} MiB |"
        )
    yield (
        f"| calibration of {slices} slices, {clicks // 5:,} clicks | {len(seconds)} "
        f"| {statistics.median(seconds):.2f} s | {min(seconds):.2f} s | {max(seconds):.2f} s | | |"
    )
