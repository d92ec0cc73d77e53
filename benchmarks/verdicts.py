"""`python -m benchmarks verdicts`: what publishing, undoing and delivering corrections takes.

Every round starts from a fresh copy of a lake and is a process of its own: the command as it is
typed, from its start to its end, or one commit, from the call to its return.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from benchmarks.machine import Machine, read_machine
from benchmarks.timed import timed
from benchmarks.verdict_lake import LATER, SECOND, copy_lake, make_lake, run_of
from benchmarks.verdict_sinks import SECRET, Place, ndjson, redis, webhook
from benchmarks.verdict_step import Step, measure_step
from replay.cursors import read_cursor
from replay.lake import Lake
from replay.snapshot import Snapshot

GIB = 1 << 30
MILLION = 1_000_000
REPLAY = str(Path(sys.executable).with_name("replay"))


@dataclass(frozen=True)
class Lakes:
    """The lake before and after its newest run was published, and a folder beside them."""

    before: Lake
    after: Lake
    folder: Path

    @contextmanager
    def copy(self, lake: Lake, toml: str = "") -> Iterator[Lake]:
        """Copy one of them for as long as the block lasts."""
        home = Path(tempfile.mkdtemp(dir=self.folder)) / "lake"
        try:
            yield copy_lake(lake, home, toml)
        finally:
            shutil.rmtree(home.parent)


@dataclass(frozen=True)
class Case:
    """One row of the table; `limit` is its target in seconds, None where there is none."""

    name: str
    what: str
    limit: float | None
    measure: Callable[[Lakes], Step]


@dataclass(frozen=True)
class Row:
    """What a case took; `verdicts` were proposed, committed, sent or read.

    `processor_seconds` is the median of user and system time, `load` the machine's before the first
    round.
    """

    what: str
    limit: float | None
    verdicts: int
    seconds: tuple[float, ...]
    processor_seconds: float
    peak_bytes: int
    load: float

    @property
    def median(self) -> float:
        """The median round."""
        return statistics.median(self.seconds)


class WrongAnswerError(Exception):
    """What was measured did not do what it should."""


def _command(lake: Lake, verdicts: int, *words: str, finding: bool = False) -> Step:
    """Run `replay verdicts …` on a lake; only with `finding` may it exit with 1."""
    line = [REPLAY, "verdicts", *words, "--home", str(lake.home)]
    done = timed(line, {**os.environ, SECRET: "benchmark" * 4})
    if done.code and not finding:
        raise WrongAnswerError(f"{' '.join(words)} exits with {done.code}")
    return Step(verdicts, done.seconds, done.processor_seconds, done.peak_bytes)


def _preview(lake: Lake, version: str) -> Step:
    run_id = run_of(lake, version)
    line = [REPLAY, "verdicts", "publish", run_id, "--home", str(lake.home)]
    said = subprocess.run([*line, "--json"], check=False, capture_output=True).stdout
    count = json.loads(said)["proposal"]["verdicts"]
    return _command(lake, count, "publish", run_id, finding=True)  # gates object


def _commit(lakes: Lakes, lake: Lake, action: str, version: str) -> Step:
    with lakes.copy(lake) as copy:
        return measure_step(copy.home, action, run_of(copy, version))


def _deliver(lakes: Lakes, place: Place) -> Step:
    with (
        tempfile.TemporaryDirectory(dir=lakes.folder) as folder,
        place(Path(folder)) as options,
        lakes.copy(lakes.after, f"\n[sinks.benchmark]\n{options}") as copy,
    ):
        step = _command(copy, _verdicts(copy), "deliver")
        kind = copy.config.sinks["benchmark"]["kind"]
        if (done := read_cursor(copy, "benchmark", kind).ledger_seq) != step.verdicts:
            raise WrongAnswerError(f"{kind} got {done:,} of {step.verdicts:,} verdicts")
        return step


def _verdicts(lake: Lake) -> int:
    return Snapshot.take(lake).rows("verdicts")


CASES: tuple[Case, ...] = (
    Case("preview", "preview of a run", 3, lambda lakes: _preview(lakes.before, SECOND)),
    Case("commit", "commit", 10, lambda lakes: _commit(lakes, lakes.before, "publish", SECOND)),
    Case(
        "preview-again",
        "preview of a second run, netted against that",
        None,
        lambda lakes: _preview(lakes.after, LATER),
    ),
    Case(
        "commit-again",
        "commit of it",
        None,
        lambda lakes: _commit(lakes, lakes.after, "publish", LATER),
    ),
    Case("revert", "revert", None, lambda lakes: _commit(lakes, lakes.after, "revert", SECOND)),
    Case("ndjson", "delivery to an NDJSON file", 20, lambda lakes: _deliver(lakes, ndjson)),
    Case("redis", "delivery to a Redis server", 60, lambda lakes: _deliver(lakes, redis)),
    Case("webhook", "delivery to a webhook", None, lambda lakes: _deliver(lakes, webhook)),
    Case(
        "reconcile",
        "`reconcile`",
        None,
        lambda lakes: _command(lakes.after, _verdicts(lakes.after), "reconcile"),
    ),
    Case(
        "statement",
        "`statement`",
        None,
        lambda lakes: _command(lakes.after, _verdicts(lakes.after), "statement", "--csv"),
    ),
)


def measure(lakes: Lakes, cases: Sequence[Case], rounds: int) -> Iterator[Row]:
    """Measure some cases, one after the other."""
    for case in cases:
        load = os.getloadavg()[0]
        steps = []
        for _ in range(rounds):
            steps.append(step := case.measure(lakes))
            click.echo(f"{case.name}: {step.seconds:.2f} s", err=True)
        seconds = tuple(step.seconds for step in steps)
        used = statistics.median(step.processor_seconds for step in steps)
        peak = max(step.peak_bytes for step in steps)
        yield Row(case.what, case.limit, steps[0].verdicts, seconds, used, peak, load)


def markdown(machine: Machine, lake: Lake, days: float, rows: Sequence[Row]) -> Iterator[str]:
    """Write everything that was measured."""
    clicks = Snapshot.take(lake).rows("clicks")
    versions = ", ".join(f"{name} {number}" for name, number in machine.versions.items())
    yield f"## Verdicts: a run of {clicks:,} clicks over {days:g} days, {machine.date}"
    yield ""
    yield f"- machine: {machine.processor}, {machine.cores} cores,"
    yield f"  {machine.memory_bytes / GIB:.1f} GiB, {machine.system}"
    yield f"- versions: {versions}"
    yield ""
    yield f"Seconds by the clock, {len(rows[0].seconds)} rounds; processor time (median) and peak"
    yield "resident memory of the process that does it; load of the machine before the first round:"
    yield ""
    yield "| what | verdicts | median | least | most | processor | GiB | load | target | met |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|--:|---|"
    for row in rows:
        limit = row.limit if clicks >= 10 * MILLION else None
        target = f"≤ {limit:g} s" if limit else ""
        met = ("yes" if row.median <= limit else "no") if limit else ""
        cells = f"{row.median:.2f} | {min(row.seconds):.2f} | {max(row.seconds):.2f}"
        memory = f"{row.processor_seconds:.2f} | {row.peak_bytes / GIB:.2f}"
        yield (
            f"| {row.what} | {row.verdicts:,} | {cells} | {memory} | {row.load:.1f} "
            f"| {target} | {met} |"
        )


def open_lakes(folder: Path, clicks: int, days: float) -> Lakes:
    """Make the lakes, or open those made before."""
    home = folder / f"verdicts-{clicks}-clicks-{days:g}-days"
    before = make_lake(home / "before", clicks, days)
    published = home / "after"
    if not published.exists():
        unfinished = home / ".after.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        copy = copy_lake(before, unfinished)
        measure_step(copy.home, "publish", run_of(copy, SECOND))
        unfinished.rename(published)
    return Lakes(before, Lake.open(published), home)


def choose(listed: str | None) -> list[Case]:
    """Read a list of cases."""
    names = [case.name for case in CASES]
    wanted = listed.split(",") if listed else names
    if unknown := sorted(set(wanted) - set(names)):
        raise click.BadParameter(f"no case named {unknown[0]!r}; known: {', '.join(names)}")
    return [case for case in CASES if case.name in wanted]


@click.command()
@click.option("--clicks", default=10 * MILLION, show_default=True, help="Clicks to generate.")
@click.option("--days", default=2.0, show_default=True, help="Days that they span.")
@click.option("--rounds", default=3, show_default=True, help="Rounds of each case.")
@click.option("--cases", "listed", help=f"Some of {','.join(case.name for case in CASES)}.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write figures here.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    default=Path("build/benchmarks"),
    show_default=True,
    help="Where generated lakes are kept.",
)
def verdicts(
    clicks: int,
    days: float,
    rounds: int,
    listed: str | None,
    json_file: Path | None,
    folder: Path,
) -> None:
    """Time preview, commit, revert and delivery of a run's verdicts and print Markdown.

    Example: python -m benchmarks verdicts --clicks 200000 --days 0.08 --cases preview,commit
    """
    cases = choose(listed)
    lakes = open_lakes(folder.absolute(), clicks, days)
    machine = read_machine()
    rows = list(measure(lakes, cases, rounds))
    if json_file:
        json_file.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    click.echo("\n".join(markdown(machine, lakes.before, days, rows)))
