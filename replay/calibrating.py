"""From a stored version to one with the same weights and a threshold for each slice.

The clicks are those that training held out: the last fifth of the version's own span, with the
labels that training had. Both the weights and the thresholds know nothing after that span's end.
"""

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from replay.console import Advance
from replay.errors import OutsideLog
from replay.features import stream
from replay.labels import purchasing_clicks
from replay.lake import Lake, writing
from replay.snapshot import Snapshot, connect
from replay.span import Span, to_micros
from replay.training import open_registry
from scorer.allocation import Guards
from scorer.calibration import check_budget
from scorer.curves import Clicks
from scorer.errors import BadInput
from scorer.manifest import Manifest
from scorer.metrics import SESSION_WINDOW
from scorer.registry import ModelVersion
from scorer.slice_calibration import Method, SliceCalibration, calibrate_slices
from scorer.slices import slice_codes
from scorer.training import HELD_OUT, Metrics
from scorer.versions import Versions, check_name

_ROBOTIC_SESSIONS = """
SELECT DISTINCT session_id FROM (
  SELECT session_id,
    epoch_us(ts) - lag(epoch_us(ts), {k}) OVER (PARTITION BY session_id ORDER BY ts) AS took
  FROM {clicks} WHERE session_id IS NOT NULL
) WHERE took < {window}
"""


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
        raise BadInput(
            f"version {manifest.name!r} does not say what it was trained on, so no click is known "
            "to be new to it; train one with `replay train`"
        )
    start, end = to_micros(manifest.training.start), to_micros(manifest.training.end)
    return Span(end - int((end - start) * HELD_OUT), end)


def held_out_clicks(snapshot: Snapshot, version: ModelVersion, advance: Advance) -> Clicks:
    """Score the clicks that training held out; labels know the purchases before the span's end.

    Raises BadInput or OutsideLog where there are none.
    """
    span, columns = held_out_span(version.manifest), version.manifest.slice_columns
    humans = purchasing_clicks(snapshot, span, known_by=span.end)
    sessions = robotic_sessions(snapshot, span)
    parts, probabilities = [], []
    for piece in stream(snapshot, version.spec, span, columns=[*columns, "session_id"]):
        parts.append(piece.clicks)
        probabilities.append(version.probabilities(piece.facts, piece.reals))
        advance(piece.clicks.num_rows)
    clicks = pa.concat_tables(parts)
    if not clicks.num_rows:
        raise OutsideLog(
            f"the log holds no click in {span}, which version {version.name!r} held out"
        )
    codes, keys = slice_codes(clicks, columns)
    return Clicks(
        np.concatenate(probabilities),
        pc.is_in(clicks["click_id"], value_set=humans).to_numpy(),
        pc.is_in(clicks["session_id"], value_set=sessions).to_numpy(),
        codes,
        tuple(keys),
    )


def robotic_sessions(snapshot: Snapshot, span: Span) -> pa.Array:
    """Return the ids of robotic sessions; an hour on both sides of the span is looked at.

    A session is robotic with more clicks than the lake's `session_clicks` inside some 3,600 s.
    """
    around = Span(span.start - SESSION_WINDOW, span.end + SESSION_WINDOW)
    query = _ROBOTIC_SESSIONS.format(
        k=snapshot.lake.config.session_clicks,
        clicks=snapshot.source("clicks", around),
        window=SESSION_WINDOW,
    )
    with connect(2) as connection:
        found = connection.sql(query).to_arrow_table()
    return found["session_id"].combine_chunks()


def _metrics(parent: Manifest, found: SliceCalibration) -> Metrics:
    """Return the new version's metrics: what was trained on, and what each way would do."""
    kept = ("rows", "humans")
    metrics: Metrics = {name: parent.metrics[name] for name in kept if name in parent.metrics}
    chosen = found.chosen
    metrics |= {"held_out_rows": chosen.ivr.whole, "held_out_humans": chosen.fpr.whole}
    for name, share in (("ivr", chosen.ivr), ("fpr", chosen.fpr)):
        low, high = share.interval
        metrics |= {name: share.rate, f"{name}_low": low, f"{name}_high": high}
    metrics |= {"fpr_upper": chosen.fpr_upper, "threshold": found.calibration.overall}
    for outcome in found.outcomes:
        name = outcome.name.replace(" ", "_")
        metrics |= {f"ivr_{name}": outcome.ivr.rate, f"fpr_{name}": outcome.fpr.rate}
        if outcome.promised is not None:
            metrics[f"ivr_{name}_promised"] = outcome.promised
    return metrics
