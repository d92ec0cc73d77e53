"""Where the time of a run goes, as Markdown."""

from collections.abc import Iterator, Mapping

from benchmarks.run.floors import Floor
from benchmarks.run.stages import NAMES, Stages


def stage_table(stages: Stages, floors: Mapping[str, Floor]) -> Iterator[str]:
    """Yield the lines of a table, a stage a line."""
    read = stages.counts["read"]
    yield f"Processor seconds of one run in one process, one thread, nothing overlapped: {read:,}"
    yield f"clicks read, {stages.counts['decided']:,} decided. Floors are of one thread too."
    yield ""
    yield "| stage | seconds | share | ns a click read | floor | times the floor | made of |"
    yield "|---|--:|--:|--:|--:|--:|---|"
    for name in NAMES:
        seconds, floor = stages.seconds[name], floors.get(name)
        cells = f"{seconds:.2f} | {seconds / stages.total:.1%} | {1e9 * seconds / read:,.0f}"
        least = " |  | "
        if floor:
            least = f"{floor.seconds:.2f} | {seconds / floor.seconds:.1f} | {floor.made_of}"
        yield f"| {name} | {cells} | {least} |"
    yield f"| all | {stages.total:.2f} | 100.0% | {1e9 * stages.total / read:,.0f} |  |  |  |"
