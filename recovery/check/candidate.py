"""The version to check, made ready to stand beside a simulated production."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from replay.lake import Lake
from replay.production import read_production
from replay.tables import CLICKS
from replay.training import open_registry
from scorer.errors import BadInput
from scorer.registry import ModelVersion, Registry, resolve
from simulator.profiles import IP_COLUMNS, USER_COLUMNS

STAGED = "candidate"  # its name there: its own may be one of the simulated production's
PROFILES = {
    table: tuple(name for name, _ in columns)
    for table, columns in (("user", USER_COLUMNS), ("ip", IP_COLUMNS))
}


@dataclass(frozen=True)
class Candidate:
    """A stored version, and a folder that holds it, byte for byte, under the name `STAGED`."""

    version: ModelVersion
    folder: Path


@contextmanager
def staged(lake: Lake, model: str) -> Iterator[Candidate]:
    """Give a lake's version as a candidate; the lake is only read.

    Raises UnknownModel or BadModelFile; BadInput where simulated clicks can't serve the version.
    """
    registry = open_registry(lake)
    name = resolve(model, registry, read_production(lake))
    version = registry.load(name)
    _check_served(version)
    with tempfile.TemporaryDirectory(prefix="replay-check-") as scratch:
        copies = Registry(Path(scratch))
        shutil.copytree(registry.folder / name, copies.folder / name)
        if name != STAGED:
            copies.recalibrate(STAGED, name, version.calibration, version.manifest.metrics)
        yield Candidate(version, copies.folder / STAGED)


def _check_served(version: ModelVersion) -> None:
    """Raise BadInput, naming it, where simulated clicks lack a column of the version."""
    for column in version.manifest.slice_columns:
        if column not in CLICKS.schema.names:
            raise BadInput(
                f"{version.name} has thresholds by {column}, which simulated clicks have not; "
                "choose another --model"
            )
    for profile in version.spec.profiles:
        known = PROFILES[profile.table]
        if profile.column not in known:
            raise BadInput(
                f"{version.name} needs the column {profile.column} of profiles_{profile.table}, "
                f"which simulated lakes have not (they have {', '.join(known)}); choose another "
                "--model"
            )
