"""The loop: what it minimises is the weighted mean loss, label by label."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from scorer.errors import NotTrainable
from scorer.fitting import Rows, Schedule, fit
from tests.scorer.models import SPEC, features, module

STILL = Schedule(
    epochs=120, patience=120, rate=0.0
)  # nothing moves: every epoch's loss is the same


def rows(count: int = 1_500, humans: float = 0.1, seed: int = 0) -> Rows:
    """Few humans; a click's weight grows with its clicks, and so goes with its loss."""
    random = np.random.default_rng(seed)
    facts, reals = features(count, seed)
    weights = torch.from_numpy(1 + facts[3].astype(np.float32))
    human = torch.from_numpy(random.random(count) < humans)
    return Rows(torch.from_numpy(facts), torch.from_numpy(reals), human, weights)


def weighted_loss(given: Rows) -> float:
    """The weighted mean loss of a still velocity rule, by hand."""
    with torch.no_grad():
        still = module("velocity")
        still.inputs.fit(given.facts, given.reals)
        logits = still(given.facts, given.reals).double().numpy()
    signed = np.where(given.human.numpy(), logits, -logits)
    return float(np.average(np.log1p(np.exp(signed)), weights=given.weights.numpy()))


@pytest.mark.parametrize("humans", [0.02, 0.1, 0.9])
def test_the_loss_is_the_weighted_mean_of_all_clicks(humans: float) -> None:
    given = rows(humans=humans)
    losses = fit(module("velocity"), given, given, STILL)
    expected = weighted_loss(given)
    plain = weighted_loss(replace(given, weights=torch.ones(len(given.human))))
    assert abs(expected - plain) > 0.05 * expected  # so that weights are seen
    assert losses.held_out[0] == pytest.approx(expected, rel=1e-5)
    assert np.mean(losses.fitted) == pytest.approx(expected, rel=0.03)


def test_the_scale_of_weights_is_no_matter() -> None:
    given = rows()
    scaled = replace(given, weights=given.weights * 64)
    states = []
    for one in (given, scaled):
        fitted = module("mlp")
        fit(fitted, one, one, Schedule(epochs=2))
        states.append(fitted.state_dict())
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())


def test_a_heavy_click_decides_between_alike_ones() -> None:
    """Of two labels on the same features, the heavier one wins, in either stream."""
    facts = torch.zeros(len(SPEC.facts), 200, dtype=torch.int32)
    facts[:, 100:] = 5  # two places, one with 1 human in 100, one with 99
    human = torch.zeros(200, dtype=torch.bool)
    human[0], human[100:199] = True, True
    weights = torch.ones(200)
    weights[0], weights[199] = 300, 300
    given = Rows(facts, torch.zeros(5, 200), human, weights)
    fitted = module("logistic")
    fit(fitted, given, given, Schedule(epochs=60, patience=60, rate=3e-3, l2=0.0))
    with torch.no_grad():
        robotic = torch.sigmoid(fitted(given.facts, given.reals))
    assert robotic[0] == pytest.approx(99 / 399, abs=0.05)
    assert robotic[100] == pytest.approx(300 / 399, abs=0.05)


def test_nothing_is_held_out_that_is_no_number() -> None:
    given = rows(200)
    broken = replace(given, weights=torch.full_like(given.weights, torch.nan))
    with pytest.raises(NotTrainable, match="the loss is no number"):
        fit(module("logistic"), given, broken, Schedule(epochs=1))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_repeats_itself_and_agrees_with_the_cpu() -> None:
    given, schedule = rows(), Schedule(epochs=3)
    losses = [fit(module("mlp"), given, given, schedule, d) for d in ("cuda", "cuda", "cpu")]
    assert losses[0] == losses[1]
    assert losses[0].held_out == pytest.approx(losses[2].held_out, rel=1e-3)
