"""Records a run as the production decisions of a log that has none there."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from replay.decision_log import decision_rows
from replay.features import stream_specs
from replay.lake import Lake
from replay.production import models_folder
from replay.runs import RunFolder, RunManifest, read_manifest, run_folder
from replay.snapshot import Snapshot, connect, reading
from replay.span import Span
from scorer.decisions import Decisions
from scorer.errors import BadInput, Inconsistent
from scorer.registry import ModelVersion, Registry

REASON = "recorded"


def record_run(lake: Lake, run_id: str) -> int:
    """Write a run's decisions, with their features, as production's; return how many.

    The same run again adds nothing. Raises BadInput where the run scored only some of the clicks
    or production has decisions in its span, Inconsistent where its model version was exchanged.
    """
    folder = run_folder(lake, run_id)
    manifest = read_manifest(folder)
    if manifest.where or manifest.sample or manifest.features != "recomputed":
        raise BadInput(
            f"run {manifest.run_id} is no record of production: it has --where, --sample or "
            "--features logged; run it again without"
        )
    version = Registry(models_folder(lake)).load(manifest.model_version)
    if version.digest != manifest.model_digest:
        raise Inconsistent(
            f"run {manifest.run_id} was made with another {version.name}: its digest was "
            f"{manifest.model_digest[:12]} and is {version.digest[:12]}"
        )
    snapshot = Snapshot.at_versions(lake, manifest.table_versions)
    with lake.lock(), reading(snapshot):
        transaction = (f"record/{manifest.run_id}", 1)
        if lake.transaction("decisions", transaction[0]) is None:
            _refuse_others(Snapshot.take(lake), manifest.span)
        return lake.append("decisions", _rows(snapshot, version, manifest, folder), transaction)


def _refuse_others(snapshot: Snapshot, span: Span) -> None:
    with connect(1) as connection:
        logged, corrected = (
            connection.sql(f"SELECT count(*) FROM {snapshot.source(name, span)}").fetchall()[0][0]
            for name in ("decisions", "verdicts")
        )
    if logged:
        raise BadInput(
            f"production already has {logged:,} decisions in {span}; "
            "a run can be recorded only where there are none"
        )
    if corrected:
        raise BadInput(
            f"the ledger already has {corrected:,} verdicts in {span}, which started from no "
            "decision; a run can be recorded only before anything is published"
        )


def _rows(
    snapshot: Snapshot, version: ModelVersion, manifest: RunManifest, folder: RunFolder
) -> Iterator[pa.RecordBatch]:
    """Pair the run's parts with the features, computed again from the same table versions."""
    slices = stream_specs(
        snapshot,
        [version.spec],
        manifest.span,
        slice_length=manifest.slice_length_us,
    )
    for number, piece in enumerate(slices):
        part = _part(folder.part("decisions", number))
        if not part["click_id"].equals(piece.clicks["click_id"]):
            raise Inconsistent(
                f"part {number} of run {manifest.run_id} does not hold the clicks of the log; "
                "the run or the lake was changed by hand"
            )
        decisions = Decisions(
            part["probability"].to_numpy(),
            part["threshold"].to_numpy(),
            part["slice"].combine_chunks(),
            np.zeros(part.num_rows, np.bool_),
        )
        features = piece.features[version.spec.digest]
        times = piece.clicks["ts"].to_numpy()
        yield decision_rows(version, piece.clicks, features, decisions, times, REASON)


def _part(path: Path) -> pa.Table:
    try:
        return pq.read_table(path)
    except (OSError, pa.ArrowException) as exc:
        raise Inconsistent(f"{path} can't be read: {exc}; replay the span again") from exc
