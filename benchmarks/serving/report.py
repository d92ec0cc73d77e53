"""What was measured, as Markdown."""

from collections.abc import Iterator, Sequence

from benchmarks.machine import Machine
from benchmarks.serving.cases import Beside
from benchmarks.serving.jitter import Jitter
from benchmarks.serving.latency import Latency
from benchmarks.serving.measure import Row

GIB = 1 << 30


def said(row: Row) -> str:
    """Say a row in a line, as progress."""
    at = row.outcome.latency
    return (
        f"{row.name}, {row.plan.rate:g}/s, {row.workers} workers: p50 {at.p50:.2f}, "
        f"p99 {at.p99:.2f}, p99.9 {at.p999:.2f}, most {at.most:.1f} ms; {row.failed} failed, "
        f"{row.undecided} undecided, {row.in_time:.3%} in time"
    )


def markdown(machine: Machine, rows: Sequence[Row], beside: Beside | None) -> Iterator[str]:
    """Write everything that was measured."""
    versions = ", ".join(f"{name} {number}" for name, number in machine.versions.items())
    yield f"## Serving, {machine.date}"
    yield ""
    yield f"- machine: {machine.processor}, {machine.cores} cores,"
    yield f"  {machine.memory_bytes / GIB:.1f} GiB, {machine.system}; load {machine.load:.1f}"
    yield f"- versions: {versions}"
    if rows:
        yield from _latencies(rows)
        yield from _highest(rows)
        yield from _swaps(rows)
        yield from _machine(rows)
    if beside is not None:
        yield from _beside(beside)
        yield from _shares(beside, rows)


def _latencies(rows: Sequence[Row]) -> Iterator[str]:
    yield ""
    yield "Milliseconds from when a request was due to the end of its answer:"
    yield ""
    yield (
        "| what | workers | requests/s | s | p50 | p90 | p99 | p99.9 | p99.99 | most | failed "
        "| undecided | decided in 5 ms | ≥ 99.9% |"
    )
    yield "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|"
    for row in rows:
        yield (
            f"| {row.name} | {row.workers} | {row.plan.rate:g} | {row.plan.seconds:g} "
            f"| {_cells(row.outcome.latency)} | {row.failed} | {row.undecided} "
            f"| {row.in_time:.3%} | {'yes' if row.met else 'no'} |"
        )


def _cells(at: Latency) -> str:
    values = (at.p50, at.p90, at.p99, at.p999, at.p9999, at.most)
    return " | ".join(f"{each:.2f}" for each in values)


def _highest(rows: Sequence[Row]) -> Iterator[str]:
    yield ""
    yield "The highest of these rates that met it:"
    yield ""
    for what in dict.fromkeys((row.plan.batch, row.workers) for row in rows):
        same = [row for row in rows if (row.plan.batch, row.workers) == what]
        met = [row.plan.rate for row in same if row.met]
        shown = f"{max(met):g} requests/s" if met else "none"
        yield f"- {what[0]} click{'s' * (what[0] > 1)} each, {what[1]} workers: {shown}"


def _swaps(rows: Sequence[Row]) -> Iterator[str]:
    for row in rows:
        if row.swap is None:
            continue
        yield ""
        if row.swap.first is None or row.swap.last is None:
            yield f"Swap, {row.workers} workers: no answer by the new version."
        else:
            yield (
                f"Swap, {row.workers} workers: the new version answered first {row.swap.first:.2f} "
                f"s after the pointer had moved, the old one last after {row.swap.last:.2f} s."
            )


def _machine(rows: Sequence[Row]) -> Iterator[str]:
    yield ""
    yield (
        "In the same minutes: how late the generator itself took requests up (ms), what each "
        "process took of a core, and the machine's jitter, as gaps over 0.5 ms and the longest "
        "(ms), of a thread that spins on each core before and after, and of naps at real-time "
        "priority meanwhile; what the host took from this machine (s):"
    )
    yield ""
    yield (
        "| what | workers | requests/s | late p99.9 | most | cores | before | during | after "
        "| stolen |"
    )
    yield "|---|--:|--:|--:|--:|---|--:|--:|--:|--:|"
    for row in rows:
        slip = row.outcome.slip
        cores = ", ".join(f"{name} {share:.2f}" for name, share in row.cores.items())
        gaps = " | ".join(_gaps(found) for found in (row.before, row.during, row.after))
        yield (
            f"| {row.name} | {row.workers} | {row.plan.rate:g} | {slip.p999:.2f} | {slip.most:.2f} "
            f"| {cores} | {gaps} | {row.stolen:.2f} |"
        )


def _gaps(found: Sequence[Jitter]) -> str:
    return f"{sum(core.gaps for core in found)}, {max(core.most for core in found):.1f}"


def _beside(beside: Beside) -> Iterator[str]:
    floor = beside.floor
    spent = floor.processor_seconds / floor.requests * 1e6
    redis = beside.redis
    yield ""
    yield (
        "Redis by itself, one client and 1,000 calls a second; the generator against a server "
        f"that answers without looking ({spent:.0f} µs of processor time a request); each stage "
        "of the service in a loop of its own (ms):"
    )
    yield ""
    yield "| what | p50 | p90 | p99 | p99.9 | p99.99 | most | processor, µs |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|"
    yield f"| Redis: PING | {_fine(redis.ping)} | |"
    yield f"| Redis: the store's script | {_fine(redis.script)} | |"
    yield f"| Redis: the same, as the service calls it | {_fine(redis.store)} | |"
    yield f"| generator and a server that does nothing | {_fine(floor.latency)} | {spent:.0f} |"
    for stage in beside.stages:
        yield f"| stage: {stage.name} | {_fine(stage.took)} | {stage.processor:.0f} |"


def _fine(at: Latency) -> str:
    values = (at.p50, at.p90, at.p99, at.p999, at.p9999, at.most)
    return " | ".join(f"{each:.3f}" for each in values)


def _shares(beside: Beside, rows: Sequence[Row]) -> Iterator[str]:
    """Say where the time of a typical click goes, from the medians."""
    took = {stage.name: stage.took.p50 * 1000 for stage in beside.stages}
    script = beside.redis.server * 1000
    parts = {
        "parse": took["parse"],
        "Redis, the script": script,
        "Redis, to and fro": took["store"] - script,
        "features": took["features"],
        "score": took["score"],
        "answer": took["features, score, answer"] - took["features"] - took["score"],
        "reply and metrics": took["parse, reply, metrics"] - took["parse"],
        "network and generator": beside.floor.latency.p50 * 1000,
    }
    shown = ", ".join(f"{name} {each:.0f}" for name, each in parts.items())
    yield ""
    yield f"Where the time of a click goes, µs by the medians: {shown}"
    singles = [row for row in rows if row.plan.batch == 1]
    if singles:
        whole = singles[0].outcome.latency.p50 * 1000
        yield (
            f"= {sum(parts.values()):.0f}; a click took {whole:.0f} in the first row: the rest is "
            "HTTP and waiting."
        )
