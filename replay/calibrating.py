"""From a stored version to one with the same weights and a threshold for each slice.

The clicks are those that training held out: the last fifth of the version's own span. Labels are by
the purchases known at its end, as they are in the lake now; what landed since training counts too.
Both the weights and the thresholds know nothing after that span's end.
"""

from dataclasses import dataclass, field

import numpy as np

from replay.console import Advance
from replay.lake import Lake, writing
from replay.served import check_served
from replay.snapshot import Snapshot
from replay.span import Span, to_micros
from replay.training import open_registry, training_set
from scorer.allocation import Guards
from scorer.calibration import check_budget
from scorer.curves import Clicks
from scorer.errors import BadInput
from scorer.manifest import Manifest
from scorer.registry import ModelVersion
from scorer.slice_calibration import Method, SliceCalibration, calibrate_slices
from scorer.training import HELD_OUT, Metrics, check_reals, measured
from scorer.versions import Versions, check_name


@dataclass(frozen=True)
class Request:
    """What to calibrate: `parent`, a stored version's name, as the new version `name`."""

    parent: str
    name: str
    budget: float
    guards: Guards = field(default_factory=Guards)
    method: Method = "quadratic"


def calibrate_version(
    lake: Lake, snapshot: Snapshot, request: Request, advance: Advance
) -> tuple[ModelVersion, SliceCalibration]:
    """Calibrate on a snapshot and store the new version; `advance` hears of clicks read.

    Raises BadInput, NotTrainable, Infeasible or OutsideLog before anything is written.
    """
    registry = open_registry(lake)
    check_budget(request.budget)
    check_name(request.name)
    registry.check_free(request.name)
    version = registry.load(request.parent)
    clicks = held_out_clicks(snapshot, version, advance)
    found = calibrate_slices(clicks, request.budget, request.guards, request.method)
    with writing(registry.folder):
        made = registry.recalibrate(
            request.name, request.parent, found.calibration, _metrics(version.manifest, found)
        )
    return made, found


def free_name(versions: Versions, parent: str) -> str:
    """Return the first of `parent`-c1, `parent`-c2, … that no version has."""
    taken = set(versions.names())
    number = next(k for k in range(1, len(taken) + 2) if f"{parent}-c{k}" not in taken)
    return f"{parent}-c{number}"


def held_out_span(manifest: Manifest) -> Span:
    """Return the last fifth of a version's training span; raise BadInput where none is known."""
    if manifest.training is None:
        hint = "train one with `replay train`"
        if manifest.imported:
            hint = "import it again with a threshold for each slice"
        raise BadInput(
            f"version {manifest.name!r} does not say what it was trained on, so no click is known "
            f"to be new to it; {hint}"
        )
    start, end = to_micros(manifest.training.start), to_micros(manifest.training.end)
    return Span(end - int((end - start) * HELD_OUT), end)


def held_out_clicks(snapshot: Snapshot, version: ModelVersion, advance: Advance) -> Clicks:
    """Score the clicks that training held out; labels know the purchases before the span's end.

    Raises BadInput for a version that does not say what it was trained on or that the lake can't
    serve, OutsideLog where the log no longer holds what it held out, NotTrainable where a profile
    value there is no finite number.
    """
    span = held_out_span(version.manifest)
    check_served(snapshot, version)
    rows = training_set(
        snapshot,
        version.spec,
        span,
        advance,
        slice_columns=version.manifest.slice_columns,
    )
    check_reals(rows, version.spec)
    p = version.probabilities(rows.facts, rows.reals)
    return Clicks(p, rows.purchasing, rows.robotic, rows.slices.astype(np.int64), rows.slice_keys)


def _metrics(parent: Manifest, found: SliceCalibration) -> Metrics:
    """Return the new version's metrics: what was trained on, and what each way would do."""
    chosen = found.chosen
    metrics: Metrics = dict(parent.metrics)  # those of thresholds are all measured anew
    metrics |= {"held_out_rows": chosen.ivr.whole, "held_out_purchasing": chosen.fpr.whole}
    metrics |= measured("ivr", chosen.ivr) | measured("fpr", chosen.fpr)
    metrics |= measured("coverage", chosen.coverage)
    metrics |= {"fpr_upper": chosen.fpr_upper, "threshold": found.calibration.overall}
    for outcome in found.outcomes:
        name = outcome.name.replace(" ", "_")
        metrics |= {f"ivr_{name}": outcome.ivr.rate, f"fpr_{name}": outcome.fpr.rate}
        if outcome.promised is not None:
            metrics[f"ivr_{name}_promised"] = outcome.promised
    return metrics
