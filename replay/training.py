"""From a span of the log to a stored model version: features, weak labels, fitting, threshold."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from replay.console import Advance
from replay.features import FeatureSlice, stream
from replay.labels import Labels, no_clicks, weak_labels
from replay.lake import Lake, writing
from replay.production import models_folder
from replay.served import check_profiles
from replay.sessions import robotic_sessions
from replay.snapshot import Snapshot
from replay.span import Span, to_datetime
from scorer.manifest import TrainingRecord
from scorer.registry import ModelVersion, Registry
from scorer.scoring import choose_device
from scorer.slices import DEFAULT_COLUMNS, slice_codes
from scorer.spec import Spec
from scorer.training import Settings, Tell, Trained, TrainingSet, check_choices, train
from scorer.versions import check_name


@dataclass(frozen=True)
class Request:
    """What to train: a new version's name, on the clicks of `span`."""

    name: str
    span: Span
    spec: Spec
    architecture: str = "mlp"
    settings: Settings = field(default_factory=Settings)


def open_registry(lake: Lake) -> Registry:
    """Return a lake's registry, for loading and writing versions."""
    return Registry(models_folder(lake))


def train_version(
    lake: Lake, snapshot: Snapshot, request: Request, advance: Advance, tell: Tell
) -> tuple[ModelVersion, Trained]:
    """Train on a snapshot and store the version.

    `advance` hears of clicks read, `tell` of epochs. Raises BadInput, NotTrainable or OutsideLog
    before anything is written.
    """
    registry = open_registry(lake)
    check_name(request.name)
    registry.check_free(request.name)
    check_choices(request.spec, request.architecture, request.settings)
    check_profiles(snapshot, request.spec, "the spec")
    data = training_set(snapshot, request.spec, request.span, advance)
    trained = train(data, request.spec, request.architecture, request.settings, tell)
    with writing(registry.folder):
        version = registry.write(
            request.name,
            trained.module,
            request.spec,
            trained.calibration,
            training=_record(snapshot, request, trained),
            metrics=trained.metrics,
        )
    return version, trained


def training_set(
    snapshot: Snapshot,
    spec: Spec,
    span: Span,
    advance: Advance,
    *,
    slice_columns: Sequence[str] = DEFAULT_COLUMNS,
    known_by: int | None = None,
) -> TrainingSet:
    """Gather the features, weak labels and slices of a span's clicks.

    Labels know the purchases that had arrived before `known_by` (µs), the end of the span where it
    is None. Raises OutsideLog where the span holds no click.
    """
    known_by = span.end if known_by is None else known_by
    labels = weak_labels(snapshot, span, known_by)
    sessions = robotic_sessions(snapshot, span, known_by)
    columns = ["user_id", "session_id", "logged_in", *slice_columns]
    parts, slices = [], []
    for piece in stream(snapshot, spec, span, columns=columns):
        parts.append(_fields(piece, labels, sessions))
        slices.append(piece.clicks.select(slice_columns))
        advance(piece.clicks.num_rows)
    if not sum(part.num_rows for part in slices):
        raise no_clicks(snapshot, span)
    codes, keys = slice_codes(pa.concat_tables(slices), slice_columns)
    joined = {
        name: np.concatenate([part.pop(name) for part in parts], axis=-1) for name in [*parts[0]]
    }
    return TrainingSet(
        **joined,
        slices=codes.astype(np.int32),
        slice_keys=tuple(keys),
        start=span.start,
        end=span.end,
    )


def _fields(piece: FeatureSlice, labels: Labels, sessions: pa.Array) -> dict[str, Any]:
    """Return what a training set holds of one slice of time: field → array."""
    clicks = piece.clicks
    purchasing, high_rfm = labels.of(clicks)
    return {
        "facts": piece.facts,
        "reals": piece.reals,
        "ts": clicks["ts"].to_numpy(),
        "human": purchasing | high_rfm,
        "purchasing": purchasing,
        "robotic": pc.is_in(clicks["session_id"], value_set=sessions).to_numpy(),
        "logged_in": clicks["logged_in"].to_numpy(),
    }


def _record(snapshot: Snapshot, request: Request, trained: Trained) -> TrainingRecord:
    config = snapshot.lake.config
    return TrainingRecord(
        start=to_datetime(request.span.start),
        end=to_datetime(request.span.end),
        as_of=None if snapshot.as_of is None else to_datetime(snapshot.as_of),
        table_versions=snapshot.versions,
        labels={"attribution_hours": config.attribution_hours, **config.labels.model_dump()},
        seed=request.settings.seed,
        device=choose_device(request.settings.device),
        weight_cap=request.settings.weight_cap if request.settings.weights else None,
        epochs=len(trained.losses),
        losses=tuple(trained.losses),
        held_out_losses=tuple(trained.held_out_losses),
    )
