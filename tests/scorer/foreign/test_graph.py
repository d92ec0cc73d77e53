"""What a graph may hold; everything else is refused in one line that says what to do."""

from collections.abc import Sequence

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto, TensorProto, helper

from scorer.errors import BadModelFile
from scorer.foreign.graph import check_graph
from scorer.foreign.scoring import OnnxScorer
from tests.scorer.foreign.graphs import TINY, exported, model, sigmoid, tensor, two_layers, value
from tests.scorer.models import SPEC, module

WIDTH = len(TINY.names)
SUM = helper.make_node("ReduceSum", ["x", "axes"], ["z"], keepdims=1)
AXES = tensor("axes", [1], int)


def refused(data: bytes | ModelProto) -> str:
    with pytest.raises(BadModelFile) as caught:
        check_graph(data if isinstance(data, bytes) else data.SerializeToString(), WIDTH, "m.onnx")
    text = str(caught.value)
    assert text.startswith("m.onnx: ")
    assert "\n" not in text
    return text


def summed(*nodes: onnx.NodeProto, constants: Sequence[TensorProto] = ()) -> ModelProto:
    """A graph that is fine but for these nodes, which stand between the sum `z` and `y`."""
    return model([SUM, *nodes, sigmoid("y" if nodes else "z")], [AXES, *constants])


@pytest.mark.parametrize("made", [two_layers(), summed()])
def test_a_graph_of_onnx_alone_is_fine(made: ModelProto) -> None:
    found = check_graph(made.SerializeToString(), WIDTH, "m.onnx")
    assert (found.opset, found.producer) == (18, "tests")


@pytest.mark.parametrize("architecture", ["mlp", "logistic"])
def test_our_own_networks_are_fine(architecture: str) -> None:
    check_graph(exported(module(architecture), SPEC).SerializeToString(), len(SPEC.names), "m.onnx")


@pytest.mark.parametrize(
    "data", [b"", b"a,b\n1,2\n", b"PAR1", b"\x80\x04K\x01.", two_layers().SerializeToString()[:-9]]
)
def test_a_file_that_is_no_onnx(data: bytes) -> None:
    assert "no ONNX file" in refused(data)


def test_an_old_opset() -> None:
    made = two_layers()
    made.opset_import[0].version = 6
    assert "its opset is 6; export it with opset 7 or newer" in refused(made)
    del made.opset_import[:]
    assert "its opset is 0" in refused(made)


def test_data_in_another_file() -> None:
    made = two_layers()
    weights = made.graph.initializer[0]
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value="weights.bin")
    weights.ClearField("raw_data")
    assert "the data of 'w1' stands in another file" in refused(made)
    constant = helper.make_node("Constant", [], ["w1"], value=weights)
    del made.graph.initializer[0]
    made.graph.node.insert(0, constant)
    assert "the data of 'w1' stands in another file" in refused(made)


def branch() -> onnx.GraphProto:
    return helper.make_graph(
        [helper.make_node("Identity", ["z"], ["b"])], "branch", [], [value("b", ["N", 1])]
    )


def test_control_flow() -> None:
    yes = tensor("yes", True, bool)
    made = helper.make_node("If", ["yes"], ["y"], then_branch=branch(), else_branch=branch())
    assert "If is dynamic control flow" in refused(summed(made, constants=[yes]))
    body = helper.make_graph([], "body", [value("s", ["N", 1])], [value("s", ["N", 1])])
    scan = helper.make_node("Scan", ["z"], ["y"], body=body, num_scan_inputs=1)
    assert "Scan is dynamic control flow" in refused(summed(scan))
    for kind in ("Loop", "SequenceMap"):
        assert f"{kind} is dynamic" in refused(summed(helper.make_node(kind, ["z"], ["y"])))


def test_operators_that_are_not_onnx_s_own() -> None:
    made = helper.make_node("FastGelu", ["z"], ["y"], domain="com.microsoft")
    assert "FastGelu of com.microsoft is no operator of ONNX" in refused(summed(made))
    assert "No Op registered for Nonsense" in refused(
        summed(helper.make_node("Nonsense", ["z"], ["y"]))
    )


def test_functions_of_its_own() -> None:
    made = summed()
    made.functions.append(
        helper.make_function(
            "own",
            "Twice",
            ["a"],
            ["b"],
            [helper.make_node("Add", ["a", "a"], ["b"])],
            made.opset_import,
        )
    )
    assert "a function of its own, 'Twice'" in refused(made)


@pytest.mark.parametrize(
    "kind", ["RandomNormalLike", "RandomUniformLike", "Bernoulli", "Multinomial"]
)
def test_chance(kind: str) -> None:
    assert f"{kind} draws random numbers" in refused(summed(helper.make_node(kind, ["z"], ["y"])))


def test_chance_out_of_nothing() -> None:
    drawn = helper.make_node("RandomNormal", [], ["noise"], shape=[1])
    added = helper.make_node("Add", ["z", "noise"], ["y"])
    assert "RandomNormal draws random numbers" in refused(summed(drawn, added))


def test_training_mode() -> None:
    dropout = helper.make_node("Dropout", ["z", "", "training"], ["y"])
    for on in (True, False):
        made = summed(dropout, constants=[tensor("training", on, bool)])
        if on:
            assert "Dropout is in training mode" in refused(made)
        else:
            check_graph(made.SerializeToString(), WIDTH, "m.onnx")
    constant = helper.make_node("Constant", [], ["training"], value=tensor("", True, bool))
    assert "Dropout is in training mode" in refused(summed(constant, dropout))
    found = [
        helper.make_node("Size", ["z"], ["size"]),
        helper.make_node("Cast", ["size"], ["training"], to=TensorProto.BOOL),
    ]
    assert "Dropout is in training mode" in refused(summed(*found, dropout))
    names = ["scale", "bias", "mean", "var"]
    norm = helper.make_node("BatchNormalization", ["z", *names], ["y", "m", "v"], training_mode=1)
    held = [tensor(name, [1]) for name in names]
    assert "BatchNormalization is in training mode" in refused(summed(norm, constants=held))


@pytest.mark.parametrize(
    ("inputs", "found"),
    [
        ([value("x", ["N", 4])], "its input 'x' is float32 [N, 4]"),
        ([value("x", ["N", "W"])], "its input 'x' is float32 [N, W]"),
        ([value("x", [WIDTH])], "its input 'x' is float32 [3]"),
        ([value("x", None)], "its input 'x' is float32;"),
        ([value("x", ["N", WIDTH], TensorProto.DOUBLE)], "its input 'x' is float64 [N, 3]"),
        ([value("x", ["N", WIDTH], TensorProto.INT64)], "its input 'x' is int64 [N, 3]"),
        ([value("x", ["N", 2]), value("y", ["N", 1])], "its inputs are 2 (x, y)"),
        ([], "its inputs are 0 (none)"),
        (
            [helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, ["N", WIDTH])],
            "its input 'x' is sequence_type",
        ),
    ],
)
def test_wrong_inputs(inputs: list[onnx.ValueInfoProto], found: str) -> None:
    text = refused(model([SUM, sigmoid("z")], [AXES], inputs=inputs))
    assert "it must take one float32 tensor [N, 3], the spec's 3 features" in text
    assert found in text


@pytest.mark.parametrize(("rows", "said"), [(1, "1 click at"), (64, "64 clicks at")])
def test_a_batch_of_one_size(rows: int, said: str) -> None:
    text = refused(model([SUM, sigmoid("z")], [AXES], inputs=[value("x", [rows, WIDTH])]))
    assert f"its input 'x' takes {said} a time; export it with a dynamic first axis" in text


def test_weights_that_are_listed_as_inputs_are_none() -> None:
    made = two_layers()
    made.graph.input.append(value("b2", [1]))
    check_graph(made.SerializeToString(), WIDTH, "m.onnx")


MAP = helper.make_value_info(
    "p",
    helper.make_sequence_type_proto(
        helper.make_map_type_proto(
            TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, [])
        )
    ),
)


@pytest.mark.parametrize(
    ("outputs", "found"),
    [
        ([value("p", ["N", 2])], "its output 'p' is float32 [N, 2]"),
        ([value("p", ["N", 1, 1])], "its output 'p' is float32 [N, 1, 1]"),
        ([value("p", [])], "its output 'p' is float32 []"),
        ([value("p", ["N"], TensorProto.INT64)], "its output 'p' is int64 [N]"),
        ([value("z", ["N"]), value("p", ["N"])], "its outputs are 2 (z, p)"),
        ([value("z", ["N"]), MAP], "its output 'p' is a sequence; export it with ZipMap off"),
        ([MAP], "its output 'p' is a sequence; export it with ZipMap off"),
    ],
)
def test_wrong_outputs(outputs: list[onnx.ValueInfoProto], found: str) -> None:
    assert found in refused(model([SUM, sigmoid("z")], [AXES], outputs=outputs))


@pytest.mark.parametrize("shape", [["N"], ["N", 1], ["N", "K"]])
def test_outputs_that_may_be_right(shape: list[str | int]) -> None:
    made = model([SUM, sigmoid("z")], [AXES], outputs=[value("p", shape)])
    check_graph(made.SerializeToString(), WIDTH, "m.onnx")


def test_all_that_is_wrong_is_told_at_once() -> None:
    text = refused(model([SUM], [AXES], inputs=[value("x", ["N", 9])], outputs=[]))
    assert "it must take one float32 tensor" in text
    assert "its outputs are 0" in text


def test_a_graph_that_does_not_hang_together() -> None:
    assert "no valid graph" in refused(model([SUM, sigmoid("z")], outputs=[value("p", None)]))
    assert "no valid graph" in refused(model([sigmoid("nowhere")]))


def test_names_that_are_no_text() -> None:
    data = two_layers().SerializeToString()
    said = "no valid graph: 'utf-8' codec can't decode"
    assert said in refused(data.replace(b"Sigmoid", b"Sig\xffoid"))


@settings(max_examples=200)
@given(st.integers(min_value=0), st.binary(min_size=1, max_size=4), st.booleans())
def test_a_damaged_file_is_refused_in_one_line(at: int, into: bytes, grow: bool) -> None:
    data = two_layers().SerializeToString()
    at %= len(data)
    damaged = data[:at] + into + data[at + (0 if grow else len(into)) :]
    said = "m.onnx: it can still be read"
    try:
        check_graph(damaged, WIDTH, "m.onnx")
        OnnxScorer(damaged, TINY, "probability", "m.onnx")
    except BadModelFile as exc:
        said = str(exc)
    assert said.startswith("m.onnx: ")
    assert "\n" not in said
