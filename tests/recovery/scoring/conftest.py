"""A small lake with versions, one for each test, and a way to type commands at it."""

import shutil
from pathlib import Path

import pytest

from replay.lake import Lake
from tests.recovery.days import trained
from tests.recovery.typed import Replay, typed


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("template") / "lake").home


@pytest.fixture
def lake(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """A lake of its own for each test, since most damage it."""
    shutil.copytree(template, tmp_path / "lake")
    monkeypatch.setenv("REPLAY_HOME", str(tmp_path / "lake"))
    return Lake.open(tmp_path / "lake")


@pytest.fixture
def replay(capsys: pytest.CaptureFixture[str]) -> Replay:
    return typed(capsys)
