"""The versions of a simulated production: the healthy one, and those that incidents promote."""

import shutil
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from replay.lake import Lake, writing
from replay.production import models_folder
from replay.snapshot import Snapshot
from replay.span import Span, to_micros
from replay.training import Request, open_registry, train_version
from scorer.calibration import Calibration
from scorer.errors import BadInput
from scorer.registry import ModelVersion
from scorer.slices import slice_key
from scorer.spec import Spec, load_spec
from scorer.training import Settings
from simulator.columns import DEVICES, HOUR
from simulator.fault import Incident, Retrained, Retyped
from simulator.scenario import ProductionSettings, Scenario

EARLIER, HEALTHY = "v0", "v1"
Simulate = Callable[[Lake, Scenario], object]


def healthy_version(lake: Lake, scenario: Scenario, simulate: Simulate) -> ModelVersion:
    """Return the version that decides rightly; train it where the lake does not have it yet.

    It is trained on the days before the scenario, which `simulate` writes to a lake of their own.
    Raises BadInput where the lake's version of that name is another.
    """
    production = _production(scenario)
    past = history(scenario)
    registry = open_registry(lake)
    if HEALTHY in registry.names():
        version = registry.load(HEALTHY)
        _check_same(version, past.span, production)
        return version
    with tempfile.TemporaryDirectory(prefix="replay-simulate-") as scratch:
        before = Lake.create(Path(scratch) / "before", lake.config.currency)
        simulate(before, past)
        spec = load_spec(production.spec)
        if production.earlier:
            _train(before, EARLIER, past.span, spec, production, production.earlier)
        _train(before, HEALTHY, past.span, spec, production, production.architecture)
        with writing(models_folder(lake)):
            shutil.copytree(models_folder(before), models_folder(lake), dirs_exist_ok=True)
    return registry.load(HEALTHY)


def first_version(lake: Lake, scenario: Scenario, healthy: ModelVersion) -> ModelVersion:
    """Return what stands at the start: the healthy version, or the one before it."""
    return open_registry(lake).load(EARLIER) if _production(scenario).earlier else healthy


def history(scenario: Scenario) -> Scenario:
    """Return the days before a scenario: the same people, and each robot that comes and goes daily.

    Production trained on them, so it knows robots of these kinds, though not these.
    """
    days = _production(scenario).history_days
    robots = [robot.model_dump() for robot in scenario.robots if not robot.active()]
    for robot in scenario.robots:
        if active := robot.active():
            began, ended = active
            first = began % 24
            robots += [
                {**robot.model_dump(), "begins_hour": first + 24 * day}
                for day in range(days)
                if first + 24 * day + ended - began <= 24 * days
            ]
    changes = {
        "start": scenario.start - timedelta(days=days),
        "days": days,
        "robots": robots,
        "production": None,
        "incidents": [],
        "bounds": None,
    }
    return Scenario.model_validate({**scenario.model_dump(), **changes})


def wrong_version(
    lake: Lake, incident: Incident, healthy: ModelVersion, scenario: Scenario
) -> ModelVersion:
    """Make the version that an incident promotes, or load it where it is stored already."""
    registry, name = open_registry(lake), str(incident.version)
    if name in registry.names():
        return registry.load(name)
    match incident.fault.promotes:
        case Retrained() as made:
            end = incident.trained_at
            span = Span(end - round(made.hours * HOUR), end)
            spec, production = leaner(healthy.spec, made.leaves_out), _production(scenario)
            return _train(lake, name, span, spec, production, production.architecture)
        case Retyped() as made:
            return _retype(lake, name, healthy, made)
        case None:
            raise ValueError(f"{incident.incident_id} promotes nothing")


def leaner(spec: Spec, columns: tuple[str, ...]) -> Spec:
    """Return a spec without any feature that is about one of these click columns.

    >>> lean = leaner(load_spec("default"), ("ip",))
    >>> [name for name in lean.names if "ip" in name]
    []
    """
    keys = {"user_id": "user", "ip": "ip"}
    tables = {keys[column] for column in columns if column in keys}
    return Spec(
        counts=tuple(g for g in spec.counts if not set(columns) & set(g.entity)),
        distincts=tuple(g for g in spec.distincts if not set(columns) & {*g.entity, g.member}),
        gaps=tuple(gap for gap in spec.gaps if not set(columns) & set(gap.entity)),
        flags=spec.flags,
        time=spec.time,
        profiles=tuple(p for p in spec.profiles if p.table not in tables),
    )


def _retype(lake: Lake, name: str, healthy: ModelVersion, made: Retyped) -> ModelVersion:
    """Store the healthy version with one threshold changed and the others as they were."""
    keys = [
        slice_key({"device": device, "logged_in": logged_in})
        for device in DEVICES
        for logged_in in (False, True)
    ]
    before = healthy.calibration
    thresholds = {**{key: before.threshold(key) for key in keys}, made.slice_key: made.threshold}
    calibration = Calibration(
        overall=before.overall, slices=thresholds, fpr_budget=before.fpr_budget
    )
    registry = open_registry(lake)
    with writing(registry.folder):
        return registry.recalibrate(name, healthy.name, calibration, healthy.manifest.metrics)


def _train(
    lake: Lake,
    name: str,
    span: Span,
    spec: Spec,
    production: ProductionSettings,
    architecture: str,
) -> ModelVersion:
    settings = Settings(seed=production.seed, fpr_budget=production.fpr_budget)
    request = Request(name, span, spec, architecture, settings)
    version, _ = train_version(lake, Snapshot.take(lake), request, _no_units, _no_epoch)
    return version


def _check_same(version: ModelVersion, span: Span, production: ProductionSettings) -> None:
    record = version.manifest.training
    same = (
        record is not None
        and Span(to_micros(record.start), to_micros(record.end)) == span
        and record.seed == production.seed
        and version.manifest.architecture == production.architecture
    )
    if not same:
        raise BadInput(
            f"the lake has a version {HEALTHY!r} that this scenario would not have trained; "
            "simulate into another lake with --home"
        )


def _production(scenario: Scenario) -> ProductionSettings:
    if scenario.production is None:
        raise ValueError("the scenario has no [production]")
    return scenario.production


def _no_units(units: int) -> None:
    """Hear of clicks read and say nothing."""


def _no_epoch(epoch: int, loss: float, held_out_loss: float) -> None:
    """Hear of an epoch and say nothing."""
