"""A stored graph: its files and digests, its thresholds, and what serves single clicks."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from scorer.calibration import Calibration
from scorer.errors import BadInput, BadModelFile, MissingExtra
from scorer.manifest import ImportRecord
from scorer.registry import ModelVersion, Registry
from scorer.serving.features import LiveFeatures
from scorer.serving.models import Featured, serve_version
from scorer.versions import sha256
from tests.scorer.foreign.graphs import exported, two_layers
from tests.scorer.live import NoProfiles, live_click
from tests.scorer.models import SPEC, features, module, stored

GRAPH = exported(module(), SPEC).SerializeToString()
THRESHOLDS = Calibration(overall=0.25, slices={"device=tv": 0.75})


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "models")


def imported(registry: Registry, name: str = "x", graph: bytes = GRAPH) -> ModelVersion:
    record = ImportRecord(
        file="m.onnx", sha256=sha256(graph), output="probability", opset=18, producer="tests"
    )
    return registry.write_graph(name, graph, SPEC, THRESHOLDS, ("device",), record)


def test_a_graph_is_loaded_as_it_was_written(registry: Registry) -> None:
    imported(registry)
    version, original = registry.load("x"), stored(registry, "v1")
    found = sorted(f.name for f in (registry.folder / "x").iterdir())
    assert found == ["calibration.json", "manifest.json", "model.onnx"]
    assert (registry.folder / "x" / "model.onnx").read_bytes() == GRAPH
    assert version.weights_digest == sha256(GRAPH) != original.weights_digest
    assert (version.manifest.architecture, version.manifest.training) == ("onnx", None)
    assert set(version.manifest.libraries) == {"numpy", "onnx", "onnxruntime"}
    assert version.calibration == THRESHOLDS
    assert version.manifest.slice_columns == ("device",)
    assert registry.verify("x") == version.manifest
    clicks = features(50)
    np.testing.assert_allclose(
        version.probabilities(*clicks), original.probabilities(*clicks), rtol=0, atol=1e-6
    )


def test_other_versions_say_nothing_of_an_import(registry: Registry) -> None:
    stored(registry, "v1")
    assert "imported" not in json.loads((registry.folder / "v1" / "manifest.json").read_text())


def test_a_graph_that_was_changed_is_refused_by_name(registry: Registry) -> None:
    imported(registry)
    path = registry.folder / "x" / "model.onnx"
    path.write_bytes(GRAPH[:-1] + bytes([GRAPH[-1] ^ 1]))
    for read in (registry.load, registry.verify):
        with pytest.raises(BadModelFile, match=r"x/model\.onnx does not match the digest"):
            read("x")
    path.write_bytes(GRAPH[:-1])
    with pytest.raises(BadModelFile, match=r"x/model\.onnx holds .* bytes and not the"):
        registry.load("x")
    path.unlink()
    with pytest.raises(BadModelFile, match=r"x/model\.onnx can't be read"):
        registry.load("x")


@pytest.mark.parametrize("changes", [{"architecture": "mlp"}, {"imported": None}])
def test_a_manifest_that_is_half_a_graph_s(registry: Registry, changes: dict[str, object]) -> None:
    imported(registry)
    path = registry.folder / "x" / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(BadModelFile, match="only the architecture 'onnx' has an `imported`"):
        registry.load("x")


def test_new_thresholds_keep_the_graph(registry: Registry) -> None:
    first = imported(registry)
    again = registry.recalibrate("y", "x", Calibration(overall=0.5), {}, datetime.now(UTC))
    assert again.weights_digest == first.weights_digest
    assert again.manifest.imported == first.manifest.imported
    assert (again.manifest.parent, again.calibration.overall) == ("x", 0.5)
    clicks = features(20)
    assert np.array_equal(again.probabilities(*clicks), first.probabilities(*clicks))


def test_a_taken_name(registry: Registry) -> None:
    imported(registry)
    with pytest.raises(BadInput, match="'x' exists"):
        imported(registry, graph=two_layers(len(SPEC.names)).SerializeToString())
    assert registry.load("x").weights_digest == sha256(GRAPH)


def test_without_the_extra_a_graph_is_listed_and_not_loaded(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported(registry)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert registry.verify("x").architecture == "onnx"
    with pytest.raises(MissingExtra, match=r"pip install 'slidr-replay\[onnx\]'"):
        registry.load("x")


def test_a_graph_serves_single_clicks(registry: Registry) -> None:
    """Through what the live service loads and calls, to the original's decisions."""
    imported(registry)
    registry.write("v1", module(), SPEC, THRESHOLDS, slice_columns=("device",))
    served = [serve_version(registry, name, [], NoProfiles()) for name in ("x", "v1")]
    assert isinstance(served[0][0]._features, LiveFeatures)
    facts, reals = features(30, seed=5)
    rows = [
        Featured(live_click(k, device="tv" if k % 2 else "pc"), f, r)
        for k, (f, r) in enumerate(zip(facts.T.tolist(), reals.T.tolist(), strict=True))
    ]
    ours, theirs = (model.score(rows) for model, _ in served)
    assert [(s.threshold, s.slice) for s in ours] == [(s.threshold, s.slice) for s in theirs]
    assert {s.threshold for s in ours} == {0.25, 0.75}
    p = np.array([s.probability for s in ours])
    np.testing.assert_allclose(p, [s.probability for s in theirs], rtol=0, atol=1e-6)
    assert served[0][0].score(rows[3:4]) == ours[3:4]
