"""What a graph must do before it is kept, and that each check can fail."""

import numpy as np
import pytest
from onnx import ModelProto, helper

from scorer.errors import BadInput
from scorer.foreign.checks import DRAWN, Sample, check_sample, check_scores, drawn
from scorer.foreign.scoring import OnnxScorer, Output
from tests.scorer.foreign.graphs import TINY, exported, model, sigmoid, tensor, two_layers
from tests.scorer.models import SPEC, features, module

SUM = [
    helper.make_node("Constant", [], ["axes"], value_ints=[1]),
    helper.make_node("ReduceSum", ["x", "axes"], ["z"], keepdims=1),
]


def scorer(made: ModelProto, output: Output = "probability") -> OnnxScorer:
    return OnnxScorer(made.SerializeToString(), TINY, output, "m.onnx")


def refused(made: ModelProto, output: Output = "probability") -> str:
    with pytest.raises(BadInput) as caught:
        check_scores(scorer(made, output), TINY, "m.onnx")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_graphs_that_are_fine() -> None:
    check_scores(scorer(two_layers()), TINY, "m.onnx")
    check_scores(scorer(two_layers(logit=True), "logit"), TINY, "m.onnx")
    ours = OnnxScorer(exported(module(), SPEC).SerializeToString(), SPEC, "probability", "m.onnx")
    check_scores(ours, SPEC, "m.onnx")


def test_drawn_features_are_such_as_clicks_have() -> None:
    facts, reals = drawn(SPEC)
    assert (facts.shape, reals.shape) == ((25, DRAWN), (5, DRAWN))
    rows = dict(zip(SPEC.facts, facts, strict=True))
    assert set(rows["logged_in"].tolist()) == set(rows["device_tablet"].tolist()) == {0, 1}
    assert 14_000_000 < rows["gap_ms_user"].max() <= 14_400_000
    assert facts.min() == 0
    assert np.abs(reals[:4]).max() <= 1


def test_a_logit_where_a_probability_is_due() -> None:
    text = refused(two_layers(logit=True))
    assert "for a click, and a probability lies in [0, 1]; if it gives the logit, say" in text


def test_what_is_no_number() -> None:
    zero = helper.make_node("Sub", ["z", "z"], ["zero"])
    made = model([*SUM, zero, helper.make_node("Div", ["zero", "zero"], ["p"])])
    for output in ("probability", "logit"):
        text = refused(made, output)
        assert text.endswith("gives nan for a click, and a probability lies in [0, 1]")


def test_a_graph_that_looks_at_the_neighbours() -> None:
    mean = helper.make_node("ReduceMean", ["z"], ["mean"], keepdims=1)
    away = helper.make_node("Div", ["z", "mean"], ["y"])
    text = refused(model([*SUM, mean, away, sigmoid("y")]))
    assert "depends on the clicks beside it (by 0." in text


def test_a_graph_that_looks_at_the_place() -> None:
    rows = tensor("place", np.arange(1024).reshape(-1, 1) % 7 / 100)
    shape = helper.make_node("Shape", ["z"], ["n"], start=0, end=1)
    cut = helper.make_node("Slice", ["place", "from", "n"], ["here"])
    made = model(
        [*SUM, shape, cut, helper.make_node("Add", ["z", "here"], ["y"]), sigmoid("y")],
        [rows, tensor("from", [0], np.int64)],
    )
    assert "depends on the clicks beside it" in refused(made)


def test_a_graph_that_looks_at_the_size_of_the_batch() -> None:
    made = model(
        [
            *SUM,
            helper.make_node("Shape", ["z"], ["n"], start=0, end=1),
            helper.make_node("Cast", ["n"], ["size"], to=1),
            helper.make_node("Div", ["z", "size"], ["y"]),
            sigmoid("y"),
        ]
    )
    assert "for a click alone is another than among others" in refused(made)


def sample(rows: int = 40) -> Sample:
    facts, reals = features(rows, spec=TINY)
    p = scorer(two_layers()).probabilities(facts, reals)
    return Sample(facts, reals, p.astype(np.float64))


def test_a_sample_that_agrees() -> None:
    held = sample()
    assert check_sample(scorer(two_layers()), held, "s.csv") == 0
    held.expected[3] += 0.9e-6
    assert check_sample(scorer(two_layers()), held, "s.csv") == pytest.approx(0.9e-6, rel=1e-3)


def test_a_sample_names_the_row_that_differs_most() -> None:
    held = sample()
    right = held.expected[[4, 11]].copy()
    held.expected[4] += 2e-6
    held.expected[11] -= 0.125
    with pytest.raises(BadInput) as caught:
        check_sample(scorer(two_layers()), held, "s.csv")
    said = f"row 12 says {right[1] - 0.125:.9g} and the graph gives {right[1]:.9g}"
    assert str(caught.value).startswith(f"s.csv: {said}, the most of 2 rows of 40 that are more")


def test_a_row_that_the_graph_can_t_score_differs_most() -> None:
    held = sample()
    picked = [
        helper.make_node("Constant", [], ["column"], value_ints=[0]),
        helper.make_node("Gather", ["x", "column"], ["p"], axis=1),
    ]
    held.facts[0] = 0
    held.facts[0, 5] = 9
    with pytest.raises(BadInput, match=r"row 6 says .* and the graph gives nan"):
        check_sample(scorer(model(picked)), held, "s.csv")
