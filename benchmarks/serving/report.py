"""What was measured, as Markdown."""

from collections.abc import Iterator, Sequence

from benchmarks.machine import Machine
from benchmarks.serving.jitter import Jitter
from benchmarks.serving.measure import Row

GIB = 1 << 30


def said(row: Row) -> str:
    """Say a row in a line, as progress."""
    found = row.outcome
    return (
        f"{row.name}, {row.plan.rate:g}/s, {row.workers} workers: p50 {found.latency.p50:.2f}, "
        f"p99 {found.latency.p99:.2f}, p99.9 {found.latency.p999:.2f}, "
        f"most {found.latency.most:.1f} ms; {row.failed} failed, {row.undecided} undecided"
    )


def markdown(machine: Machine, rows: Sequence[Row]) -> Iterator[str]:
    """Write everything that was measured."""
    versions = ", ".join(f"{name} {number}" for name, number in machine.versions.items())
    yield f"## Serving, {machine.date}"
    yield ""
    yield f"- machine: {machine.processor}, {machine.cores} cores,"
    yield f"  {machine.memory_bytes / GIB:.1f} GiB, {machine.system}; load {machine.load:.1f}"
    yield f"- versions: {versions}"
    yield ""
    yield from _latencies(rows)
    yield ""
    yield from _machine(rows)


def _latencies(rows: Sequence[Row]) -> Iterator[str]:
    yield "Milliseconds from when a request was due to the end of its answer:"
    yield ""
    yield (
        "| what | workers | requests/s | s | p50 | p90 | p99 | p99.9 | p99.99 | most | failed "
        "| undecided | decided in 5 ms | ≥ 99.9% |"
    )
    yield "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|"
    for row in rows:
        at = row.outcome.latency
        cells = " | ".join(
            f"{each:.2f}" for each in (at.p50, at.p90, at.p99, at.p999, at.p9999, at.most)
        )
        yield (
            f"| {row.name} | {row.workers} | {row.plan.rate:g} | {row.plan.seconds:g} | {cells} "
            f"| {row.failed} | {row.undecided} | {row.in_time:.3%} | {'yes' if row.met else 'no'} |"
        )
    for row in rows:
        if row.swap is not None:
            yield ""
            yield f"Swap, {row.workers} workers: {_swap(row)}."


def _swap(row: Row) -> str:
    if row.swap is None or row.swap.first is None or row.swap.last is None:
        return "no answer by the new version"
    return (
        f"{row.swap.first:.2f} s after the pointer had moved came the first answer by the new "
        f"version, after {row.swap.last:.2f} s the last by the old one"
    )


def _machine(rows: Sequence[Row]) -> Iterator[str]:
    yield (
        "In the same minutes: how late the generator itself was (ms), what each process took of a "
        "core, and the machine's own jitter, as gaps over 0.5 ms and the longest (ms): a spinning "
        "thread on each core before and after, and naps at real-time priority meanwhile:"
    )
    yield ""
    yield "| what | workers | requests/s | late p99.9 | most | cores | before | during | after |"
    yield "|---|--:|--:|--:|--:|---|--:|--:|--:|"
    for row in rows:
        slip = row.outcome.slip
        cores = ", ".join(f"{name} {share:.2f}" for name, share in row.cores.items())
        gaps = " | ".join(_gaps(found) for found in (row.before, row.during, row.after))
        yield (
            f"| {row.name} | {row.workers} | {row.plan.rate:g} | {slip.p999:.2f} | {slip.most:.2f} "
            f"| {cores} | {gaps} |"
        )


def _gaps(found: Sequence[Jitter]) -> str:
    return f"{sum(core.gaps for core in found)}, {max(core.most for core in found):.1f}"
