"""`python -m benchmarks simulator`: clicks generated and written in a second, and the memory.

The command as it is typed, from the start of its process to its end, over ever more days at one
volume: that memory does not grow with the length is one of the figures. Clicks are all that land in
the lake's `clicks`; their truth, purchases and profiles are written in the same time.
"""

import json
import os
import shutil
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from benchmarks.machine import Machine, read_machine
from benchmarks.timed import Timed, timed
from replay.lake import Lake
from replay.snapshot import Snapshot

LIBRARIES = ("numpy", "pyarrow", "deltalake")


@dataclass(frozen=True)
class Length:
    """A scenario over some days: clicks and bytes written, and a run for each round."""

    days: int
    clicks: int
    disk_bytes: int
    runs: list[Timed]

    @property
    def seconds(self) -> float:
        """Median wall-clock seconds."""
        return statistics.median(run.seconds for run in self.runs)

    @property
    def processor_seconds(self) -> float:
        """Median processor seconds."""
        return statistics.median(run.processor_seconds for run in self.runs)

    @property
    def peak_bytes(self) -> int:
        """The largest peak of any round."""
        return max(run.peak_bytes for run in self.runs)


@click.command()
@click.option("--scenario", default="all_robots", show_default=True, help="Shipped, or a file.")
@click.option("--clicks-per-day", default=2_500_000, show_default=True, help="Of humans.")
@click.option("--days", default="2,4,8", show_default=True, help="Lengths to measure.")
@click.option("--rounds", default=3, show_default=True, help="Of each length.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Also write JSON here.")
def simulator(
    scenario: str, clicks_per_day: int, days: str, rounds: int, json_file: Path | None
) -> None:
    """Time the simulator and print Markdown.

    Example: python -m benchmarks simulator --clicks-per-day 100000 --days 2 --rounds 1
    """
    machine = read_machine(LIBRARIES)
    lengths = [_length(scenario, clicks_per_day, int(d), rounds) for d in days.split(",")]
    if json_file:
        figures = {"machine": asdict(machine), "lengths": [asdict(length) for length in lengths]}
        json_file.write_text(json.dumps(figures, indent=2) + "\n")
    click.echo("\n".join(markdown(machine, scenario, lengths)))


def _length(scenario: str, clicks_per_day: int, days: int, rounds: int) -> Length:
    """Simulate into a fresh lake each round."""
    command = [str(Path(sys.executable).with_name("replay")), "simulate", "--scenario", scenario]
    command += ["--clicks-per-day", str(clicks_per_day), "--days", str(days), "--json"]
    runs: list[Timed] = []
    with TemporaryDirectory(prefix="simulator") as folder:
        home = Path(folder) / "lake"
        for number in range(rounds):
            click.echo(f"{days} days, round {number + 1} of {rounds}", err=True)
            shutil.rmtree(home, ignore_errors=True)
            runs.append(timed(command, {**os.environ, "REPLAY_HOME": str(home)}))
        clicks = Snapshot.take(Lake.open(home)).rows("clicks")
        size = sum(file.stat().st_size for file in home.rglob("*") if file.is_file())
    return Length(days, clicks, size, runs)


def markdown(machine: Machine, scenario: str, lengths: Sequence[Length]) -> Iterator[str]:
    """Yield the lines of a report."""
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    yield f"- machine: {machine.processor}, {machine.cores} cores, {machine.system}"
    yield f"- {versions}; load {machine.load:.2f} when it began"
    yield f"- scenario `{scenario}`; medians of {len(lengths[0].runs)}, most memory of any round"
    yield ""
    yield "| days | clicks | wall | clicks/s | processor | clicks per its second | peak | disk |"
    yield "|--:|--:|--:|--:|--:|--:|--:|--:|"
    for length in lengths:
        yield (
            f"| {length.days} | {length.clicks:,} | {length.seconds:.1f} s "
            f"| {length.clicks / length.seconds:,.0f} | {length.processor_seconds:.1f} s "
            f"| {length.clicks / length.processor_seconds:,.0f} "
            f"| {length.peak_bytes / 2**20:,.0f} MiB | {length.disk_bytes / 2**20:,.0f} MiB |"
        )
