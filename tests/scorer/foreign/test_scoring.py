"""A graph's probabilities: those of the network that it was exported from, each click's its own."""

import sys

import numpy as np
import pytest
import torch
from onnx import ModelProto, helper

from scorer.errors import BadInput, BadModelFile, Inconsistent, MissingExtra
from scorer.foreign.runtime import extra
from scorer.foreign.scoring import OnnxScorer, Output, device_for
from scorer.scoring import BATCH_ROWS, Scorer
from scorer.spec import Spec
from tests.scorer.foreign.graphs import TINY, exported, model, two_layers
from tests.scorer.models import SPEC, features, module
from tests.scorer.test_scoring import (
    ROWS,
    check_neighbours_are_no_matter,
    check_order_is_no_matter,
    check_place_is_no_matter,
)

PICK = [
    helper.make_node("Constant", [], ["column"], value_ints=[len(TINY.facts)]),
    helper.make_node("Gather", ["x", "column"], ["p"], axis=1),
]


def scorer(made: ModelProto, spec: Spec = TINY, output: Output = "probability") -> OnnxScorer:
    return OnnxScorer(made.SerializeToString(), spec, output, "m.onnx")


def saying(values: list[float], output: Output = "probability") -> list[float]:
    """What clicks get to which a graph gives these values: it passes on the one real."""
    facts = np.zeros((len(TINY.facts), len(values)), np.int32)
    reals = np.array([values], np.float32)
    passing = scorer(model(PICK), output=output)
    replayed = passing.probabilities(facts, reals)
    served = passing.served(facts.astype(np.float64), reals.astype(np.float64))
    assert np.array_equal(replayed, served, equal_nan=True)
    found: list[float] = replayed.tolist()
    return found


@pytest.mark.parametrize("architecture", ["mlp", "logistic"])
def test_a_graph_says_what_its_network_says(architecture: str) -> None:
    built, clicks = module(architecture), features(ROWS)
    p = scorer(exported(built, SPEC), SPEC).probabilities(*clicks)
    assert p.dtype == np.float32
    assert np.ptp(p) > 0.1
    np.testing.assert_allclose(p, Scorer(built).probabilities(*clicks), rtol=0, atol=1e-6)


CHECKS = (check_order_is_no_matter, check_place_is_no_matter, check_neighbours_are_no_matter)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("logit", [False, True])
def test_a_graph_scores_each_click_alone(check: type, *, logit: bool) -> None:
    made = two_layers(hidden=7, logit=logit)
    check(scorer(made, output="logit" if logit else "probability"), *features(ROWS, spec=TINY))


@pytest.mark.parametrize("check", CHECKS)
def test_our_own_network_s_graph_scores_each_click_alone(check: type) -> None:
    check(scorer(exported(module(), SPEC), SPEC), *features(ROWS))


def test_threads_are_no_matter() -> None:
    found, clicks = scorer(two_layers()), features(40 * BATCH_ROWS + 5, spec=TINY)
    p = found.probabilities(*clicks, threads=1)
    assert np.array_equal(found.probabilities(*clicks, threads=3), p)


def test_a_served_probability_is_the_replayed_one() -> None:
    found = scorer(exported(module(), SPEC), SPEC)
    facts, reals = features(300)
    served = found.served(facts.astype(np.float64), reals.astype(np.float64))
    np.testing.assert_allclose(served, found.probabilities(facts, reals), rtol=0, atol=1e-6)
    alone = found.served(facts[:, 7:8].astype(np.float64), reals[:, 7:8].astype(np.float64))
    assert alone.tobytes() == served[7:8].tobytes()


def test_features_go_in_as_they_are() -> None:
    """The columns are the facts, then the reals, unscaled; the greatest gap is exact."""
    nodes = [
        helper.make_node("Constant", [], ["weights"], value_floats=[1.0, 2**-24, 4.0]),
        helper.make_node("Mul", ["x", "weights"], ["weighted"]),
        helper.make_node("ReduceSum", ["weighted", "axes"], ["p"], keepdims=1),
    ]
    axes = helper.make_node("Constant", [], ["axes"], value_ints=[1])
    facts, reals = np.array([[0], [14_399_999]], np.int32), np.array([[0.0]], np.float32)
    p = scorer(model([axes, *nodes])).probabilities(facts, reals)
    assert p.tolist() == [14_399_999 / 2**24]
    reals[0, 0] = 1 / 16
    facts[1] = 0
    assert scorer(model([axes, *nodes])).probabilities(facts, reals).tolist() == [0.25]


def test_a_nan_is_not_scored_whatever_the_graph_makes_of_it() -> None:
    found, (facts, reals) = scorer(two_layers()), features(ROWS, spec=TINY)
    p = found.probabilities(facts, reals)
    reals[0, 7] = np.nan
    q = found.probabilities(facts, reals)
    assert np.flatnonzero(np.isnan(q)).tolist() == [7]
    assert np.array_equal(np.delete(q, 7), np.delete(p, 7))
    served = found.served(*(part[:, 6:9].astype(np.float64) for part in (facts, reals)))
    assert np.isnan(served).tolist() == [False, True, False]


def test_a_nan_that_the_graph_hides() -> None:
    hidden = [*PICK[:1], helper.make_node("IsNaN", ["x"], ["n"])]
    hidden += [
        helper.make_node("Cast", ["n"], ["f"], to=1),
        helper.make_node("Gather", ["f", "column"], ["p"], axis=1),
    ]
    made = scorer(model(hidden))
    facts, reals = np.zeros((2, 2), np.int32), np.array([[np.nan, 1.0]], np.float32)
    assert made.outputs(facts, reals).tolist() == [1.0, 0.0]
    assert np.isnan(made.probabilities(facts, reals)).tolist() == [True, False]
    served = made.served(facts.astype(np.float64), reals.astype(np.float64))
    assert np.isnan(served).tolist() == [True, False]


def test_what_is_no_probability_is_undecided() -> None:
    assert saying([0.0, 0.25, 1.0]) == [0.0, 0.25, 1.0]
    assert saying([-5e-7, 1 + 5e-7]) == [0.0, 1.0]  # a sum of shares, rounded
    assert np.isnan(saying([-1e-3, 1.001, 7.5, np.inf, -np.inf])).all()


def test_logits() -> None:
    assert saying([0.0, 2.0, 1e4, -1e4], "logit") == [
        0.5,
        pytest.approx(1 / (1 + np.exp(-2)), abs=1e-7),
        1.0,
        0.0,
    ]


def test_no_click_at_all() -> None:
    p = scorer(two_layers()).probabilities(*features(0, spec=TINY))
    assert p.shape == (0,)
    assert p.dtype == np.float32
    assert scorer(two_layers()).served(np.empty((2, 0)), np.empty((1, 0))).shape == (0,)


def test_features_of_another_spec_are_refused() -> None:
    facts, reals = features(4, spec=TINY)
    for pair in ((facts[:-1], reals), (facts, reals[:-1]), (facts, reals[:, :-1])):
        with pytest.raises(Inconsistent, match="do not fit"):
            scorer(two_layers()).probabilities(*pair)


def test_a_graph_that_can_t_be_loaded() -> None:
    with pytest.raises(BadModelFile, match=r"^m\.onnx: ONNX Runtime can't load it: ") as caught:
        OnnxScorer(b"nonsense", TINY, "probability", "m.onnx")
    assert "\n" not in str(caught.value)


def test_a_graph_that_fails_on_a_click() -> None:
    made = model(
        [
            helper.make_node("Constant", [], ["shape"], value_ints=[7, 1]),
            helper.make_node("Gather", ["x", "zero"], ["c"], axis=1),
            helper.make_node("Reshape", ["c", "shape"], ["p"]),
        ],
        [helper.make_tensor("zero", 7, [1], [0])],
    )
    with pytest.raises(BadModelFile, match=r"^m\.onnx: it can't be computed: ") as caught:
        scorer(made).probabilities(*features(3, spec=TINY))
    assert "\n" not in str(caught.value)


def test_an_output_of_another_shape() -> None:
    made = model([helper.make_node("Sigmoid", ["x"], ["p"])], outputs=None)
    made.graph.output[0].type.tensor_type.shape.dim[1].dim_param = "K"
    with pytest.raises(BadModelFile, match=r"has the shape \[1024, 3\] and not \[1024\] or"):
        scorer(made).probabilities(*features(3, spec=TINY))


@pytest.mark.parametrize("missing", ["onnxruntime", "onnx"])
def test_without_the_extra_the_line_says_what_to_install(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingExtra, match=r"pip install 'slidr-replay\[onnx\]'"):
        extra(missing)


def test_a_cuda_device_that_the_runtime_can_t_use(monkeypatch: pytest.MonkeyPatch) -> None:
    found = scorer(two_layers())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(OnnxScorer, "has_cuda", lambda _: False)
    assert device_for("auto", [found]) == "cpu"
    assert device_for("auto", []) == "cuda"
    with pytest.raises(BadInput, match="this ONNX Runtime has no CUDA; install onnxruntime-gpu"):
        device_for("cuda", [found])
    with pytest.raises(BadInput, match="this ONNX Runtime has no CUDA; install onnxruntime-gpu"):
        found.probabilities(*features(2, spec=TINY), device="cuda")
    monkeypatch.setattr(OnnxScorer, "has_cuda", lambda _: True)
    assert device_for("cuda", [found]) == "cuda"


def test_a_runtime_that_falls_back_to_the_cpu_is_not_believed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A runtime for CUDA on a machine that lacks its libraries opens a session on the CPU."""
    found = scorer(two_layers())
    if found.has_cuda():
        pytest.skip("this ONNX Runtime has CUDA")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(OnnxScorer, "has_cuda", lambda _: True)
    with (
        pytest.warns(UserWarning, match="CUDAExecutionProvider"),
        pytest.raises(BadInput, match="this ONNX Runtime has no CUDA"),
    ):
        found.probabilities(*features(2, spec=TINY), device="cuda")
