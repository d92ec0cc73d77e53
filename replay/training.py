"""From a span of the log to a stored model version: features, weak labels, fitting, threshold."""

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from replay.console import Advance
from replay.errors import OutsideLog
from replay.features import stream
from replay.labels import purchasing_clicks
from replay.lake import Lake, writing
from replay.production import models_folder
from replay.snapshot import Snapshot
from replay.span import Span, to_datetime
from scorer.manifest import TrainingRecord
from scorer.registry import ModelVersion, Registry
from scorer.scoring import choose_device
from scorer.slices import DEFAULT_COLUMNS, slice_codes
from scorer.spec import Spec
from scorer.training import Settings, Tell, Trained, TrainingSet, check_choices, train
from scorer.versions import check_name

SLICE_COLUMNS = list(DEFAULT_COLUMNS)


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


def training_set(snapshot: Snapshot, spec: Spec, span: Span, advance: Advance) -> TrainingSet:
    """Gather the features and weak labels of a span; labels know the purchases before its end.

    Raises OutsideLog where the span holds no click.
    """
    humans = purchasing_clicks(snapshot, span, known_by=span.end)
    slices, labels, clicks = [], [], []
    for piece in stream(snapshot, spec, span, columns=SLICE_COLUMNS):
        slices.append((piece.facts, piece.reals, piece.clicks["ts"].to_numpy()))
        clicks.append(piece.clicks.select(SLICE_COLUMNS))
        labels.append(pc.is_in(piece.clicks["click_id"], value_set=humans).to_numpy())
        advance(piece.clicks.num_rows)
    if not sum(len(label) for label in labels):
        log = snapshot.log_span()
        covers = f"the log covers {log}" if log else "the log is empty"
        raise OutsideLog(f"no click in {span}; {covers}")
    facts, reals, ts = (list(part) for part in zip(*slices, strict=True))
    slices.clear()
    human, columns = np.concatenate(labels), pa.concat_tables(clicks)
    codes, keys = slice_codes(columns, SLICE_COLUMNS)
    return TrainingSet(
        facts=np.concatenate(facts, axis=1),
        reals=np.concatenate(reals, axis=1),
        ts=np.concatenate(ts),
        human=human,
        purchasing=human,
        robotic=np.zeros(len(human), np.bool_),
        logged_in=columns["logged_in"].to_numpy(),
        slices=codes.astype(np.int32),
        slice_keys=tuple(keys),
        start=span.start,
        end=span.end,
    )


def _record(snapshot: Snapshot, request: Request, trained: Trained) -> TrainingRecord:
    return TrainingRecord(
        start=to_datetime(request.span.start),
        end=to_datetime(request.span.end),
        as_of=None if snapshot.as_of is None else to_datetime(snapshot.as_of),
        table_versions=snapshot.versions,
        seed=request.settings.seed,
        device=choose_device(request.settings.device),
        weight_cap=request.settings.weight_cap if request.settings.weights else None,
        epochs=len(trained.losses),
        losses=tuple(trained.losses),
        held_out_losses=tuple(trained.held_out_losses),
    )
