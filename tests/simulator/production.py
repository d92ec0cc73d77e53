"""Shipped incidents as small lakes, whose healthy version is trained once for all of them."""

import atexit
import shutil
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from recovery.production import promote, rollback
from replay.lake import Lake
from replay.production import models_folder
from replay.snapshot import Snapshot, connect
from replay.span import Span
from replay.tables import LOG_TABLES, TRUTH_TABLES
from simulator.pointer import Pointer
from simulator.scenario import Scenario, load_scenario
from simulator.versions import HEALTHY
from simulator.write import simulate

HOUR = 3_600_000_000
POINTER = Pointer(promote, rollback)
EVERYTHING = (*LOG_TABLES, *TRUTH_TABLES)
SMALL = {"clicks_per_day": 3000}


def small(name: str, **changes: object) -> Scenario:
    """Return a shipped scenario with few clicks."""
    return load_scenario(name, {**SMALL, **changes})


@cache
def _healthy() -> Path:
    """Return the stored healthy version of the incidents' common world."""
    folder = Path(mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    lake = Lake.create(folder / "lake", "USD")
    simulate(lake, small("service_down", incidents=[], days=2), POINTER)
    return models_folder(lake) / HEALTHY


def furnished(home: Path) -> Lake:
    """Make a lake that has the healthy version and nothing else."""
    lake = Lake.create(home, "USD")
    shutil.copytree(_healthy(), models_folder(lake) / HEALTHY)
    return lake


def make(home: Path, scenario: Scenario, chunk_hours: int | None = None, threads: int = 2) -> Lake:
    """Simulate a scenario of the incidents' common world."""
    lake = furnished(home)
    simulate(lake, scenario, POINTER, chunk_hours=chunk_hours, threads=threads)
    return lake


def repaired(scenario: Scenario) -> Span:
    """Return the span that on-call replays: all whose windows the log fills."""
    return Span(scenario.span.start + 25 * HOUR, scenario.span.end)


def ask(lake: Lake, query: str) -> list[tuple[object, ...]]:
    """Query a lake, the truth too."""
    snapshot = Snapshot.take(lake, tables=EVERYTHING)
    with connect() as connection:
        snapshot.create_views(connection)
        return connection.execute(query).fetchall()
