"""Simulated lakes and their healthy versions, made once and kept by what they are made of.

    <cache>/lakes/<key>/       a lake, never written to once it is there
    <cache>/versions/<key>/    a lake that has nothing but the versions of a simulated production

A key is a digest over the scenario, its seed included, over the source of all that makes rows and
decides them, and over the libraries that weights depend on. No format number, which somebody would
have to remember to raise: a cache that is too often empty costs minutes, one that is stale a wrong
verdict.
"""

import hashlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path

import replay
import scorer
import simulator
from recovery.production import promote, rollback
from replay.durable import keep
from replay.lake import Lake, writing
from replay.production import models_folder
from scorer.manifest import library_versions
from simulator.pointer import Pointer
from simulator.scenario import Scenario
from simulator.versions import healthy_version, history
from simulator.write import simulate

CURRENCY = "USD"
LEFT_BEHIND = ".new-"
LEFT_BEHIND_SECONDS = 24 * 3600
POINTER = Pointer(promote, rollback)
ROWLESS = {"title", "bounds"}  # keys of a scenario that change no row

Advance = Callable[[int], None]


class SimulatedLakes:
    """Simulated lakes in a folder, which is made where it is not there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def has(self, scenario: Scenario) -> bool:
        """Whether the lake of a scenario is there already."""
        return self._place(scenario).is_dir()

    def lake(self, scenario: Scenario, advance: Advance) -> Path:
        """Return the lake of a scenario; simulate it where it is not there.

        `advance` hears of the clicks that are drawn. Raises LakeUnwritable.
        """
        place = self._place(scenario)
        if not place.is_dir():
            versions = self._versions(scenario, advance) if scenario.production else None
            with self._placed(place) as unfinished:
                made = Lake.create(unfinished, CURRENCY)
                if versions is not None:
                    shutil.copytree(versions, models_folder(made))
                simulate(made, scenario, POINTER, advance=advance)
        return place

    def _place(self, scenario: Scenario) -> Path:
        return self._folder / "lakes" / _key(scenario.model_dump_json(exclude=ROWLESS))

    def _versions(self, scenario: Scenario, advance: Advance) -> Path:
        """Return the versions of a scenario's production; scenarios with one history share them."""
        past = history(scenario).model_dump_json(exclude=ROWLESS)
        production = scenario.production.model_dump_json() if scenario.production else ""
        place = self._folder / "versions" / _key(past, production)
        if not place.is_dir():
            with self._placed(place) as unfinished:
                made = Lake.create(unfinished, CURRENCY)
                healthy_version(made, scenario, partial(simulate, advance=advance))
        return place / "models"

    @contextmanager
    def _placed(self, place: Path) -> Iterator[Path]:
        """Give a folder to fill, and move it to `place` at the end, unless another was first."""
        with writing(self._folder):
            place.parent.mkdir(parents=True, exist_ok=True)
            _sweep(place.parent)
            unfinished = Path(tempfile.mkdtemp(prefix=LEFT_BEHIND, dir=place.parent))
            try:
                yield unfinished
                keep(path for path in unfinished.rglob("*") if path.is_file())
                try:
                    unfinished.rename(place)
                except OSError:
                    if not place.is_dir():
                        raise
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)


def _sweep(folder: Path) -> None:
    """Remove what processes that were killed a day ago or more left unfinished."""
    for path in folder.glob(f"{LEFT_BEHIND}*"):
        if path.stat().st_mtime < time.time() - LEFT_BEHIND_SECONDS:
            shutil.rmtree(path, ignore_errors=True)


def _key(*parts: str) -> str:
    text = "\0".join([*parts, _source_digest(), str(sorted(library_versions().items()))])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@cache
def _source_digest() -> str:
    """Return a digest over the source of the packages that make rows, train and decide."""
    found = hashlib.sha256()
    for package in (scorer, replay, simulator):
        folder = Path(package.__path__[0])
        for path in sorted([*folder.rglob("*.py"), *folder.glob("specs/*.toml")]):
            found.update(f"{package.__name__}/{path.relative_to(folder)}\0".encode())
            found.update(path.read_bytes())
    return found.hexdigest()
