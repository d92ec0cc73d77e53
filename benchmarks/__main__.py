"""Measure our features side by side with other engines: `python -m benchmarks --help`."""

import gc
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import click

from benchmarks.clicks import make_lake
from benchmarks.compare import Answer, Log, Wrong, check, gather
from benchmarks.duckdb_windows import duckdb_engines
from benchmarks.fresh import Peak, measure_peak, measure_starts
from benchmarks.machine import read_machine
from benchmarks.ours import Ours
from benchmarks.polars_rolling import PolarsRolling
from benchmarks.report import Results, Timing, markdown
from benchmarks.run.command import run
from benchmarks.scoring import scoring
from benchmarks.serving.command import serving
from benchmarks.simulator import simulator
from benchmarks.source import THREADS, Engine, Source
from benchmarks.store_memory import store_memory
from benchmarks.verdicts import verdicts
from scorer.spec import Spec

NAMES = (
    "ours",
    "duckdb-exact",
    "duckdb-composite",
    "duckdb-plain",
    "ours-without-distincts",
    "polars",
)
AGAINST = {"polars": "ours-without-distincts", "ours-without-distincts": "ours-without-distincts"}
SMALL = 20_000


def engines(source: Source) -> dict[str, Sequence[Engine]]:
    """Return every engine's forms, by name."""
    fewer = Spec.model_validate(source.spec.model_dump() | {"distincts": ()})
    return {
        "ours": [Ours(source, source.spec)],
        **duckdb_engines(source),
        "ours-without-distincts": [Ours(source, fewer)],
        "polars": [PolarsRolling(source, fewer)],
    }


class Contest:
    """The engines, each in its fastest form, after their answers were compared with ours."""

    def __init__(self, source: Source, names: Sequence[str]) -> None:
        """Run every form once, and fail where an answer is wrong that may not be."""
        forms = engines(source)
        self.log = Log(source)
        ours = gather(forms["ours"][0].pieces())
        self.form: dict[str, int] = {}
        self.trials: dict[str, dict[str, float]] = {}
        self.wrong: dict[str, Wrong | None] = {}
        for name in names:
            tried = [self._try(name, form, ours, source.spec) for form in forms[name]]
            self.form[name] = tried.index(min(tried))
            several = zip(forms[name], tried, strict=True) if len(tried) > 1 else ()
            self.trials[name] = {engine.form: seconds for engine, seconds in several}
        self.engines = {name: forms[name][form] for name, form in self.form.items()}

    def _try(self, name: str, engine: Engine, ours: Answer, spec: Spec) -> float:
        started = time.perf_counter()
        pieces = list(engine.pieces())
        seconds = time.perf_counter() - started
        self.wrong[name] = check(engine, ours, gather(pieces), self.log, spec)
        click.echo(f"{name}, {engine.form}: {seconds:.2f} s; answers compared", err=True)
        return seconds

    def run(self, rounds: int) -> dict[str, list[float]]:
        """Time the engines in turn; each holds all its answers in memory when its time ends."""
        seconds: dict[str, list[float]] = {name: [] for name in self.engines}
        for number in range(rounds):
            for name, engine in self.engines.items():
                gc.collect()
                started = time.perf_counter()
                pieces = list(engine.pieces())
                seconds[name].append(time.perf_counter() - started)
                del pieces
            click.echo(f"round {number + 1} of {rounds}", err=True)
        return seconds

    def timings(self, rounds: int) -> dict[str, Timing]:
        """Run the rounds and say all about each engine."""
        seconds = self.run(rounds)
        return {
            name: Timing(
                engine=name,
                form=engine.form,
                features=len(engine.features),
                against=AGAINST.get(name, "ours"),
                seconds=tuple(seconds[name]),
                trials=self.trials[name],
                wrong=self.wrong[name],
            )
            for name, engine in self.engines.items()
        }


def choose(listed: str | None) -> list[str]:
    """Read a list of engines; ours are always among them, as what others are held against."""
    wanted = listed.split(",") if listed else NAMES
    unknown = sorted(set(wanted) - set(NAMES))
    if unknown:
        raise click.BadParameter(f"no engine named {unknown[0]!r}; known: {', '.join(NAMES)}")
    held = {"ours", *wanted, *(AGAINST.get(name, "ours") for name in wanted)}
    return [name for name in NAMES if name in held]


def open_source(folder: Path, clicks: int, days: float) -> Source:
    """Make a lake of generated clicks, or open the one made before."""
    home = folder / f"{clicks}-clicks-{days:g}-days"
    click.echo(f"clicks: {home}", err=True)
    make_lake(home, clicks, days)
    source = Source.open(home)
    if source.clicks != clicks:
        raise click.ClickException(f"{home} holds {source.clicks:,} clicks; remove it")
    return source


def measure_peaks(home: Path, forms: Mapping[str, int]) -> dict[str, Peak]:
    """Run our engine and DuckDB's exact one in processes of their own."""
    wanted = [name for name in ("ours", "duckdb-exact") if name in forms]
    return {name: measure_peak(home, name, forms[name]) for name in wanted}


@click.group(invoke_without_command=True)
@click.option("--clicks", default=5_000_000, show_default=True, help="Clicks to generate.")
@click.option("--days", default=2.0, show_default=True, help="Days that they span.")
@click.option("--rounds", default=5, show_default=True, help="Rounds; each runs every engine.")
@click.option("--engines", "listed", help=f"Some of {','.join(NAMES)}; ours always run.")
@click.option("--memory/--no-memory", default=True, help="Measure peak memory too (default).")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write figures here.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    default=Path("build/benchmarks"),
    show_default=True,
    help="Where generated lakes are kept.",
)
@click.pass_context
def main(
    context: click.Context,
    clicks: int,
    days: float,
    rounds: int,
    listed: str | None,
    memory: bool,
    json_file: Path | None,
    folder: Path,
) -> None:
    """Time features side by side and print Markdown.

    An answer that differs from ours where it may not is an error; a missed target is not.

    Example: python -m benchmarks --clicks 200000 --days 0.08 --rounds 3
    """
    if context.invoked_subcommand:
        return
    names = choose(listed)
    machine = read_machine()
    starts = measure_starts(open_source(folder, SMALL, days).snapshot.lake.home)
    source = open_source(folder, clicks, days)
    contest = Contest(source, names)
    results = Results(
        machine=machine,
        clicks=clicks,
        days=days,
        threads=THREADS,
        rounds=rounds,
        ties={entity: contest.log.tied_share(entity) for entity in ("user_id", "session_id", "ip")},
        robots=float(contest.log.robots.mean()),
        timings=contest.timings(rounds),
        peaks=measure_peaks(source.snapshot.lake.home, contest.form) if memory else {},
        starts=starts,
    )
    if json_file:
        json_file.write_text(json.dumps(asdict(results), indent=2) + "\n")
    click.echo(markdown(results), nl=False)


main.add_command(verdicts)
main.add_command(store_memory)
main.add_command(serving)
main.add_command(scoring)
main.add_command(simulator)
main.add_command(run)


if __name__ == "__main__":
    main()
