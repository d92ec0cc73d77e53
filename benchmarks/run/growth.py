"""Runs of growing logs: their time and memory, and what a straight line through them foretells."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from benchmarks.run.lake import Size, make_lake
from benchmarks.run.sides import run_ours

MIB = 1 << 20
DENSEST = 2_500_000  # clicks a day
SHORTEST = 4  # days
FORETOLD = (1e9, 1e11)


@dataclass(frozen=True)
class Grown:
    """Runs over one log: median seconds of the process, the largest peak of any round."""

    what: str
    read: int
    decided: int
    seconds: float
    processor_seconds: float
    peak_bytes: int


@dataclass(frozen=True)
class Line:
    """Seconds = fixed + each × clicks read."""

    fixed: float
    each: float

    def at(self, clicks: float) -> float:
        """Return the seconds that so many clicks take."""
        return self.fixed + self.each * clicks


def measure(folder: Path, what: str, size: Size, rounds: int, days: int | None = None) -> Grown:
    """Make a lake or open it, and run over `days` decided days of it; all where None."""
    lake = make_lake(folder, size)
    runs = []
    for number in range(rounds + 1):  # the first fills the page cache
        taken, manifest = run_ours(lake, size.span(days))
        runs.append(taken)
        click.echo(f"{what}: round {number} of {rounds}", err=True)
    counted = runs[1:]
    return Grown(
        what=what,
        read=manifest.counts["read"],
        decided=manifest.counts["decided"],
        seconds=float(np.median([run.seconds for run in counted])),
        processor_seconds=float(np.median([run.processor_seconds for run in counted])),
        peak_bytes=max(run.peak_bytes for run in counted),
    )


def memory(folder: Path, clicks_per_day: int, hot: int, rounds: int) -> list[Grown]:
    """Measure one day, two and four of one log, and a day with one address of `hot` clicks more."""
    log = Size(clicks_per_day, 5)
    found = [measure(folder, f"{days} times the span", log, rounds, days) for days in (1, 2, 4)]
    address = f"1 times the span, and an address of {hot:,} clicks"
    return [*found, measure(folder, address, Size(clicks_per_day, 2, hot), rounds)]


def scaling(folder: Path, millions: Sequence[float], rounds: int) -> list[Grown]:
    """Measure logs of so many million clicks, at most DENSEST a day and SHORTEST days at least."""
    return [measure(folder, f"{m:g} million", _sized(1e6 * m), rounds) for m in millions]


def _sized(clicks: float) -> Size:
    days = max(SHORTEST, round(clicks / DENSEST))
    return Size(round(clicks / days), days)


def fit(rows: Sequence[Grown]) -> Line:
    """Fit a line by least squares of relative errors: each size counts the same."""
    clicks = np.array([row.read for row in rows], dtype=np.float64)
    seconds = np.array([row.seconds for row in rows])
    each, fixed = np.polyfit(clicks, seconds, 1, w=1 / seconds)
    return Line(float(fixed), float(each))


def growth_table(rows: Sequence[Grown]) -> Iterator[str]:
    """Yield the lines of a table, a log a line; the memory also against the first's."""
    yield "| log | read | decided | wall | read/s | processor | peak | against the first |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|"
    for row in rows:
        more = row.peak_bytes / rows[0].peak_bytes - 1
        yield (
            f"| {row.what} | {row.read:,} | {row.decided:,} | {row.seconds:.1f} s "
            f"| {row.read / row.seconds:,.0f} | {row.processor_seconds:.1f} s "
            f"| {row.peak_bytes / MIB:,.0f} MiB | {more:+.1%} |"
        )


def forecast(rows: Sequence[Grown]) -> Iterator[str]:
    """Yield what the fitted line foretells; nothing where there are too few sizes to fit."""
    if len(rows) < 2:
        yield "One size alone: no line was fitted."
        return
    line = fit(rows)
    yield f"Fitted: {line.fixed:.2f} s and {line.each * 1e6:.3f} s for each million clicks read."
    for row in rows:
        said, off = line.at(row.read), line.at(row.read) / row.seconds - 1
        yield f"- {row.what}: measured {row.seconds:.1f} s, the line {said:.1f} s ({off:+.1%})"
    for clicks in FORETOLD:
        seconds = line.at(clicks)
        hours = f"{seconds / 3600:,.1f} h"
        yield f"- {clicks:,.0f} clicks, by the line alone: {seconds:,.0f} s ({hours})"
