"""What was measured of whole runs, as Markdown for RESULTS.md."""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from benchmarks.machine import Machine
from benchmarks.run.sides import Agreement
from benchmarks.timed import Timed

MIB = 1 << 20
GOAL_RATE, GOAL_RATIO, GOAL_BYTES = 0.8e6, 4.0, 1.5 * (1 << 30)


@dataclass(frozen=True)
class Side:
    """One pipeline's rounds."""

    name: str
    runs: list[Timed]
    said: list[float] = field(default_factory=list)  # seconds by our runs' own manifests

    @property
    def seconds(self) -> float:
        """Median wall-clock seconds, from the start of the process to its end."""
        return statistics.median(run.seconds for run in self.runs)

    @property
    def processor_seconds(self) -> float:
        """Median processor seconds."""
        return statistics.median(run.processor_seconds for run in self.runs)

    @property
    def peak_bytes(self) -> int:
        """The largest peak of any round."""
        return max(run.peak_bytes for run in self.runs)


@dataclass(frozen=True)
class Results:
    """Both pipelines over the same clicks."""

    read: int
    decided: int
    changed: int
    agreement: Agreement | None
    sides: dict[str, Side]

    @property
    def ratio(self) -> float:
        """How many times as long the peer took."""
        return self.sides["peer"].seconds / self.sides["ours"].seconds


def heading(machine: Machine) -> Iterator[str]:
    """Yield where and with what it was measured."""
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    where = f"{machine.cores} cores, {machine.memory_bytes / (1 << 30):.1f} GiB, {machine.system}"
    yield f"- machine: {machine.processor}, {where}"
    yield f"- {versions}; load {machine.load:.2f} when it began"


def markdown(results: Results) -> Iterator[str]:
    """Yield the lines of the comparison."""
    ours, rounds = results.sides["ours"], len(results.sides["ours"].runs)
    counts = (("read", results.read), ("decided", results.decided), ("changed", results.changed))
    yield f"- clicks: {', '.join(f'{n:,} {word}' for word, n in counts)};"
    yield f"  {rounds} rounds, one pipeline after the other; medians, most memory of any round"
    if found := results.agreement:
        yield f"- decisions: {found.changes:,} changes equal in kind and money,"
        yield f"  {found.borderline} borderline clicks changed by one alone"
    yield ""
    yield "| pipeline | wall | least | most | read/s | decided/s | processor | peak | our lead |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|--:|"
    for side in results.sides.values():
        walls = [run.seconds for run in side.runs]
        lead = "" if side is ours else f"{side.seconds / ours.seconds:.1f} times"
        yield (
            f"| {side.name} | {side.seconds:.2f} s | {min(walls):.2f} s | {max(walls):.2f} s "
            f"| {results.read / side.seconds:,.0f} | {results.decided / side.seconds:,.0f} "
            f"| {side.processor_seconds:.2f} s | {side.peak_bytes / MIB:,.0f} MiB | {lead} |"
        )
    yield ""
    if ours.said:
        said = statistics.median(ours.said)
        yield f"By its own manifest the run takes {said:.2f} s ({results.read / said:,.0f} clicks"
        yield "read/s): without the start of the process, and what is looked at before it begins."
        yield ""
    yield from _goals(results)


def _goals(results: Results) -> Iterator[str]:
    ours = results.sides["ours"]
    rate = results.read / ours.seconds
    goals: Sequence[tuple[str, str, bool]] = [
        ("≥ 0.8 million clicks read/s", f"{rate / 1e6:.2f} million", rate >= GOAL_RATE),
        ("≤ 1.5 GiB", f"{ours.peak_bytes / (1 << 30):.2f} GiB", ours.peak_bytes <= GOAL_BYTES),
    ]
    if "peer" in results.sides:
        lead = f"{results.ratio:.1f} times"
        goals = [goals[0], ("≥ 4 times the peer", lead, results.ratio >= GOAL_RATIO), goals[1]]
    yield "| goal | measured | met |"
    yield "|---|--:|---|"
    for goal, measured, met in goals:
        yield f"| {goal} | {measured} | {'yes' if met else 'no'} |"
