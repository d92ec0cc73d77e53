"""What was measured, as Markdown for RESULTS.md, and the targets that it is held against."""

import statistics
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.compare import Wrong
from benchmarks.fresh import Peak, Starts
from benchmarks.machine import Machine

GIB = 1 << 30


@dataclass(frozen=True)
class Timing:
    """Seconds of each round of an engine; `trials` are those of its forms, once each, before."""

    engine: str
    form: str
    features: int
    against: str
    seconds: tuple[float, ...]
    trials: dict[str, float]
    wrong: Wrong | None

    @property
    def median(self) -> float:
        """The median round."""
        return statistics.median(self.seconds)


@dataclass(frozen=True)
class Results:
    """One run of the benchmarks."""

    machine: Machine
    clicks: int
    days: float
    threads: int
    rounds: int
    ties: dict[str, float]
    robots: float
    timings: dict[str, Timing]
    peaks: dict[str, Peak]
    starts: Starts

    def ratio(self, name: str) -> float:
        """Return how many times as long as ours an engine took, for the same features."""
        timing = self.timings[name]
        return timing.median / self.timings[timing.against].median


def markdown(results: Results) -> str:
    """Write everything that was measured."""
    parts = (_heading, _timings, _wrong, _peaks, _starts, _targets)
    return "\n\n".join("\n".join(part(results)) for part in parts) + "\n"


def _heading(results: Results) -> Iterator[str]:
    machine = results.machine
    versions = ", ".join(f"{name} {number}" for name, number in machine.versions.items())
    ties = ", ".join(f"{share:.1%} by {entity}" for entity, share in results.ties.items())
    yield f"## {results.clicks:,} clicks over {results.days:g} days, {machine.date}"
    yield ""
    yield f"- machine: {machine.processor}, {machine.cores} cores,"
    yield f"  {machine.memory_bytes / GIB:.1f} GiB, {machine.system};"
    yield f"  load {machine.load:.1f} at the start; {results.threads} threads for each engine"
    yield f"- versions: {versions}"
    yield f"- clicks: {results.robots:.1%} by robots; followed by a click of the same entity at the"
    yield f"  same time: {ties}"


def _timings(results: Results) -> Iterator[str]:
    yield f"Seconds for all features of all clicks, {results.rounds} rounds, engines in turn:"
    yield ""
    yield "| engine | form | features | median | least | most | clicks/s | our lead |"
    yield "|---|---|--:|--:|--:|--:|--:|--:|"
    for name, t in results.timings.items():
        lead = "" if t.against == name else f"{results.ratio(name):.1f} times"
        cells = f"{t.median:.2f} | {min(t.seconds):.2f} | {max(t.seconds):.2f}"
        speed = f"{results.clicks / t.median:,.0f}"
        yield f"| {name} | {t.form} | {t.features} | {cells} | {speed} | {lead} |"
    yield ""
    for name, timing in results.timings.items():
        if timing.trials:
            tried = "; ".join(f"{form}, {s:.2f} s" for form, s in timing.trials.items())
            yield f"Forms of {name}, each run once to take the faster: {tried}."


def _wrong(results: Results) -> Iterator[str]:
    yield "Answers were compared on every click and feature before the rounds. Shares of clicks"
    yield "that are wrong in any feature, and in `clicks_ip_1h`:"
    yield ""
    yield "| engine | any | any, robots | `clicks_ip_1h` | `clicks_ip_1h`, robots |"
    yield "|---|--:|--:|--:|--:|"
    for name, timing in results.timings.items():
        cells = "0 | 0 | 0 | 0"
        if wrong := timing.wrong:
            shares = (wrong.any_feature, wrong.any_feature_robots)
            hours = (wrong.clicks_ip_1h, wrong.clicks_ip_1h_robots)
            cells = " | ".join(f"{share:.1%}" for share in (*shares, *hours))
        yield f"| {name} | {cells} |"


def _peaks(results: Results) -> Iterator[str]:
    if not results.peaks:
        yield "Peak memory was not measured."
        return
    yield "A process that does nothing else and drops each piece of the answer as it comes: peak"
    yield "resident memory and seconds of the first pass, and median of five more (ours alone):"
    yield ""
    yield "| engine | GiB | first | later | clicks/s |"
    yield "|---|--:|--:|--:|--:|"
    for name, peak in results.peaks.items():
        later = f"{peak.steady:.2f}" if peak.seconds[1:] else ""
        rate = f"{peak.clicks / peak.steady:,.0f}"
        memory = f"{peak.peak_bytes / GIB:.2f}"
        yield f"| {name} | {memory} | {peak.seconds[0]:.2f} | {later} | {rate} |"


def _starts(results: Results) -> Iterator[str]:
    starts = results.starts
    yield f"`replay --help` takes {starts.help:.2f} s (median of ten). `replay features` over a"
    yield f"small log takes {starts.first:.1f} s the first time, while kernels are compiled, and"
    yield f"{starts.second:.1f} s after that."


def _targets(results: Results) -> Iterator[str]:
    yield "| target | measured | met |"
    yield "|---|--:|---|"
    for name, least in (("duckdb-exact", 8), ("duckdb-composite", 8), ("duckdb-plain", 4)):
        if name in results.timings:
            ratio = results.ratio(name)
            yield _target(f"≥ {least} times {name}", f"{ratio:.1f} times", ratio >= least)
    speed = results.clicks / results.timings["ours"].median
    yield _target("≥ 1.5 million clicks/s, all kept", f"{speed / 1e6:.2f} million", speed >= 1.5e6)
    if "ours" in results.peaks:
        speed = results.clicks / results.peaks["ours"].steady
        measured = f"{speed / 1e6:.2f} million"
        yield _target("≥ 1.5 million clicks/s, dropped as they come", measured, speed >= 1.5e6)
        peak = results.peaks["ours"].peak_bytes / GIB
        yield _target("≤ 1.5 GiB", f"{peak:.2f} GiB", peak <= 1.5)
    yield _target("`--help` ≤ 0.3 s", f"{results.starts.help:.2f} s", results.starts.help <= 0.3)


def _target(text: str, measured: str, met: bool) -> str:
    return f"| {text} | {measured} | {'yes' if met else 'no'} |"
