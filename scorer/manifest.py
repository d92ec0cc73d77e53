"""What a stored version says about itself; readable without torch."""

from collections.abc import Iterable
from importlib import metadata
from typing import Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from scorer.errors import BadModelFile, BadSpec
from scorer.spec import Spec

LIBRARIES = ("numpy", "safetensors", "torch")
WEIGHTS, GRAPH, ONNX = "weights.safetensors", "model.onnx", "onnx"


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class FileDigest(_Strict):
    """A file's size in bytes and SHA-256."""

    size: int
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class TrainingRecord(_Strict):
    """What a version was trained on: clicks with from <= ts < to, of these table versions.

    `weight_cap` is null where it was fitted without sample weights.
    """

    start: AwareDatetime
    end: AwareDatetime
    as_of: AwareDatetime | None = None
    table_versions: dict[str, int] = Field(default_factory=dict)
    labels: dict[str, int] = Field(default_factory=dict)  # the settings that labels hang on
    seed: int
    device: str
    weight_cap: float | None = None
    epochs: int
    losses: tuple[float, ...] = ()
    held_out_losses: tuple[float, ...] = ()


class SampleRecord(_Strict):
    """The sample that an imported graph was held to; `most` is its greatest difference."""

    file: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    rows: int
    most: float


class ImportRecord(_Strict):
    """Where an imported graph came from; a null `sample` means that its outputs are unchecked."""

    file: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    output: Literal["probability", "logit"]
    opset: int
    producer: str
    sample: SampleRecord | None = None


class Manifest(_Strict):
    """`manifest.json`: everything about a version but its weights and thresholds.

    A version that was imported has no `training`, as what it was trained on is not known.
    """

    format: Literal[1] = 1
    name: str
    created_at: AwareDatetime
    architecture: str
    parameters: dict[str, int | float | list[int]] = Field(default_factory=dict)
    spec: Spec
    spec_digest: str
    slice_columns: tuple[str, ...]
    training: TrainingRecord | None = None
    imported: ImportRecord | None = None
    metrics: dict[str, int | float | None] = Field(default_factory=dict)
    parent: str | None = None
    libraries: dict[str, str] = Field(default_factory=dict)
    files: dict[str, FileDigest]

    @model_validator(mode="after")
    def _a_graph_says_where_it_is_from(self) -> Self:
        if (self.architecture == ONNX) != (self.imported is not None):
            raise ValueError(f"only the architecture {ONNX!r} has an `imported`, and always one")
        return self

    @property
    def weights(self) -> str:
        """The name of the file that holds the weights."""
        return GRAPH if self.architecture == ONNX else WEIGHTS

    def to_json(self) -> bytes:
        """Return the file's bytes."""
        unsaid = set() if self.imported else {"imported"}
        return (self.model_dump_json(indent=2, exclude=unsaid) + "\n").encode()


def read_manifest(data: bytes, name: str, where: str) -> Manifest:
    """Read and check a manifest's bytes; raise BadModelFile naming `where`."""
    try:
        manifest = Manifest.model_validate_json(data)
    except ValidationError as exc:
        raise BadModelFile(f"{where} is no manifest of a model version: {first(exc)}") from exc
    except BadSpec as exc:
        raise BadModelFile(f"{where}: {exc}") from exc
    if manifest.name != name:
        raise BadModelFile(
            f"{where} belongs to version {manifest.name!r}; a version can't be renamed"
        )
    if manifest.spec.digest != manifest.spec_digest:
        raise BadModelFile(f"{where}: the spec does not match its digest; restore the version")
    return manifest


def first(exc: ValidationError) -> str:
    """Return the first of a validation's problems, as one line."""
    error = exc.errors()[0]
    place = ".".join(str(part) for part in error["loc"])
    return f"{place}: {error['msg']}" if place else str(error["msg"])


def library_versions(names: Iterable[str] = LIBRARIES) -> dict[str, str]:
    """Return the versions of the libraries that weights depend on."""
    return {name: metadata.version(name) for name in names}
