"""The deep and cross network against its formula written out."""

import numpy as np
import pytest
import torch

from scorer.fitting import Rows, Schedule, fit
from scorer.models import build
from scorer.models.dcn import Dcn
from scorer.models.plain import plain_inputs
from scorer.scoring import Scorer
from scorer.spec import parse_spec
from scorer.training import Settings, train
from tests.scorer.models import SPEC, features, module, training_set


def dcn(**parameters: int) -> Dcn:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        built = build("dcn", SPEC, parameters)
        for weights in built.parameters():
            torch.nn.init.normal_(weights, std=0.3)
    assert isinstance(built, Dcn)
    return built.double()


def by_hand(built: Dcn, x0: list[float]) -> float:
    """One click's logit, number by number; `x0` are its standardised inputs."""
    weights = {name: value.tolist() for name, value in built.state_dict().items()}
    x = x0
    for layer in range(len(built.cross)):
        v, u, b = (weights[f"cross.{layer}.{k}"] for k in ("down.weight", "up.weight", "up.bias"))
        low = [sum(w * xi for w, xi in zip(row, x, strict=True)) for row in v]
        crossed = [
            sum(w * h for w, h in zip(row, low, strict=True)) + bias
            for row, bias in zip(u, b, strict=True)
        ]
        x = [first * c + own for first, c, own in zip(x0, crossed, x, strict=True)]
    deep = x0
    for name in ("first", "second"):
        rows = zip(weights[f"{name}.weight"], weights[f"{name}.bias"], strict=True)
        deep = [max(0.0, float(np.dot(row, deep)) + bias) for row, bias in rows]
    return float(np.dot(weights["last.weight"][0], x + deep)) + float(weights["last.bias"][0])


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_the_logit_is_the_papers(layers: int) -> None:
    built = dcn(layers=layers, rank=3)
    facts, reals = (x.astype(np.float64) for x in features(3))
    torch_facts, torch_reals = torch.from_numpy(facts), torch.from_numpy(reals)
    expected = [by_hand(built, x0) for x0 in built.inputs(torch_facts, torch_reals).tolist()]
    assert built(torch_facts, torch_reals).tolist() == pytest.approx(expected, rel=1e-9)
    expected = [
        by_hand(built, x0) for x0 in plain_inputs(built.inputs)(facts, reals)[:, 0].tolist()
    ]
    assert built.plain()(facts, reals) == pytest.approx(expected, rel=1e-9)


def test_the_rank_is_a_quarter_of_the_inputs() -> None:
    built = module("dcn")
    width = built.inputs.width
    shapes = {name: tuple(value.shape) for name, value in built.named_parameters()}
    assert shapes["cross.0.down.weight"] == (width // 4, width)
    assert shapes["cross.1.up.weight"] == (width, width // 4)
    assert "cross.0.down.bias" not in shapes


def test_a_spec_of_few_inputs_has_a_rank_of_one() -> None:
    one = parse_spec({"flags": {"logged_in": True}}, "test")
    assert build("dcn", one).parameters_used()["rank"] == 1


def test_cross_layers_alone_learn_a_product() -> None:
    random = np.random.default_rng(5)
    facts, reals = torch.zeros(len(SPEC.facts), 3_000, dtype=torch.int32), np.zeros((5, 3_000))
    reals[:2] = random.choice([-1, 1], size=(2, 3_000))
    human = torch.from_numpy(reals[0] * reals[1] > 0)
    rows = Rows(facts, torch.from_numpy(reals).float(), human, torch.ones(3_000))
    built, schedule = module("dcn"), Schedule(epochs=10, rate=1e-2, l2=1e-4)
    assert isinstance(built, Dcn)
    with torch.no_grad():
        built.second.weight.zero_()
        built.second.bias.zero_()  # ReLU passes nothing on, back or forth
    assert min(fit(built, rows, rows, schedule).held_out) < 0.1
    assert min(fit(module("logistic"), rows, rows, schedule).held_out) > 0.69  # a coin's


def test_a_trained_network_is_served_as_it_is_replayed() -> None:
    data = training_set(2_000)
    scorer = Scorer(train(data, SPEC, "dcn", Settings(epochs=8)).module)
    replayed = scorer.probabilities(data.facts, data.reals)
    served = scorer.served(data.facts.astype(np.float64), data.reals.astype(np.float64))
    assert np.ptp(replayed) > 0.5
    np.testing.assert_allclose(served, replayed, rtol=0, atol=1e-6)
