"""From a prepared audit to its folder: one pass, figures that add up, digests of all of it."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from recovery.audit.figures import Audit, figures
from recovery.audit.files import (
    AUDIT,
    DIFFERENCES,
    AuditManifest,
    DifferenceWriter,
    check_free,
    new_folder,
    read_digests,
    write_json,
)
from recovery.audit.forms import audit_json
from recovery.audit.judging import judge
from recovery.audit.preparing import Prepared
from recovery.audit.tallies import Tallies
from replay.lake import Lake
from replay.runs import MANIFEST, code_version, new_run_id, sha256_of
from replay.snapshot import reading
from replay.span import to_datetime
from scorer.manifest import library_versions


def place(lake: Lake, out: str | None) -> Path:
    """Return the folder that an audit is written to; raise BadInput where it is taken.

    Without `out` it is a new one in the lake's `audits`, whose name sorts by time.
    """
    if out is None:
        return lake.home / "audits" / new_run_id(datetime.now(UTC))
    path = Path(out).absolute()
    check_free(path)
    return path


def execute(
    prepared: Prepared, folder: Path, advance: Callable[[int], None]
) -> tuple[AuditManifest, Audit]:
    """Audit, write the folder, and keep it if the figures add up; `advance` hears of clicks read.

    Raises Inconsistent where they do not, or where a file of the lake can't be read; nothing is
    kept then.
    """
    started = time.monotonic()
    plan = prepared.plan
    with reading(plan.snapshot), new_folder(folder) as unfinished:
        tallies = Tallies(plan)
        with DifferenceWriter(unfinished / DIFFERENCES, plan.versions) as differences:
            for judged in judge(plan, advance):
                tallies.add(judged)
                differences.write(judged)
        audit = figures(prepared, tallies, differences.rows)
        write_json(unfinished / AUDIT, audit_json(audit))
        written = {name: sha256_of(unfinished / name) for name in (AUDIT, DIFFERENCES)}
        read = read_digests(plan)
        manifest = _manifest(prepared, read, written, time.monotonic() - started)
        write_json(unfinished / MANIFEST, manifest.model_dump(mode="json"))
    return manifest, audit


def _manifest(
    prepared: Prepared, read: dict[str, str], written: dict[str, str], seconds: float
) -> AuditManifest:
    plan, request = prepared.plan, prepared.request
    return AuditManifest(
        created_at=datetime.now(UTC),
        lake_id=prepared.lake.identity(),
        start=to_datetime(plan.span.start),
        end=to_datetime(plan.span.end),
        models=tuple(version.name for version in plan.versions),
        as_of=None if request.as_of is None else to_datetime(request.as_of),
        settled_until=to_datetime(prepared.settled_until),
        device=plan.device,
        slice_length_us=plan.slice_length,
        table_versions=plan.snapshot.versions,
        log_digest=plan.snapshot.digest(),
        code_version=code_version(),
        libraries=library_versions(),
        read=read,
        written=written,
        notes=prepared.unsettled,
        seconds=round(seconds, 3),
    )
