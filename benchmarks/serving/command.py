"""`python -m benchmarks serving`: what the live service takes under load."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from benchmarks.machine import read_machine
from benchmarks.serving.cases import BESIDE, NAMES, Asked, Beside, beside, run_cases
from benchmarks.serving.lake import make_lake
from benchmarks.serving.measure import Row
from benchmarks.serving.report import markdown, said
from benchmarks.serving.stack import started

CASES = (*NAMES, BESIDE)
LIBRARIES = ("torch", "pydantic", "uvicorn", "uvloop", "httptools", "redis", "hiredis")


def choose(listed: str | None) -> Sequence[str]:
    """Read a list of cases."""
    cases = listed.split(",") if listed else CASES
    if unknown := sorted(set(cases) - set(CASES)):
        raise click.BadParameter(f"no case named {unknown[0]!r}; known: {', '.join(CASES)}")
    return cases


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
    asked = Asked(choose(listed), rate, seconds, rung)
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    lake = make_lake(folder / "serving-lake")
    machine = read_machine(LIBRARIES)
    rows: list[Row] = []
    found: Beside | None = None
    for workers in map(int, counts.split(",")):
        with started(lake.home, folder, workers) as stack:
            for row in run_cases(stack, workers, asked):
                rows.append(row)
                click.echo(said(row), err=True)
            if BESIDE in asked.cases and found is None:
                found = beside(stack, asked)
    if json_file:
        document = {
            "machine": asdict(machine),
            "rows": [asdict(row) for row in rows],
            "beside": found and asdict(found),
        }
        json_file.write_text(json.dumps(document, indent=2) + "\n")
    click.echo("\n".join(markdown(machine, rows, found)))
