"""Graphs in ONNX, built by hand: our own networks, and small ones with something wrong in them."""

from collections.abc import Sequence

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper
from onnx.numpy_helper import from_array

from scorer.models import Architecture
from scorer.models.inputs import CUT, Inputs
from scorer.models.logistic import Logistic
from scorer.models.mlp import Mlp
from scorer.spec import Spec, parse_spec

OPSETS = (helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3))
TINY: Spec = parse_spec(
    {
        "counts": [{"entity": "user_id", "windows": ["1h@1m"]}],
        "flags": {"logged_in": True},
        "profiles": [{"table": "user", "column": "age", "default": 7.0}],
    },
    "tiny",
)


def tensor(name: str, values: object, kind: type = np.float32) -> TensorProto:
    return from_array(np.asarray(values, kind), name)


def value(
    name: str, shape: Sequence[int | str] | None, kind: int = TensorProto.FLOAT
) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def model(
    nodes: Sequence[NodeProto],
    constants: Sequence[TensorProto] = (),
    *,
    width: int = len(TINY.names),
    inputs: Sequence[ValueInfoProto] | None = None,
    outputs: Sequence[ValueInfoProto] | None = None,
    opsets: Sequence[onnx.OperatorSetIdProto] = OPSETS,
) -> ModelProto:
    """A graph from `x` to `p`, unless it is told otherwise."""
    graph: GraphProto = helper.make_graph(
        nodes,
        "graph",
        [value("x", ["N", width])] if inputs is None else inputs,
        [value("p", ["N", 1])] if outputs is None else outputs,
        constants,
    )
    return helper.make_model(graph, opset_imports=opsets, ir_version=9, producer_name="tests")


def two_layers(width: int = len(TINY.names), hidden: int = 5, *, logit: bool = False) -> ModelProto:
    """Gemm, Relu, Gemm, Sigmoid, as scikit-learn's networks are exported; weights are drawn."""
    random = np.random.default_rng(0)
    constants = [
        tensor("w1", random.normal(size=(width, hidden)) / 50),
        tensor("b1", random.normal(size=hidden)),
        tensor("w2", random.normal(size=(hidden, 1))),
        tensor("b2", [0.25]),
    ]
    nodes = [
        helper.make_node("Gemm", ["x", "w1", "b1"], ["h1"]),
        helper.make_node("Relu", ["h1"], ["h2"]),
        helper.make_node("Gemm", ["h2", "w2", "b2"], ["p" if logit else "z"]),
    ]
    return model(nodes if logit else [*nodes, sigmoid("z")], constants, width=width)


def sigmoid(of: str, into: str = "p") -> NodeProto:
    return helper.make_node("Sigmoid", [of], [into])


def exported(module: Architecture, spec: Spec) -> ModelProto:
    """One of our own networks over raw features, its first layer included."""
    nodes, constants = _inputs(module.inputs, spec)
    layers = {Mlp: ("first", "second", "last"), Logistic: ("last",)}[type(module)]
    before = "standardised"
    for name in layers:
        layer = getattr(module, name)
        constants += [_held(f"{name}.w", layer.weight), _held(f"{name}.b", layer.bias)]
        nodes.append(helper.make_node("Gemm", [before, f"{name}.w", f"{name}.b"], [name], transB=1))
        before = name
        if name != "last":
            nodes.append(helper.make_node("Relu", [name], [f"{name}.relu"]))
            before = f"{name}.relu"
    return model([*nodes, sigmoid("last")], constants, width=len(spec.names))


def _inputs(inputs: Inputs, spec: Spec) -> tuple[list[NodeProto], list[TensorProto]]:
    """`Inputs.forward` on rows: (N, F + R) -> standardised (N, W)."""
    split, times = len(spec.facts), inputs.times
    whole = list(range(len(spec.names)))
    picks = {
        "facts": whole[:split],
        "rated": inputs.rated.tolist(),
        "shorter": inputs.shorter.tolist(),
        "longer": inputs.longer.tolist(),
        "time": whole[split : split + times],
        "profile": whole[split + times :],
    }
    constants = [tensor(f"{name}.at", at, np.int64) for name, at in picks.items()]
    constants += [
        _held("seconds", inputs.seconds.T),
        _held("quotient", inputs.quotient.T),
        _held("mean", inputs.mean.T),
        _held("gain", inputs.gain.T),
        tensor("one", 1),
        tensor("one.double", 1, np.float64),
        tensor("low", -CUT),
        tensor("high", CUT),
    ]
    nodes = [helper.make_node("Gather", ["x", f"{name}.at"], [name], axis=1) for name in picks]
    steps = [
        ("Div", ["rated", "seconds"], "rates"),
        ("Max", ["longer", "one"], "divisor"),
        ("Div", ["shorter", "divisor"], "share"),
        ("Mul", ["share", "quotient"], "ratios"),
        ("Sign", ["profile"], "sign"),
        ("Abs", ["profile"], "size"),
        ("Mul", ["sign", "size.log1p"], "profile.log"),
    ]
    made = [helper.make_node(kind, given, [into]) for kind, given, into in steps]
    nodes += [*made[:-1], *_log1p("size", "size.log1p"), made[-1]]
    nodes += [
        helper.make_node("Concat", ["facts", "rates", "ratios"], ["counted"], axis=1),
        *_log1p("counted", "logs"),
        helper.make_node("Concat", ["logs", "time", "profile.log"], ["raw"], axis=1),
        helper.make_node("Sub", ["raw", "mean"], ["centred"]),
        helper.make_node("Mul", ["centred", "gain"], ["scaled"]),
        helper.make_node("Clip", ["scaled", "low", "high"], ["standardised"]),
    ]
    return nodes, constants


def _log1p(of: str, into: str) -> list[NodeProto]:
    """In float64: ONNX has no log1p, and float32 loses small rates beside 1."""
    return [
        helper.make_node("Cast", [of], [f"{of}.double"], to=TensorProto.DOUBLE),
        helper.make_node("Add", [f"{of}.double", "one.double"], [f"{of}.more"]),
        helper.make_node("Log", [f"{of}.more"], [f"{of}.log"]),
        helper.make_node("Cast", [f"{of}.log"], [into], to=TensorProto.FLOAT),
    ]


def _held(name: str, weights: torch.Tensor) -> TensorProto:
    values: NDArray[np.float32] = weights.detach().numpy()
    return tensor(name, values)
