"""The sample lake: 48 hours of clicks that end in an incident nobody has repaired yet.

`v0` and `v1` were trained on the five days before the log begins. `v2` was trained on the log
itself while purchases made in the app had not landed, and it was made lean: it has no features of
addresses. So it takes everybody who clicks in the app for a robot, and does not see robots that
spread over many addresses. It was promoted at 14:00 on the last day; the log ends at 20:00.
"""

import shutil
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from replay.lake import Lake
from replay.production import models_folder
from replay.snapshot import Snapshot, connect
from replay.span import Span, parse_time
from replay.tables import INCIDENT_TRUTH, LOG_TABLES, TABLES, TRUTH_TABLES, Table
from replay.training import Request, open_registry, train_version
from scorer.registry import ModelVersion
from scorer.spec import Spec, load_spec
from scorer.training import Settings
from simulator.digest import digest_tables
from simulator.production import log_decisions
from simulator.rows import times
from simulator.scenario import Scenario, load_scenario
from simulator.write import simulate

Metrics = Mapping[str, object]
EVERY_TABLE: tuple[Table, ...] = (*LOG_TABLES, *TRUTH_TABLES)
HISTORY_DAYS = 5
V1_PROMOTED, V2_TRAINED, V2_PROMOTED = (
    parse_time(text, 0) for text in ("2026-03-01T09:00", "2026-03-02T13:00", "2026-03-02T14:00")
)
# Trained weights, and so probabilities, may differ in their last bits on another processor.
DIGESTED: Mapping[str, Sequence[str]] = {
    "decisions": ("click_id", "decision", "model_version"),
    "promotions": ("at", "model_version", "action"),
}
# A purchase of the app names a click of the app, or follows one at the same shop.
_FROM_APP = """
coalesce(click_id IN (SELECT click_id FROM {clicks} WHERE device = 'mobile_app'), false)
OR (click_id IS NULL AND (user_id, advertiser_id) IN
    (SELECT (user_id, advertiser_id) FROM {clicks} WHERE device = 'mobile_app'))
"""


class Promotion(NamedTuple):
    """A version that took over production at `at` (µs), and why."""

    at: int
    version: ModelVersion
    reason: str


class Promote(Protocol):
    """Puts a stored version into production from `at` (µs) on."""

    def __call__(
        self, lake: Lake, version: str, by: str, reason: str, metrics: Metrics, at: int
    ) -> object:
        """Write the row of `promotions`."""
        ...


def build_sample(home: Path, scratch: Path, promote: Promote) -> Lake:
    """Build the sample lake at `home`, which must not exist; `scratch` is an empty folder."""
    scenario = load_scenario("sample")
    whole = Lake.create(scratch / "whole", "USD")
    simulate(whole, scenario)
    lake = Lake.create(home, "USD")
    source = Snapshot.take(whole, tables=EVERY_TABLE)
    from_app = _FROM_APP.format(clicks=source.source("clicks"))
    _copy(source, "purchases", lake, "sample/purchases", f"NOT ({from_app})")
    for name in ("profiles_user", "profiles_ip", "truth", "clicks"):
        _copy(source, name, lake, f"sample/{name}")

    v0, v1 = _trained_before(scenario, lake, scratch)
    v2 = _train(lake, "v2", Span(scenario.span.start, V2_TRAINED), lean_spec())
    _copy(source, "purchases", lake, "sample/late-purchases", from_app)

    end = scenario.span.end
    promotions = (
        Promotion(scenario.span.start, v0, "first version: logistic"),
        Promotion(V1_PROMOTED, v1, "catches bursts that v0 misses, at the same FPR"),
        Promotion(V2_PROMOTED, v2, "fewer features, same FPR on the last hours before training"),
    )
    ends = (*(promotion.at for promotion in promotions[1:]), end)
    for (at, version, reason), until in zip(promotions, ends, strict=True):
        promote(lake, version.name, "release", reason, version.manifest.metrics, at)
        log_decisions(lake, version, Span(at, until), f"sample/{version.name}")
    _copy(source, "incident_truth", lake, "sample/robots")
    lake.append("incident_truth", [_incident(end)], ("sample/incident", 1))
    (home / ".lock").unlink(missing_ok=True)
    return lake


def digest_sample(home: Path) -> dict[str, str]:
    """Return the digest of each table's rows in a sample lake, but for what DIGESTED leaves out."""
    return digest_tables(Snapshot.take(Lake.open(home), tables=EVERY_TABLE), DIGESTED)


def lean_spec() -> Spec:
    """Return the default spec without anything about addresses."""
    spec = load_spec("default")
    return Spec(
        counts=tuple(group for group in spec.counts if "ip" not in group.entity),
        gaps=tuple(gap for gap in spec.gaps if "ip" not in gap.entity),
        flags=spec.flags,
        time=spec.time,
        profiles=tuple(profile for profile in spec.profiles if profile.table != "ip"),
    )


def history(scenario: Scenario) -> Scenario:
    """Return the days before a scenario: the same people, and bursts that were caught before."""
    burst = next(robot.model_dump() for robot in scenario.robots if robot.active())
    bursts = [{**burst, "begins_hour": hour, "share": 0.15} for hour in (14, 37, 68, 92, 111)]
    always = [robot.model_dump() for robot in scenario.robots if not robot.active()]
    changes = {
        "start": scenario.start - timedelta(days=HISTORY_DAYS),
        "days": HISTORY_DAYS,
        "robots": [*always, *bursts],
    }
    return Scenario.model_validate({**scenario.model_dump(), **changes})


def _trained_before(
    scenario: Scenario, lake: Lake, scratch: Path
) -> tuple[ModelVersion, ModelVersion]:
    """Train v0 and v1 on the days before the log, and store them in the lake."""
    before = Lake.create(scratch / "before", "USD")
    past = history(scenario)
    simulate(before, past)
    _train(before, "v0", past.span, load_spec("default"), "logistic")
    _train(before, "v1", past.span, load_spec("default"))
    shutil.copytree(models_folder(before), models_folder(lake))
    registry = open_registry(lake)
    return registry.load("v0"), registry.load("v1")


def _train(
    lake: Lake, name: str, span: Span, spec: Spec, architecture: str = "mlp"
) -> ModelVersion:
    request = Request(name, span, spec, architecture, Settings(seed=0))
    version, _ = train_version(lake, Snapshot.take(lake), request, _no_units, _no_epoch)
    return version


def _no_units(units: int) -> None:
    """Hear of clicks read and say nothing."""


def _no_epoch(epoch: int, loss: float, held_out_loss: float) -> None:
    """Hear of an epoch and say nothing."""


def _copy(source: Snapshot, name: str, lake: Lake, writer: str, where: str = "true") -> None:
    table = TABLES[name]
    order = ", ".join(c for c in (table.time, "seq", *table.key) if c in table.schema.names)
    query = f"SELECT * FROM {source.source(name)} WHERE {where} ORDER BY {order}"
    with connect() as connection:
        rows = connection.sql(query).to_arrow_reader(100_000)
        lake.append(name, rows, (writer, 1))


def _incident(end: int) -> pa.RecordBatch:
    columns = {
        "incident_id": pa.array(["bad-model-1"]),
        "kind": pa.array(["bad_model"]),
        "from_ts": times(np.array([V2_PROMOTED])),
        "to_ts": times(np.array([end])),
        "description": pa.array(
            ["v2, trained without the app's purchases and without address features, decided"]
        ),
    }
    return pa.RecordBatch.from_pydict(columns, schema=INCIDENT_TRUTH.schema)
