"""Versions trained on a small world: one that is good, and three that are bad in a known way.

Each is stored in a lake of the world's days before, as a detector's team would have it.
"""

import atexit
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from unittest import mock

import pyarrow.compute as pc

import replay.training
from replay.lake import Lake
from replay.snapshot import Snapshot, connect
from replay.span import Span
from replay.tables import PURCHASES
from replay.training import Request, open_registry, train_version
from scorer.calibration import Calibration
from scorer.slices import slice_key
from scorer.spec import load_spec
from scorer.training import TrainingSet
from simulator.columns import DEVICES
from simulator.scenario import load_scenario
from simulator.write import simulate
from tests.recovery.check.worlds import scenario_file
from tests.versions import ignore

GOOD, UNLABELLED, MISTYPED, ZEROED = "good", "unlabelled", "mistyped", "zeroed"
SLICE = slice_key({"device": "mobile_web", "logged_in": False})


@cache
def lake_of(name: str) -> Lake:
    """Return a lake that has the version of that name."""
    makers: dict[str, Callable[[], Lake]] = {
        GOOD: lambda: _train(_history(), GOOD),
        UNLABELLED: lambda: _train(_without_purchases("desktop"), UNLABELLED),
        MISTYPED: _mistype,
        ZEROED: _zero,
    }
    return makers[name]()


@cache
def _folder() -> Path:
    folder = Path(mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def _history() -> Lake:
    """Simulate the days before the small world, whose people and robots are others."""
    file = scenario_file(_folder(), "", name="before", clicks=6000, seed=9)
    lake = Lake.create(_folder() / "history", "USD")
    simulate(lake, load_scenario(str(file), {"start": "2026-02-26T00:00:00Z", "days": 3}))
    return lake


def _train(lake: Lake, name: str) -> Lake:
    snapshot = Snapshot.take(lake)
    days = Span(1_772_064_000_000_000, 1_772_323_200_000_000)  # 2026-02-26 to 2026-03-01
    train_version(lake, snapshot, Request(name, days, load_spec("default")), ignore, _no_epoch)
    return lake


def _without_purchases(device: str) -> Lake:
    """Return the history without the purchases that followed clicks on a device."""
    whole = Snapshot.take(_history())
    bare = Lake.create(_folder() / "bare", "USD")
    for table in ("clicks", "profiles_user", "profiles_ip"):
        shutil.copytree(_history().home / table, bare.home / table)
    with connect() as connection:
        rows = connection.sql(
            f"SELECT p.*, c.device FROM {whole.source('purchases')} p "
            f"LEFT JOIN {whole.source('clicks')} c USING (click_id) ORDER BY p.ts"
        ).to_arrow_table()
    landed = rows.filter(pc.fill_null(pc.not_equal(rows["device"], device), fill_value=True))
    landed = landed.select(PURCHASES.schema.names).cast(PURCHASES.schema)
    assert 0 < landed.num_rows < rows.num_rows
    bare.append("purchases", landed.to_batches(), ("bare", 1))
    return bare


def _mistype() -> Lake:
    """Store the good version with one slice's threshold at a tenth."""
    lake = lake_of(GOOD)
    good = open_registry(lake).load(GOOD)
    keys = [
        slice_key({"device": device, "logged_in": logged_in})
        for device in DEVICES
        for logged_in in (False, True)
    ]
    thresholds = {key: good.calibration.threshold(key) for key in keys}
    thresholds[SLICE] /= 10
    wrong = Calibration(overall=good.calibration.overall, slices=thresholds)
    open_registry(lake).recalibrate(MISTYPED, GOOD, wrong, good.manifest.metrics)
    return lake


def _zero() -> Lake:
    """Train while one feature's column reads 0."""
    gather = replay.training.training_set

    def gathered(*arguments: object, **options: object) -> TrainingSet:
        found: TrainingSet = gather(*arguments, **options)  # type: ignore[arg-type]
        found.facts[load_spec("default").facts.index("ip_is_datacenter")] = 0
        return found

    with mock.patch.object(replay.training, "training_set", gathered):
        return _train(_history(), ZEROED)


def _no_epoch(epoch: int, loss: float, held_out_loss: float) -> None:
    """Hear of an epoch."""
