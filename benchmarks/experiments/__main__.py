"""Run the experiments and write docs/experiments.md: `python -m benchmarks.experiments --help`."""

import shutil
import time
from functools import partial
from pathlib import Path

import click
import torch

from benchmarks.experiments import remarks
from benchmarks.experiments.arms import BUDGET
from benchmarks.experiments.one_seed import STEPS, Sizes, run_seed
from benchmarks.experiments.page import PAGE, page
from benchmarks.experiments.plots import draw
from benchmarks.experiments.results import FILE, Made, Results, Run, read, write
from benchmarks.machine import read_machine

LIBRARIES = ("torch", "numpy", "scipy", "cvxpy", "matplotlib")
THREADS = 2
FIRST_SEED = 101  # those from 1 on served to build the experiments


class Progress:
    """Tells of every step, and when the last one may be expected."""

    def __init__(self, steps: int) -> None:
        self.steps, self.done, self.began = steps, 0, time.monotonic()

    def __call__(self, seed: int, text: str) -> None:
        """Count a step and tell of it."""
        self.done += 1
        left = (self.steps - self.done) * self.seconds / self.done
        click.echo(
            f"{self.seconds / 60:5.1f} min, {left / 60:4.1f} to go: seed {seed}, {text}", err=True
        )

    @property
    def seconds(self) -> float:
        """How long it has been."""
        return time.monotonic() - self.began


def run_all(seeds: int, sizes: Sizes, folder: Path, file: Path) -> None:
    """Run every seed, one after another, and store what there is after each."""
    torch.set_num_threads(THREADS)
    progress = Progress(seeds * STEPS)
    runs: dict[int, Run] = {}
    for seed in range(FIRST_SEED, FIRST_SEED + seeds):
        runs[seed] = run_seed(seed, sizes, folder, partial(progress, seed))
        shutil.rmtree(folder / "lake", ignore_errors=True)
        write(_results(runs, sizes, progress.seconds / 60), file)


def _results(runs: dict[int, Run], sizes: Sizes, minutes: float) -> Results:
    machine = read_machine(LIBRARIES)
    return Results(
        settings={
            "clicks_per_day": sizes.clicks_per_day,
            "more_days": sizes.more_days,
            "fpr_budget": BUDGET,
        },
        runs=runs,
        made=Made(
            versions=machine.versions,
            processor=machine.processor,
            minutes=round(minutes, 1),
        ),
    )


@click.command()
@click.option("--seeds", default=5, show_default=True, type=click.IntRange(2), help="How many.")
@click.option("--clicks-per-day", default=25_000, show_default=True, help="People's clicks.")
@click.option("--more-days", default=20, show_default=True, help="For calibration by size.")
@click.option("--page-only", is_flag=True, help="Write the page anew from the stored results.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    default=Path("build/experiments"),
    show_default=True,
    help="Where generated lakes are kept while they are needed.",
)
@click.option(
    "--results",
    "file",
    type=click.Path(path_type=Path),
    default=FILE,
    show_default=False,
    help="Where results are stored.",
)
@click.option(
    "--page",
    "place",
    type=click.Path(path_type=Path),
    default=PAGE,
    show_default=False,
    help="Where the page goes; its plots go to a folder of that name.",
)
def main(
    seeds: int,
    clicks_per_day: int,
    more_days: int,
    page_only: bool,
    folder: Path,
    file: Path,
    place: Path,
) -> None:
    """Measure what the method claims, and write docs/experiments.md with its plots.

    Example: python -m benchmarks.experiments --page-only
    """
    if not page_only:
        run_all(seeds, Sizes(clicks_per_day, more_days), folder, file)
    results, told = read(file), remarks.read()
    place.write_text(page(results, told))
    draw(results, place.with_suffix(""))
    click.echo(f"{place}: results {results.digest}", err=True)
    if not told.on(results.digest):
        click.echo(f"{remarks.FILE} is about other results, {told.digest}", err=True)


if __name__ == "__main__":
    main()
