"""From a plan and the slices that are done to a finished run."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch

from replay.ahead import ahead
from replay.errors import BadQuery
from replay.replayer import Plan, replay
from replay.runs import Resumed, RunFolder, RunInputs, RunManifest
from replay.snapshot import Snapshot, connect, reading
from replay.span import Span
from replay.summary import Summary, Tally, reconcile, summarise
from replay.unfinished import Unfinished
from scorer.errors import Inconsistent

LIBRARIES = ("duckdb", "numba", "numpy", "pyarrow", "torch")


def made_with() -> dict[str, str]:
    """Return the versions of what a run's bytes depend on, and what the processor can do."""
    versions = {name: metadata.version(name) for name in LIBRARIES}
    return versions | {"processor": torch.backends.cpu.get_cpu_capability()}


def complete(
    run: Unfinished, plan: Plan, advance: Callable[[int], None], *, resumed: bool = False
) -> tuple[RunManifest, Summary]:
    """Replay the slices that are not done, check that the figures reconcile, write the manifest."""
    started = time.monotonic()
    folder, first, read = run.folder, run.slices_done, 0

    def count(clicks: int) -> None:
        nonlocal read
        read += clicks
        advance(clicks)

    with answering(run.plan.where), reading(plan.snapshot), connect() as connection:
        replayed, changed = _tally(folder, first)
        for number, piece in enumerate(ahead(replay(plan, count, first)), first):
            folder.write_part("decisions", number, piece.decisions)
            folder.write_part("changes", number, piece.changes)
            replayed += piece.decisions.num_rows
            micros = pc.sum(piece.changes["adjustment_micros"]).as_py() or 0
            changed = Tally(changed.clicks + piece.changes.num_rows, changed.micros + micros)
        try:
            summary = summarise(connection, folder, noise_floor=plan.noise_floor)
            reconcile(summary, replayed, changed)
        except Inconsistent:
            run.discard()  # to resume it would end here again
            raise
        read_before = clicks_before(plan, first)
    manifest = RunManifest(
        **{name: getattr(run.plan, name) for name in RunInputs.model_fields},
        counts={
            "read": read_before + read,
            "replayed": summary.clicks,
            "decided": summary.decided,
            "undecided": summary.undecided,
            "changed": summary.changed.clicks,
            "adjustment_micros": summary.changed.micros,
            "cold_start": run.plan.cold_start,
            "gap": run.plan.gap,
            **(summary.floor.counts if summary.floor else {}),
        },
        digests=folder.digests(),
        seconds=round(time.monotonic() - started, 3),
        resumed=Resumed(slice=first, read=read) if resumed else None,
    )
    folder.write_manifest(manifest)
    return manifest, summary


@contextmanager
def answering(where: str | None) -> Iterator[None]:
    """Blame a `where` for an error that its parse could not show, as of a cast."""
    try:
        yield
    except (duckdb.DataError, duckdb.InvalidInputException) as exc:
        if where is None:
            raise
        said = str(exc).strip().splitlines()[0]
        raise BadQuery(f"--where {where!r} fails on a click: {said}") from exc


def _tally(folder: RunFolder, slices: int) -> tuple[int, Tally]:
    """Count the clicks and the changes of the slices that are done."""
    replayed, changed, micros = 0, 0, 0
    for number in range(slices):
        replayed += pq.read_metadata(folder.part("decisions", number)).num_rows
        path = folder.part("changes", number)
        try:
            found = pq.read_table(path, columns=["adjustment_micros"])["adjustment_micros"]
        except (OSError, pa.ArrowException) as exc:
            said = str(exc).splitlines()[0].rstrip(".")
            raise Inconsistent(
                f"{path} can't be read: {said}; remove it, to have its slice made again"
            ) from exc
        changed += len(found)
        micros += pc.sum(found).as_py() or 0
    return replayed, Tally(changed, micros)


def clicks_before(plan: Plan, first: int) -> int:
    """Count the clicks that an uninterrupted run reads and one from slice `first` on does not."""
    slices = plan.slices
    start = slices[0].start - plan.look_back
    end = slices[first].start - plan.look_back if first < len(slices) else slices[-1].end
    return _clicks(plan.snapshot, Span(start, end)) if start < end else 0


def _clicks(snapshot: Snapshot, span: Span) -> int:
    with connect(1) as connection:
        query = f"SELECT count(*) FROM {snapshot.source('clicks', span)}"
        return int(connection.sql(query).fetchall()[0][0])
