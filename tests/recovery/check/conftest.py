"""What tests of checks share."""

from pathlib import Path

import pytest

from tests.recovery.typed import Replay, typed


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where simulated lakes are kept: one folder, so that each is made once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def replay(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, cache: Path
) -> Replay:
    """Type commands that find the kept lakes."""
    monkeypatch.setenv("REPLAY_CACHE", str(cache))
    return typed(capsys)
