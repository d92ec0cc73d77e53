"""The registry: model versions written whole and never changed, loaded if every digest holds."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load as load_weights
from safetensors.torch import save as save_weights

from scorer.calibration import Calibration
from scorer.errors import BadInput, BadModelFile
from scorer.foreign.scoring import OnnxScorer, device_for
from scorer.manifest import (
    GRAPH,
    ONNX,
    WEIGHTS,
    FileDigest,
    ImportRecord,
    Manifest,
    TrainingRecord,
    library_versions,
)
from scorer.models import Architecture, build, name_of
from scorer.scoring import Facts, Probabilities, Reals, Scorer
from scorer.slices import DEFAULT_COLUMNS
from scorer.spec import Spec
from scorer.storing import store_folder
from scorer.versions import (
    CALIBRATION,
    MANIFEST,
    ProductionPointer,
    Versions,
    check_name,
    resolve,
    sha256,
)

__all__ = ["ModelVersion", "ProductionPointer", "Registry", "common_device", "resolve"]


@dataclass(frozen=True)
class ModelVersion:
    """A loaded version.

    `digest` is the SHA-256 of its manifest's file, and so of everything that the manifest lists.
    """

    name: str
    manifest: Manifest
    calibration: Calibration
    digest: str
    scorer: Scorer | OnnxScorer

    @property
    def spec(self) -> Spec:
        """The features that it was trained on."""
        return self.manifest.spec

    @property
    def weights_digest(self) -> str:
        """SHA-256 of its weights' file."""
        return self.manifest.files[self.manifest.weights].sha256

    def probabilities(
        self, facts: Facts, reals: Reals, device: str = "cpu", threads: int = 2
    ) -> Probabilities:
        """Return each click's probability of being robotic; see `Scorer.probabilities`."""
        return self.scorer.probabilities(facts, reals, device, threads)


class Registry(Versions):
    """The stored versions, for writing and loading."""

    def load(self, name: str) -> ModelVersion:
        """Load a version.

        Raises UnknownModel, BadModelFile where anything in it is not right, or MissingExtra for a
        graph where ONNX Runtime is not installed.
        """
        stored = self.stored(name)
        calibration = self.calibration(name)
        scorer = self._scorer(name, stored.manifest)
        return ModelVersion(name, stored.manifest, calibration, stored.digest, scorer)

    def _scorer(self, name: str, manifest: Manifest) -> Scorer | OnnxScorer:
        path = self.folder / name / manifest.weights
        data = self.contents(name, manifest.weights)
        if manifest.imported:
            return OnnxScorer(data, manifest.spec, manifest.imported.output, str(path))
        return Scorer(self._module(path, data, manifest))

    def _module(self, path: Path, data: bytes, manifest: Manifest) -> Architecture:
        try:
            module = build(manifest.architecture, manifest.spec, manifest.parameters)
        except (BadInput, TypeError, ValueError, RuntimeError) as exc:
            raise BadModelFile(f"{path.parent / MANIFEST}: {exc}") from exc
        try:
            module.load_state_dict(load_weights(data))
        except (SafetensorError, RuntimeError) as exc:
            said = " ".join(str(exc).split())
            raise BadModelFile(
                f"{path} does not fit the architecture {manifest.architecture!r}: {said}"
            ) from exc
        return module

    def write(
        self,
        name: str,
        module: Architecture,
        spec: Spec,
        calibration: Calibration,
        *,
        slice_columns: Sequence[str] = DEFAULT_COLUMNS,
        training: TrainingRecord | None = None,
        metrics: Mapping[str, int | float | None] | None = None,
        parent: str | None = None,
        created_at: datetime | None = None,
    ) -> ModelVersion:
        """Store a new version, whole or not at all, and return it as loaded again.

        Raises BadInput where the name can't be used or is taken, OSError where the folder can't be
        written.
        """
        weights = {key: value.cpu().contiguous() for key, value in module.state_dict().items()}
        files = {WEIGHTS: save_weights(weights), CALIBRATION: _written(calibration)}
        manifest = Manifest(
            name=name,
            created_at=created_at or datetime.now(UTC),
            architecture=name_of(module),
            parameters=dict(module.parameters_used()),
            spec=spec,
            spec_digest=spec.digest,
            slice_columns=tuple(slice_columns),
            training=training,
            metrics=dict(metrics or {}),
            parent=parent,
            libraries=library_versions(),
            files=_digests(files),
        )
        return self._store(manifest, files)

    def write_graph(
        self,
        name: str,
        graph: bytes,
        spec: Spec,
        calibration: Calibration,
        slice_columns: Sequence[str],
        imported: ImportRecord,
    ) -> ModelVersion:
        """Store a graph in ONNX as a new version, as `write` does; nothing of it is checked."""
        files = {GRAPH: graph, CALIBRATION: _written(calibration)}
        manifest = Manifest(
            name=name,
            created_at=datetime.now(UTC),
            architecture=ONNX,
            spec=spec,
            spec_digest=spec.digest,
            slice_columns=tuple(slice_columns),
            imported=imported,
            libraries=library_versions(("numpy", "onnx", "onnxruntime")),
            files=_digests(files),
        )
        return self._store(manifest, files)

    def recalibrate(
        self,
        name: str,
        parent: str,
        calibration: Calibration,
        metrics: Mapping[str, int | float | None],
        created_at: datetime | None = None,
    ) -> ModelVersion:
        """Store a new version with the weights of `parent`, byte for byte, and other thresholds.

        Raises BadInput where the name can't be used or is taken, BadModelFile where the parent is
        damaged, OSError where the folder can't be written.
        """
        original = self.manifest(parent)
        weights = original.weights
        files = {weights: self.contents(parent, weights), CALIBRATION: _written(calibration)}
        manifest = original.model_copy(
            update={
                "name": name,
                "created_at": created_at or datetime.now(UTC),
                "parent": parent,
                "metrics": dict(metrics),
                "files": _digests(files),
            }
        )
        return self._store(manifest, files)

    def check_free(self, name: str) -> None:
        """Raise BadInput where a version of this name exists."""
        if (self.folder / name).exists():
            raise BadInput(
                f"version {name!r} exists and versions never change; choose another name"
            )

    def _store(self, manifest: Manifest, files: Mapping[str, bytes]) -> ModelVersion:
        """Write a version, whole or not at all, and load it again."""
        check_name(manifest.name)
        self.check_free(manifest.name)
        try:
            store_folder(self.folder, manifest.name, {**files, MANIFEST: manifest.to_json()})
        except OSError:
            self.check_free(manifest.name)  # another writer was first
            raise
        return self.load(manifest.name)


def common_device(name: str, versions: Iterable[ModelVersion]) -> str:
    """Return what a `--device` means where all of these versions are scored; see `device_for`."""
    return device_for(name, [v.scorer for v in versions if isinstance(v.scorer, OnnxScorer)])


def _written(calibration: Calibration) -> bytes:
    return (calibration.model_dump_json(indent=2) + "\n").encode()


def _digests(files: Mapping[str, bytes]) -> dict[str, FileDigest]:
    return {file: FileDigest(size=len(d), sha256=sha256(d)) for file, d in files.items()}
