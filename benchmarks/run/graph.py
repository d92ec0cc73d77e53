"""A trained network as a graph in ONNX, from raw features to probabilities.

Inputs are made as `scorer.models.inputs` says. ONNX has no log1p: log(w) u / (w - 1) with
w = 1 + u is as exact in float32, and faster than a detour over float64.
"""

import numpy as np
import onnx
import torch
from numpy.typing import ArrayLike
from onnx import NodeProto, TensorProto, helper
from onnx.numpy_helper import from_array
from safetensors.torch import load

from replay.lake import Lake
from replay.production import models_folder
from scorer.manifest import WEIGHTS
from scorer.models import build
from scorer.models.inputs import CUT, Inputs
from scorer.models.mlp import Mlp
from scorer.registry import Registry
from scorer.spec import Spec

OPSET = helper.make_opsetid("", 18)
LEAST = 1e-30  # keeps 0 / 0 away where u is 0


def load_mlp(lake: Lake, version: str) -> tuple[Mlp, Spec]:
    """Return a stored version's network and spec; raise TypeError where it is no mlp."""
    registry = Registry(models_folder(lake))
    manifest = registry.manifest(version)
    module = build(manifest.architecture, manifest.spec, manifest.parameters)
    module.load_state_dict(load(registry.contents(version, WEIGHTS)))
    if not isinstance(module, Mlp):
        raise TypeError(f"{version} is no mlp")
    return module, manifest.spec


def graph(module: Mlp) -> bytes:
    """Return the graph of an mlp: facts int32 (F, B) and reals float32 (R, B) to p (B, 1)."""
    made = _Graph()
    x = _inputs(made, module.inputs)  # (W, B)
    for number, layer in enumerate((module.first, module.second, module.last)):
        given = [x, made.held(layer.weight), made.held(layer.bias)]
        x = made.node("Gemm", given, transA=int(number == 0), transB=1)  # (B, out)
        x = made.node("Sigmoid" if layer is module.last else "Relu", [x])
    made.nodes[-1].output[0] = "p"
    facts, reals = module.inputs.shape
    whole = helper.make_graph(
        made.nodes,
        "mlp",
        [
            helper.make_tensor_value_info("facts", TensorProto.INT32, [facts, "B"]),
            helper.make_tensor_value_info("reals", TensorProto.FLOAT, [reals, "B"]),
        ],
        [helper.make_tensor_value_info("p", TensorProto.FLOAT, ["B", 1])],
        made.constants,
    )
    model = helper.make_model(whole, opset_imports=[OPSET], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


class _Graph:
    """Nodes and constants; each node is named by its place."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def node(self, kind: str, given: list[str], **attributes: int) -> str:
        name = f"n{len(self.nodes)}"
        made = helper.make_node(kind, given, [name])
        made.attribute.extend(helper.make_attribute(k, v) for k, v in attributes.items())
        self.nodes.append(made)
        return name

    def constant(self, values: ArrayLike, kind: type = np.float32) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(from_array(np.asarray(values, kind), name))
        return name

    def held(self, weights: torch.Tensor) -> str:
        return self.constant(weights.detach().numpy())

    def rows(self, of: str, places: list[int]) -> str:
        return self.node("Gather", [of, self.constant(places, np.int64)], axis=0)

    def log1p(self, of: str) -> str:
        more = self.node("Add", [of, self.constant(1)])
        less = self.node("Sub", [more, self.constant(1)])
        share = self.node("Div", [of, self.node("Max", [less, self.constant(LEAST)])])
        return self.node("Mul", [self.node("Log", [more]), share])


def _inputs(made: _Graph, inputs: Inputs) -> str:
    """Add `Inputs.forward`; return the name of the standardised inputs (W, B)."""
    facts = made.node("Cast", ["facts"], to=TensorProto.FLOAT)
    rated = made.rows(facts, inputs.rated.tolist())
    rates = made.node("Div", [rated, made.held(inputs.seconds)])
    longer = made.rows(facts, inputs.longer.tolist())
    longer = made.node("Max", [longer, made.constant(1)])
    share = made.node("Div", [made.rows(facts, inputs.shorter.tolist()), longer])
    ratios = made.node("Mul", [share, made.held(inputs.quotient)])
    counted = made.log1p(made.node("Concat", [facts, rates, ratios], axis=0))
    reals = list(range(inputs.shape[1]))
    profile = made.rows("reals", reals[inputs.times :])
    size = made.log1p(made.node("Abs", [profile]))
    profile = made.node("Mul", [made.node("Sign", [profile]), size])
    times = made.rows("reals", reals[: inputs.times])
    raw = made.node("Concat", [counted, times, profile], axis=0)
    scaled = made.node("Sub", [raw, made.held(inputs.mean)])
    scaled = made.node("Mul", [scaled, made.held(inputs.gain)])
    return made.node("Clip", [scaled, made.constant(-CUT), made.constant(CUT)])
