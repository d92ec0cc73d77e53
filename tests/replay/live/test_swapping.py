"""What decides follows production, and outlives a version that is not right."""

import asyncio
import shutil
from pathlib import Path

import pytest

from replay.lake import Lake
from replay.live.profiles import LiveProfiles
from replay.live.swapping import Models
from replay.production import models_folder
from scorer.serving.decider import Engine
from scorer.serving.ports import Standing
from scorer.store.connecting import embedded
from tests.lakes import make_lake
from tests.versions import BOTH, USER, at_least


class Service:
    """Holds the engine in use, and counts how often it was swapped."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.swaps = 0

    def use(self, engine: Engine) -> None:
        self.engine = engine
        self.swaps += 1

    @property
    def version(self) -> str | None:
        return None if self.engine.model is None else self.engine.model.name


class Setting:
    """A lake with versions v1 and v2 of one spec and `wide` of another."""

    def __init__(self, home: Path) -> None:
        self.lake: Lake = make_lake(home / "lake")
        for name in ("v1", "v2"):
            at_least(self.lake, name, 2)
        at_least(self.lake, "wide", 2, spec=BOTH)
        folder = models_folder(self.lake)
        self.models = Models(folder, embedded(), LiveProfiles(home), "cpu")
        self.service = Service(self.models.nothing())

    def follow(self, production: str | None, *warm: str) -> bool:
        standing = Standing(production, warm, 1)
        return asyncio.run(self.models.follow(standing, self.service))


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    return Setting(tmp_path)


def test_the_version_in_production_decides_and_others_stay_warm(setting: Setting) -> None:
    assert setting.follow("v1", "wide")
    store = setting.service.engine.store
    assert setting.service.version == "v1"
    assert store.layout.covers(BOTH)
    assert not setting.follow("v1", "wide")
    assert setting.follow("v2", "v1", "wide")
    assert setting.service.version == "v2"
    assert setting.service.engine.store is store, "the same counters need no other store"
    assert setting.follow("v1", "v2")
    assert not setting.service.engine.store.layout.covers(BOTH)
    assert setting.follow(None)
    assert setting.service.version is None


def refused(setting: Setting) -> str | None:
    return setting.models.refused


@pytest.mark.parametrize("file", ["weights.safetensors", "calibration.json", "manifest.json"])
def test_a_damaged_version_is_refused_until_it_is_mended(
    setting: Setting, caplog: pytest.LogCaptureFixture, file: str
) -> None:
    setting.follow("v1")
    path = models_folder(setting.lake) / "v2" / file
    whole = path.read_bytes()
    path.write_bytes(whole[:-9] + b"X" * 9)
    assert not setting.follow("v2", "v1")
    assert setting.service.version == "v1"
    assert refused(setting) == "v2"
    assert "version v2 is refused" in caplog.text
    assert str(path) in caplog.text
    said = len(caplog.records)
    assert not setting.follow("v2", "v1")
    assert len(caplog.records) == said, "it is not read again while nothing changes"
    path.unlink()
    path.write_bytes(whole)
    assert setting.follow("v2", "v1")
    assert setting.service.version == "v2"
    assert refused(setting) is None


def test_a_rollback_from_a_refused_version_is_no_refusal_any_more(setting: Setting) -> None:
    setting.follow("v1")
    assert not setting.follow("nowhere", "v1")
    assert refused(setting) == "nowhere"
    assert not setting.follow("v1"), "it never stopped deciding"
    assert setting.service.version == "v1"
    assert refused(setting) is None


def test_a_first_version_that_is_damaged_still_has_its_counters_kept(setting: Setting) -> None:
    (models_folder(setting.lake) / "wide" / "weights.safetensors").write_bytes(b"")
    shutil.rmtree(models_folder(setting.lake) / "v2")
    assert not setting.follow("wide", "v1", "v2")
    assert setting.service.version is None
    assert setting.service.engine.store.layout.covers(BOTH)
    assert setting.service.engine.store.layout.covers(USER)
