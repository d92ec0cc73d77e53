"""What a graph in ONNX must be to decide clicks; read before anything is computed with it.

Refused are: a file that is no ONNX model, data in other files, operators and functions that are not
ONNX's own, control flow, chance, and inputs or outputs that are not a click's features and one
number.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scorer.errors import BadModelFile
from scorer.foreign.runtime import extra

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

OLDEST_OPSET = 7  # the oldest that ONNX Runtime promises to compute
DOMAINS = ("", "ai.onnx", "ai.onnx.ml")
CONTROL_FLOW = ("If", "Loop", "Scan", "SequenceMap")
CHANCE = (
    "Bernoulli",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
)
PAGE = "see docs/models.md"


@dataclass(frozen=True)
class GraphFacts:
    """What a graph says of itself."""

    opset: int
    producer: str


def check_graph(data: bytes, width: int, where: str) -> GraphFacts:
    """Check a file's bytes as a graph over `width` features.

    Raises BadModelFile, naming `where` and all that is wrong, and MissingExtra without ONNX.
    """
    onnx = extra("onnx")
    model = _parse(onnx, data, where)
    try:
        problems = [*_model_problems(model), *_node_problems(model.graph)]
        problems += [*_input_problems(model.graph, width), *_output_problems(model.graph)]
        if not problems:
            onnx.checker.check_model(model)
        producer = f"{model.producer_name} {model.producer_version}".strip()
    except (onnx.checker.ValidationError, ValueError) as exc:  # ValueError: a name that is no text
        raise BadModelFile(f"{where}: no valid graph: {' '.join(str(exc).split())}") from exc
    if problems:
        raise BadModelFile(f"{where}: {'; '.join(dict.fromkeys(problems))}")
    return GraphFacts(_opset(model), producer)


def _parse(onnx: Any, data: bytes, where: str) -> "ModelProto":  # noqa: ANN401
    errors = extra("google.protobuf.message").DecodeError
    try:
        model: ModelProto = onnx.load_model_from_string(data)
    except errors as exc:
        raise BadModelFile(f"{where}: no ONNX file; export the model again") from exc
    if not (model.ir_version and model.HasField("graph")):
        raise BadModelFile(f"{where}: no ONNX file, as it holds no graph; export the model again")
    return model


def _opset(model: "ModelProto") -> int:
    """Return the version of ONNX's own operators; 0 where the file names none."""
    return next((s.version for s in model.opset_import if s.domain in DOMAINS[:2]), 0)


def _model_problems(model: "ModelProto") -> Iterator[str]:
    if _opset(model) < OLDEST_OPSET:
        yield (
            f"its opset is {_opset(model)}; export it with opset {OLDEST_OPSET} or newer "
            "(17 suits most exporters)"
        )
    if model.functions:
        yield (
            f"it defines a function of its own, {model.functions[0].name!r}; put its operators in "
            "place with onnx.inliner.inline_local_functions"
        )
    outside = next((tensor for tensor in _tensors(model.graph) if tensor.external_data), None)
    if outside is not None:
        yield (
            f"the data of {outside.name!r} stands in another file; save the model as one file "
            "(save_as_external_data=False)"
        )


def _tensors(graph: "GraphProto") -> Iterator["TensorProto"]:
    yield from graph.initializer
    sparse = list(graph.sparse_initializer)
    for attribute in (a for node in graph.node for a in node.attribute):
        yield attribute.t
        yield from attribute.tensors
        sparse += [attribute.sparse_tensor, *attribute.sparse_tensors]
    for each in sparse:
        yield from (each.values, each.indices)


def _node_problems(graph: "GraphProto") -> Iterator[str]:
    for node in graph.node:
        name = node.op_type
        if node.domain not in DOMAINS:
            yield f"{name} of {node.domain} is no operator of ONNX; use ONNX's own alone"
        elif name in CONTROL_FLOW or any(a.HasField("g") or a.graphs for a in node.attribute):
            yield f"{name} is dynamic control flow; export the model without it"
        elif name in CHANCE:
            yield f"{name} draws random numbers; export the model for inference"
        elif _in_training(node, graph):
            yield f"{name} is in training mode; export the model for inference"


def _in_training(node: "NodeProto", graph: "GraphProto") -> bool:
    """Tell whether a node drops out values by chance, or normalises by its batch."""
    if node.op_type == "BatchNormalization":
        return any(a.name == "training_mode" and a.i for a in node.attribute)
    if node.op_type != "Dropout" or len(node.input) < 3 or not node.input[2]:
        return False
    constant = [tensor for tensor in graph.initializer if tensor.name == node.input[2]]
    constant += [
        attribute.t
        for other in graph.node
        if other.op_type == "Constant" and node.input[2] in other.output
        for attribute in other.attribute
    ]
    to_array = extra("onnx.numpy_helper").to_array
    return not constant or bool(to_array(constant[0]).any())


def _input_problems(graph: "GraphProto", width: int) -> Iterator[str]:
    weights = {tensor.name for tensor in graph.initializer}  # old files list them as inputs too
    inputs = [value for value in graph.input if value.name not in weights]
    wanted = f"it must take one float32 tensor [N, {width}], the spec's {width} features"
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs) or "none"
        yield f"{wanted}, and its inputs are {len(inputs)} ({names}); {PAGE}"
        return
    kind, shape = _kind(inputs[0]), _shape(inputs[0])
    if kind != "float32" or shape is None or len(shape) != 2 or shape[1] != width:
        yield f"{wanted}, and its input {inputs[0].name!r} is {_written(kind, shape)}; {PAGE}"
    elif isinstance(shape[0], int):
        yield (
            f"its input {inputs[0].name!r} takes {shape[0]} click{'s' * (shape[0] != 1)} at a "
            f"time; export it with a dynamic first axis; {PAGE}"
        )


def _output_problems(graph: "GraphProto") -> Iterator[str]:
    wanted = "it must give one float32 tensor [N] or [N, 1]"
    kinds = {value.name: _kind(value) for value in graph.output}
    if odd := [name for name, kind in kinds.items() if kind in ("sequence_type", "map_type")]:
        word = kinds[odd[0]].partition("_")[0]
        yield f"its output {odd[0]!r} is a {word}; export it with ZipMap off; {PAGE}"
    elif len(kinds) != 1:
        names = ", ".join(kinds) or "none"
        yield f"{wanted}, and its outputs are {len(kinds)} ({names}); {PAGE}"
    else:
        ((name, kind),), shape = kinds.items(), _shape(graph.output[0])
        if kind != "float32" or (shape is not None and (len(shape) not in (1, 2) or _wide(shape))):
            yield f"{wanted}, and its output {name!r} is {_written(kind, shape)}; {PAGE}"


def _wide(shape: list[int | str]) -> bool:
    return isinstance(shape[-1], int) and len(shape) == 2 and shape[1] != 1


def _kind(value: "ValueInfoProto") -> str:
    """Return a tensor's element type as numpy names it, or which other kind of value it is."""
    kind: str | None = value.type.WhichOneof("value")
    if kind != "tensor_type":
        return kind or "of no type"
    types = extra("onnx").TensorProto.DataType
    name: str = types.Name(value.type.tensor_type.elem_type).lower()
    return {"float": "float32", "double": "float64"}.get(name, name)


def _shape(value: "ValueInfoProto") -> list[int | str] | None:
    """Return a tensor's axes, a number or a name each; None where the file does not say."""
    if value.type.WhichOneof("value") != "tensor_type":
        return None
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    return [
        d.dim_value if d.HasField("dim_value") else d.dim_param or "?" for d in tensor.shape.dim
    ]


def _written(kind: str, shape: list[int | str] | None) -> str:
    return kind if shape is None else f"{kind} [{', '.join(map(str, shape))}]"
