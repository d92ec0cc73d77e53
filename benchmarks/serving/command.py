"""`python -m benchmarks serving`: what the live service takes under load."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import click

from benchmarks.machine import read_machine
from benchmarks.serving.lake import make_lake
from benchmarks.serving.measure import Row, ladder, measure
from benchmarks.serving.report import markdown, said
from benchmarks.serving.run import Plan, finish, start
from benchmarks.serving.stack import Stack, started

CASES = ("target", "poisson", "batches", "ladder", "batch-ladder")
BATCH = 32
RATES = (250.0, 500.0, 750.0, 1000.0, 1250.0, 1500.0, 1750.0, 2000.0, 2500.0, 3000.0, 4000.0)
BATCH_RATES = (10.0, 20.0, 30.0, 45.0, 60.0, 80.0, 100.0, 130.0, 160.0, 200.0)
WARM_UP = 5.0


def run_cases(
    stack: Stack, workers: int, cases: list[str], rate: float, seconds: float, rung: float
) -> Iterator[Row]:
    """Measure some cases on one service."""
    warm = Plan(stack.port, min(rate, 500), WARM_UP, seed=99)
    finish(start(warm))
    one = Plan(stack.port, rate, seconds)
    many = Plan(stack.port, rate / BATCH, seconds, BATCH)
    if "target" in cases:
        yield measure("one click each, a swap in the middle", stack, workers, one, swap=True)
    if "poisson" in cases:
        plan = Plan(stack.port, rate, seconds, arrivals="poisson")
        yield measure("one click each, Poisson arrivals", stack, workers, plan)
    if "batches" in cases:
        yield measure(f"batches of {BATCH}", stack, workers, many)
    if "ladder" in cases:
        rows, _ = ladder(
            RATES,
            lambda r: measure("one click each", stack, workers, Plan(stack.port, r, rung)),
        )
        yield from rows
    if "batch-ladder" in cases:
        rows, _ = ladder(
            BATCH_RATES,
            lambda r: measure(
                f"batches of {BATCH}", stack, workers, Plan(stack.port, r, rung, BATCH)
            ),
        )
        yield from rows


@click.command()
@click.option("--cases", "listed", help=f"Some of {','.join(CASES)}; else all.")
@click.option("--rate", default=1000.0, show_default=True, help="Clicks per second.")
@click.option("--seconds", default=120.0, show_default=True, help="How long a load lasts.")
@click.option("--rung", default=20.0, show_default=True, help="Seconds on each rate of a ladder.")
@click.option("--workers", "counts", default="1,2", show_default=True, help="Numbers of workers.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write figures here.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    default=Path("build/benchmarks"),
    show_default=True,
    help="Where the lake is kept.",
)
def serving(
    listed: str | None,
    rate: float,
    seconds: float,
    rung: float,
    counts: str,
    json_file: Path | None,
    folder: Path,
) -> None:
    """Load the live service on a schedule that waits for no answer, and print Markdown.

    Starts a Redis server, a lake of its own and the service. A missed target is no error.

    Example: python -m benchmarks serving --cases target --seconds 10 --workers 1
    """
    cases = listed.split(",") if listed else list(CASES)
    if unknown := sorted(set(cases) - set(CASES)):
        raise click.BadParameter(f"no case named {unknown[0]!r}; known: {', '.join(CASES)}")
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    lake = make_lake(folder / "serving-lake")
    machine = read_machine()
    rows: list[Row] = []
    for workers in map(int, counts.split(",")):
        with started(lake.home, folder, workers) as stack:
            for row in run_cases(stack, workers, cases, rate, seconds, rung):
                rows.append(row)
                click.echo(said(row), err=True)
    if json_file:
        found = {"machine": asdict(machine), "rows": [asdict(row) for row in rows]}
        json_file.write_text(json.dumps(found, indent=2) + "\n")
    click.echo("\n".join(markdown(machine, rows)))
