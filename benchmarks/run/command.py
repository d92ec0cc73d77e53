"""`python -m benchmarks run`: from the lake to `changes.parquet`, by us and by the best peer."""

import json
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from benchmarks.machine import read_machine
from benchmarks.run import growth
from benchmarks.run.floors import measure_floors
from benchmarks.run.lake import CANDIDATE, Size, make_lake
from benchmarks.run.report import Results, Side, heading, markdown
from benchmarks.run.sides import Peer, agree, run_ours
from benchmarks.run.stage_report import stage_table
from benchmarks.run.stages import measure_stages
from replay.lake import Lake
from replay.span import Span

LIBRARIES = ("duckdb", "onnxruntime", "torch", "numba", "numpy", "pyarrow")
LONGEST_PEER = 3  # days; and 16 million clicks
PEER = "DuckDB windows + ONNX Runtime"


@click.command()
@click.option("--clicks-per-day", default=2_500_000, show_default=True, help="Of people.")
@click.option("--days", default=2, show_default=True, help="The first is read, not decided.")
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, help="Of each.")
@click.option("--peer/--no-peer", default=True, help="Run the peer too (default).")
@click.option("--stages", is_flag=True, help="Say where the time goes instead.")
@click.option("--memory", is_flag=True, help="Measure memory by span, and by a hot address.")
@click.option("--hot", default=1_000_000, show_default=True, help="Clicks of that address.")
@click.option("--scaling", "millions", metavar="N,…", help="Measure logs of N million clicks.")
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
    stages: bool,
    memory: bool,
    hot: int,
    millions: str | None,
    json_file: Path | None,
    folder: Path,
) -> None:
    """Time a whole replay beside DuckDB with ONNX Runtime, and print Markdown.

    Example: python -m benchmarks run --clicks-per-day 50000 --rounds 1
    """
    machine, size = read_machine(LIBRARIES), Size(clicks_per_day, days)
    figures: dict[str, object]
    if peer and days > LONGEST_PEER and not (stages or memory or millions):
        raise click.ClickException(f"the peer's SQL holds {LONGEST_PEER} days; add --no-peer")
    if stages:
        figures, lines = _stages(make_lake(folder, size), size.span())
    elif memory:
        rows = growth.memory(folder, clicks_per_day, hot, rounds)
        figures = {"memory": [asdict(row) for row in rows]}
        lines = ["", *growth.growth_table(rows)]
    elif millions:
        rows = growth.scaling(folder, [float(m) for m in millions.split(",")], rounds)
        figures = {"scaling": [asdict(row) for row in rows]}
        lines = ["", *growth.growth_table(rows), "", *growth.forecast(rows)]
    else:
        results = contest(make_lake(folder, size), size.span(), rounds, peer=peer)
        figures, lines = asdict(results), [*markdown(results)]
    if json_file:
        json_file.write_text(json.dumps({"machine": asdict(machine)} | figures, indent=2) + "\n")
    click.echo("\n".join([*heading(machine), *lines]))


def _stages(lake: Lake, span: Span) -> tuple[dict[str, object], list[str]]:
    """Run once to have kernels and files at hand, then measure stages and floors."""
    run_ours(lake, span)
    found = measure_stages(lake.home, span, CANDIDATE)
    floors = measure_floors(lake, span, found.counts, CANDIDATE)
    figures: dict[str, object] = {"stages": asdict(found)}
    figures["floors"] = {k: asdict(f) for k, f in floors.items()}
    return figures, ["", *stage_table(found, floors)]


def contest(lake: Lake, span: Span, rounds: int, *, peer: bool) -> Results:
    """Run both once, compare what they found, then time them in turn.

    Raises OtherDecisionsError where they decided a click differently that is not borderline.
    """
    sides = {"ours": Side("ours: `replay run`", [])} | ({"peer": Side(PEER, [])} if peer else {})
    run_ours(lake, span)
    with TemporaryDirectory(prefix="run") as folder:
        other = Peer(lake, span, Path(folder)) if peer else None
        agreement = None
        if other:
            other.run()
            agreement = agree(lake, other.changes)
            click.echo(f"decisions compared: {agreement}", err=True)
        for number in range(rounds):
            taken, manifest = run_ours(lake, span)
            sides["ours"].runs.append(taken)
            sides["ours"].said.append(manifest.seconds)
            if other:
                sides["peer"].runs.append(other.run())
            click.echo(f"round {number + 1} of {rounds}", err=True)
    counts = manifest.counts
    return Results(counts["read"], counts["decided"], counts["changed"], agreement, sides)
