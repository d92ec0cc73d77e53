"""`python -m benchmarks run`: from the lake to `changes.parquet`, by us and by the best peer."""

import json
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from benchmarks.machine import Machine, read_machine
from benchmarks.run.lake import Size, make_lake
from benchmarks.run.report import Results, Side, markdown
from benchmarks.run.sides import Peer, agree, run_ours
from replay.lake import Lake
from replay.span import Span

LIBRARIES = ("duckdb", "onnxruntime", "torch", "numba", "numpy", "pyarrow")
PEER = "DuckDB windows + ONNX Runtime"


@click.command()
@click.option("--clicks-per-day", default=2_500_000, show_default=True, help="Of people.")
@click.option("--days", default=2, show_default=True, help="The first is read, not decided.")
@click.option("--rounds", default=5, show_default=True, help="Each runs both pipelines.")
@click.option("--peer/--no-peer", default=True, help="Run the peer too (default).")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Also write JSON here.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    default=Path("build/benchmarks/run"),
    show_default=True,
    help="Where lakes are made once and kept.",
)
def run(
    clicks_per_day: int,
    days: int,
    rounds: int,
    peer: bool,
    json_file: Path | None,
    folder: Path,
) -> None:
    """Time a whole replay beside DuckDB with ONNX Runtime, and print Markdown.

    Example: python -m benchmarks run --clicks-per-day 50000 --rounds 1
    """
    size = Size(clicks_per_day, days)
    lake = make_lake(folder, size)
    results = contest(read_machine(LIBRARIES), lake, size.span(), rounds, peer=peer)
    if json_file:
        json_file.write_text(json.dumps(asdict(results), indent=2) + "\n")
    click.echo("\n".join(markdown(results)))


def contest(machine: Machine, lake: Lake, span: Span, rounds: int, *, peer: bool) -> Results:
    """Run both once, compare what they found, then time them in turn.

    Raises OtherDecisionsError where they decided a click differently that is not borderline.
    """
    ours, theirs = Side("ours: `replay run`", []), Side(PEER, [])
    with TemporaryDirectory(prefix="run") as folder:
        other = Peer(lake, span, Path(folder))
        _, manifest = run_ours(lake, span)
        other.run()
        agreement = agree(lake, other.changes)
        click.echo(f"decisions compared: {agreement}", err=True)
        for number in range(rounds):
            taken, manifest = run_ours(lake, span)
            ours.runs.append(taken)
            ours.said.append(manifest.seconds)
            if peer:
                theirs.runs.append(other.run())
            click.echo(f"round {number + 1} of {rounds}", err=True)
    counts = manifest.counts
    sides = {"ours": ours, "peer": theirs} if peer else {"ours": ours}
    return Results(machine, counts["read"], counts["decided"], counts["changed"], agreement, sides)
