"""Versions are stored whole, never change, and are loaded only as they were written."""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
from safetensors.torch import save

from scorer.calibration import Calibration
from scorer.errors import BadInput, BadModelFile, ReplayError, UnknownModel
from scorer.models import ARCHITECTURES
from scorer.registry import Registry, resolve
from scorer.versions import POINTERS, sha256
from tests.disks import full_disk
from tests.scorer.models import SPEC, features, module, stored

FILES = ("calibration.json", "manifest.json", "weights.safetensors")


class Pointer:
    """A production pointer that a test sets."""

    def __init__(self, production: str | None, previous: str | None) -> None:
        self._names = production, previous

    def production(self) -> str | None:
        return self._names[0]

    def previous(self) -> str | None:
        return self._names[1]


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "models")


def change_manifest(registry: Registry, name: str, changes: Mapping[str, object]) -> None:
    path = registry.folder / name / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def replace_file(registry: Registry, name: str, file: str, data: bytes) -> None:
    """Put another file in place, with a manifest that vouches for it."""
    (registry.folder / name / file).write_bytes(data)
    listed = json.loads((registry.folder / name / "manifest.json").read_text())["files"]
    listed[file] = {"size": len(data), "sha256": sha256(data)}
    change_manifest(registry, name, {"files": listed})


def check_refused(registry: Registry, name: str, *words: str) -> None:
    with pytest.raises(BadModelFile) as caught:
        registry.load(name)
    text = str(caught.value)
    assert "\n" not in text
    for word in words:
        assert word in text


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_version_is_loaded_as_it_was_written(registry: Registry, architecture: str) -> None:
    built, clicks = module(architecture), features(50)
    calibration = Calibration(overall=0.25, slices={"device=tv": 0.75}, fpr_budget=0.01)
    registry.write("v1", built, SPEC, calibration, metrics={"fpr": None, "rows": 3})
    version = registry.load("v1")
    assert np.array_equal(
        version.probabilities(*clicks), stored(registry, "w", architecture).probabilities(*clicks)
    )
    assert version.calibration == calibration
    assert version.calibration.thresholds(["device=tv", "?"]).tolist() == [0.75, 0.25]
    assert version.spec == SPEC
    assert version.manifest.metrics == {"fpr": None, "rows": 3}
    assert sorted(f.name for f in (registry.folder / "v1").iterdir()) == list(FILES)
    assert version.digest == sha256((registry.folder / "v1" / "manifest.json").read_bytes())
    assert version.weights_digest == registry.load("w").weights_digest


def test_a_version_never_changes(registry: Registry) -> None:
    first = stored(registry, "v1")
    with pytest.raises(BadInput, match="'v1' exists"):
        stored(registry, "v1", seed=1)
    assert registry.load("v1").digest == first.digest


@pytest.mark.parametrize("name", [*POINTERS, "", "V1", "../v1", "-v", ".v", "a/b", "v" * 65, "v 1"])
def test_names_that_no_version_can_have(registry: Registry, name: str) -> None:
    with pytest.raises(BadInput, match="name"):
        stored(registry, name)
    assert not registry.folder.exists()


def test_of_two_writers_one_wins(registry: Registry) -> None:
    start = Barrier(2)

    def write(seed: int) -> str:
        start.wait()
        try:
            return stored(registry, "v1", seed=seed).weights_digest
        except BadInput as exc:
            return str(exc)

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(write, (1, 2)))
    assert registry.load("v1").weights_digest in results
    assert sum("exists" in result for result in results) == 1
    assert [entry.name for entry in registry.folder.iterdir()] == ["v1"]


def test_a_write_that_fails_leaves_nothing(registry: Registry) -> None:
    with full_disk(1_000), pytest.raises(OSError, match="File too large"):
        stored(registry, "v1")
    assert list(registry.folder.iterdir()) == []
    assert stored(registry, "v1").name == "v1"


@pytest.mark.parametrize("file", FILES)
def test_a_missing_file_is_named(registry: Registry, file: str) -> None:
    stored(registry, "v1")
    (registry.folder / "v1" / file).unlink()
    check_refused(registry, "v1", str(registry.folder / "v1" / file), "No such file")


@pytest.mark.parametrize("file", FILES)
def test_a_truncated_file_is_named(registry: Registry, file: str) -> None:
    stored(registry, "v1")
    path = registry.folder / "v1" / file
    path.write_bytes(path.read_bytes()[:-9])
    check_refused(registry, "v1", str(path))


@pytest.mark.parametrize("file", ["calibration.json", "weights.safetensors"])
@pytest.mark.parametrize("place", [0, 20, -1])
def test_a_tampered_file_is_named(registry: Registry, file: str, place: int) -> None:
    stored(registry, "v1")
    path = registry.folder / "v1" / file
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    check_refused(registry, "v1", str(path), "does not match the digest")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"architecture": "transformer"}, ["no architecture named 'transformer'"]),
        ({"parameters": {"hidden": [128]}}, ["manifest.json"]),
        ({"parameters": {"depth": 3}}, ["manifest.json", "depth"]),
        ({"parameters": {"hidden": [64, 64]}}, ["weights.safetensors", "does not fit"]),
        ({"architecture": "logistic", "parameters": {}}, ["weights.safetensors", "does not fit"]),
        ({"spec_digest": "0" * 64}, ["spec does not match its digest"]),
        ({"spec": {"gaps": []}}, ["manifest.json"]),
        ({"name": "v2"}, ["belongs to version 'v2'"]),
        ({"format": 2}, ["format"]),
        ({"extra": 1}, ["extra"]),
        ({"files": {}}, ["lists no calibration.json"]),
    ],
)
def test_a_manifest_that_does_not_hold(
    registry: Registry, changes: dict[str, object], words: list[str]
) -> None:
    stored(registry, "v1")
    change_manifest(registry, "v1", changes)
    check_refused(registry, "v1", *words)


@pytest.mark.parametrize("text", ["", "{", "[]", "\0", "null"])
def test_a_manifest_that_is_none(registry: Registry, text: str) -> None:
    stored(registry, "v1")
    (registry.folder / "v1" / "manifest.json").write_text(text)
    check_refused(registry, "v1", "manifest.json is no manifest")


@pytest.mark.parametrize("data", [b"", b"\x80\x04K\x01.", b"PK\x03\x04", save({})])
def test_weights_of_another_kind(registry: Registry, data: bytes) -> None:
    stored(registry, "v1")
    replace_file(registry, "v1", "weights.safetensors", data)
    check_refused(registry, "v1", "weights.safetensors", "does not fit")


@pytest.mark.parametrize(
    "text", ["", "{}", '{"overall": 2}', '{"overall": -0.1}', '{"overall": 1e999}', '{"x": 1}']
)
def test_thresholds_that_are_none(registry: Registry, text: str) -> None:
    stored(registry, "v1")
    replace_file(registry, "v1", "calibration.json", text.encode())
    check_refused(registry, "v1", "calibration.json")


def test_a_copied_version_is_refused_under_another_name(registry: Registry) -> None:
    stored(registry, "v1")
    shutil.copytree(registry.folder / "v1", registry.folder / "v2")
    check_refused(registry, "v2", "belongs to version 'v1'")


def test_unknown_versions_name_the_nearest(registry: Registry) -> None:
    with pytest.raises(UnknownModel, match="replay models list"):
        registry.load("zzz")
    stored(registry, "v1")
    with pytest.raises(UnknownModel, match="Did you mean v1"):
        registry.load("v11")
    with pytest.raises(UnknownModel):
        registry.load("../models/v1")


def test_names_come_by_age_and_damaged_ones_first(registry: Registry) -> None:
    for day, name in enumerate(("b", "a", "damaged"), start=1):
        registry.write(
            name,
            module("velocity"),
            SPEC,
            Calibration(overall=0.5),
            created_at=datetime(2026, 3, day, tzinfo=UTC),
        )
    (registry.folder / "damaged" / "manifest.json").write_text("{")
    (registry.folder / "notes.TXT").touch()
    (registry.folder / ".new-half").mkdir()
    assert registry.names() == ["damaged", "b", "a"]


def test_resolving_names(registry: Registry) -> None:
    nothing = Pointer(None, None)
    for name in POINTERS:
        with pytest.raises(ReplayError, match=f"no version is '{name}' here yet"):
            resolve(name, registry, nothing)
    for name in ("v1", "v2", "v3"):
        stored(registry, name, "velocity")
    pointer = Pointer("v2", "v1")
    names = ("production", "previous", "latest", "v3")
    assert [resolve(name, registry, pointer) for name in names] == ["v2", "v1", "v3", "v3"]
    with pytest.raises(UnknownModel):
        resolve("v4", registry, pointer)
    with pytest.raises(UnknownModel, match="'gone'"):
        resolve("production", registry, Pointer("gone", None))


def test_manifests_are_read_without_torch() -> None:
    script = "import sys, scorer.versions; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
