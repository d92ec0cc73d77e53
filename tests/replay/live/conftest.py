"""An empty lake, and a spool beside it."""

from pathlib import Path

import pytest

from replay.lake import Lake
from tests.lakes import make_lake


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return make_lake(tmp_path / "lake")


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"
