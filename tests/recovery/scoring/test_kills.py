"""kill -9 while a version is written: a reader finds it whole, or not at all."""

import shutil
from pathlib import Path

import pytest

from replay.lake import Lake
from replay.production import models_folder
from replay.training import open_registry
from tests.recovery.days import CALIBRATE, TRAIN, trained
from tests.recovery.kills import Command


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("origin") / "lake").home


def stored(home: Path) -> bool:
    """Tell whether the new version is there, and whole; what else is there no reader sees."""
    registry = open_registry(Lake.open(home))
    names = registry.names()
    assert names in (["v1", "v2"], ["v1", "v2", "new"])
    for name in names:
        registry.load(name)
    hidden = {entry.name for entry in models_folder(Lake.open(home)).iterdir()} - set(names)
    assert all(name.startswith(".new-") for name in hidden)
    return "new" in names


@pytest.mark.parametrize("line", [TRAIN, CALIBRATE], ids=["train", "calibrate"])
def test_a_kill_between_files_and_after_the_last(
    origin: Path, tmp_path: Path, line: tuple[str, ...]
) -> None:
    command = Command(line)
    whole = Path(shutil.copytree(origin, tmp_path / "whole"))
    steps, _ = command.steps(whole)
    assert stored(whole)
    third = [place for place, step in enumerate(steps) if step.startswith("open")][2]
    (renamed,) = [place for place, step in enumerate(steps) if step.startswith("os.rename")]
    for place in (third, renamed + 1):
        home = Path(shutil.copytree(origin, tmp_path / str(place)))
        assert command.kill_before(home, place), steps[place]
        assert stored(home) == (place > renamed)
    assert command.finish(tmp_path / str(third)) == 0
    assert stored(tmp_path / str(third))
