"""Every architecture, and the first layer that they share."""

import numpy as np
import pytest
import torch

from scorer.errors import BadInput, BadSpec
from scorer.models import ARCHITECTURES, build, name_of
from scorer.models.inputs import CUT, Inputs
from scorer.models.velocity import Velocity
from scorer.spec import Spec, parse_spec
from tests.scorer.models import SPEC, features, module

TWO_WINDOWS = {
    "counts": [{"entity": "ip", "windows": ["1h@1m", "1m@1s"]}],
    "gaps": [{"entity": "ip"}],
    "time": {"parts": ["hour_sin"]},
    "profiles": [{"table": "user", "column": "balance", "default": 0.0}],
}


def small() -> Spec:
    return parse_spec(TWO_WINDOWS, "test")


def raw(spec: Spec, facts: list[int], reals: list[float]) -> list[float]:
    columns = torch.tensor([facts], dtype=torch.int32).T, torch.tensor([reals]).T
    values: list[float] = Inputs(spec).raw(*columns).squeeze(1).tolist()
    return values


def test_inputs_are_logs_rates_ratios_and_reals() -> None:
    # 60 in the hour and 3 in the minute: 3 times the hour's rate
    expected = [
        *np.log1p([60, 3, 7_000, 1]),  # facts: 1h, 1m, gap, logged_in
        *np.log1p([60 / 3600, 3 / 60]),
        np.log1p((3 / 60) / (60 / 3600)),
        0.5,
        -np.log1p(8),
    ]
    assert raw(small(), [60, 3, 7_000, 1], [0.5, -8.0]) == pytest.approx(expected, rel=1e-6)


def test_an_entity_without_a_value_gives_zeros() -> None:
    assert raw(small(), [0, 0, 0, 0], [0, 0]) == [0.0] * 9


def test_scaling_is_that_of_the_rows_whatever_the_piece_length() -> None:
    facts, reals = (torch.from_numpy(x) for x in features(1_000, spec=small()))
    layer, other = Inputs(small()), Inputs(small())
    layer.fit(facts, reals)
    other.fit(facts, reals, rows=7)
    values = layer.raw(facts, reals).double().numpy()
    assert layer.mean.numpy()[:, 0] == pytest.approx(values.mean(1), rel=1e-5, abs=1e-9)
    assert 1 / layer.gain.numpy()[:, 0] == pytest.approx(values.std(1), rel=1e-5)
    assert other.gain.numpy() == pytest.approx(layer.gain.numpy(), rel=1e-6)


def test_a_constant_input_never_moves_a_probability() -> None:
    facts, reals = (torch.from_numpy(x) for x in features(100, spec=small()))
    facts[3] = 1
    layer = Inputs(small())
    layer.fit(facts, reals)
    before = layer(facts, reals)
    facts[3] = 0
    assert torch.equal(layer(facts, reals), before)


def test_extreme_values_are_cut() -> None:
    facts, reals = (torch.from_numpy(x) for x in features(100, spec=small()))
    layer = Inputs(small())
    layer.fit(facts, reals)
    reals[1, 0] = 3e38
    assert layer(facts, reals).max() == CUT


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_gives_one_logit_per_click(name: str) -> None:
    built = module(name)
    logits = built(*(torch.from_numpy(x) for x in features(5)))
    assert (logits.shape, logits.dtype) == ((5,), torch.float32)
    assert name_of(built) == name


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_is_built_again_from_its_parameters(name: str) -> None:
    built = module(name)
    again = build(name, SPEC, built.parameters_used())
    again.load_state_dict(built.state_dict())
    clicks = [torch.from_numpy(x) for x in features(50)]
    assert torch.equal(again(*clicks), built(*clicks))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_what_is_penalised_is_learned(name: str) -> None:
    built = module(name)
    learned = {id(p) for p in built.parameters()}
    assert all(id(weight) in learned for weight in built.penalised())
    assert (name == "velocity") == (not built.penalised())


def test_more_clicks_never_look_less_robotic_to_velocity() -> None:
    built = module("velocity")
    assert isinstance(built, Velocity)
    facts, reals = (torch.from_numpy(x) for x in features(200))
    with torch.no_grad():
        built.a.fill_(-3)
        before = built(facts, reals)
        for row in built.inputs.clicks:
            more = facts.clone()
            more[row] += 1
            assert (built(more, reals) >= before).all()


def test_velocity_needs_counts() -> None:
    with pytest.raises(BadSpec, match="click counts"):
        build("velocity", parse_spec({"gaps": [{"entity": "ip"}]}, "test"))


def test_unknown_architecture_names_the_nearest() -> None:
    with pytest.raises(BadInput, match="Did you mean mlp"):
        build("mpl", SPEC)
