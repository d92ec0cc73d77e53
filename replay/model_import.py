"""From a graph in ONNX that was made elsewhere to a stored model version."""

from dataclasses import dataclass
from pathlib import Path

from replay.lake import Lake, writing
from replay.model_sample import read_sample
from replay.training import open_registry
from scorer.errors import BadInput
from scorer.foreign.checks import check_sample, check_scores
from scorer.foreign.graph import check_graph
from scorer.foreign.scoring import OnnxScorer, Output
from scorer.foreign.thresholds import Thresholds, parse_thresholds
from scorer.manifest import ImportRecord, SampleRecord
from scorer.registry import ModelVersion
from scorer.spec import Spec
from scorer.training import check_spec
from scorer.versions import check_name, sha256

MOST_BYTES = 256 << 20


@dataclass(frozen=True)
class Request:
    """What to import: a graph over a spec's features, as version `name`."""

    graph: Path
    spec: Spec
    thresholds: Path
    name: str
    sample: Path | None = None
    output: Output = "probability"


def import_version(lake: Lake, request: Request) -> ModelVersion:
    """Check a graph, hold it to its sample, and store it.

    Raises BadInput, BadModelFile, NotTrainable (a spec of what labels are made of) or MissingExtra
    before anything is written.
    """
    registry = open_registry(lake)
    check_name(request.name)
    registry.check_free(request.name)
    check_spec(request.spec)
    thresholds = read_thresholds(request.thresholds)
    data, where = read_bytes(request.graph), str(request.graph)
    facts = check_graph(data, len(request.spec.names), where)
    scorer = OnnxScorer(data, request.spec, request.output, where)
    check_scores(scorer, request.spec, where)
    imported = ImportRecord(
        file=request.graph.name,
        sha256=sha256(data),
        output=request.output,
        opset=facts.opset,
        producer=facts.producer,
        sample=None if request.sample is None else _held_to(scorer, request.sample, request.spec),
    )
    with writing(registry.folder):
        return registry.write_graph(
            request.name,
            data,
            request.spec,
            thresholds.calibration,
            thresholds.slice_columns,
            imported,
        )


def read_thresholds(path: Path) -> Thresholds:
    """Read a thresholds file; raise BadInput where it can't be read or does not hold."""
    try:
        text = read_bytes(path).decode()
    except UnicodeDecodeError as exc:
        raise BadInput(f"{path}: not TOML: no UTF-8") from exc
    return parse_thresholds(text, str(path))


def read_bytes(path: Path) -> bytes:
    """Read a file; raise BadInput where it can't be read or is larger than MOST_BYTES."""
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as exc:
        raise BadInput(f"{path}: can't be read: {exc.strerror}") from exc
    if len(data) > MOST_BYTES:
        raise BadInput(f"{path}: holds more than {MOST_BYTES >> 20} MiB")
    return data


def _held_to(scorer: OnnxScorer, path: Path, spec: Spec) -> SampleRecord:
    sample = read_sample(path, spec)
    most = check_sample(scorer, sample, str(path))
    digest = sha256(path.read_bytes())
    return SampleRecord(file=path.name, sha256=digest, rows=len(sample.expected), most=most)
