"""Fitting: it learns, it repeats itself to the byte, and it refuses what can't be learned from."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save

from scorer.errors import BadInput, NotTrainable
from scorer.models import ARCHITECTURES
from scorer.scoring import Scorer
from scorer.spec import Spec, TimeParts, parse_spec
from scorer.training import Settings, Trained, TrainingSet, train
from scorer.versions import sha256
from scorer.weights import cell_weights
from tests.scorer.models import SPEC, training_set

ROOT = Path(__file__).resolve().parents[2]
QUICK = Settings(epochs=2)
MINUTE = 60_000_000
SCRIPT = "from tests.scorer.test_training import digest; print(digest())"


def digest(seed: int = 0) -> str:
    trained = train(training_set(600), SPEC, "mlp", replace(QUICK, seed=seed))
    return sha256(save(trained.module.state_dict()))


def invalid(trained: Trained, data: TrainingSet) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    p = Scorer(trained.module).probabilities(data.facts, data.reals)
    return p >= np.float32(trained.calibration.overall)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_tells_fast_clickers_from_humans(name: str) -> None:
    trained = train(training_set(), SPEC, name, Settings(epochs=10, fpr_budget=0.02))
    later = training_set(seed=1, buyers=1.0)
    called = invalid(trained, later)
    assert called[~later.human].mean() > 0.9
    assert called[later.human].mean() < 0.1


def test_same_data_and_seed_same_weights_in_every_process() -> None:
    line = [sys.executable, "-c", SCRIPT]
    other = subprocess.run(line, capture_output=True, text=True, check=True, cwd=ROOT)
    assert other.stdout.strip() == digest() != digest(seed=1)


def test_threads_and_the_state_of_the_random_numbers_are_no_matter() -> None:
    first, before = digest(), torch.get_num_threads()
    try:
        torch.set_num_threads(before + 1)
        torch.manual_seed(99)
        assert digest() == first
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)


def test_the_last_fifth_of_the_time_is_held_out() -> None:
    data = replace(training_set(10), ts=np.array([0, 1, 2, 79, 80, 81, 90, 91, 92, 99]), end=100)
    assert data.held_out == 4


def test_held_out_clicks_do_not_shape_the_weights() -> None:
    data = training_set(1_000)
    facts = data.facts.copy()
    facts[:, data.held_out :] *= 3
    settings = replace(QUICK, epochs=1)
    one, other = (train(d, SPEC, "mlp", settings) for d in (data, replace(data, facts=facts)))
    assert save(one.module.state_dict()) == save(other.module.state_dict())
    assert one.held_out_losses != other.held_out_losses


def test_held_out_labels_do_not_shape_the_weights() -> None:
    data = training_set(1_000, apart=MINUTE)
    human = data.human.copy()
    human[data.held_out :] = ~human[data.held_out :]
    other = replace(data, human=human, purchasing=human)
    one, two = (train(d, SPEC, "mlp", replace(QUICK, epochs=1)) for d in (data, other))
    assert save(one.module.state_dict()) == save(two.module.state_dict())
    assert one.held_out_losses != two.held_out_losses


@pytest.mark.parametrize("cap", [1.5, 100.0])
def test_the_held_out_loss_is_weighted(cap: float) -> None:
    data = training_set(1_000, apart=MINUTE)
    trained = train(data, SPEC, "velocity", replace(QUICK, weight_cap=cap))
    rows = slice(data.held_out, None)
    logged_in, human = data.logged_in[rows], data.human[rows]
    weights = cell_weights(data.ts[rows], logged_in, human, cap)
    p = Scorer(trained.module).probabilities(data.facts[:, rows], data.reals[:, rows])
    losses = -np.log(np.where(human, 1 - p, p).astype(np.float64))
    expected = np.average(losses, weights=weights.values)
    assert min(trained.held_out_losses) == pytest.approx(expected, rel=1e-4)
    assert expected != pytest.approx(losses.mean(), rel=1e-2)
    assert trained.metrics["held_out_effective_rows"] == weights.effective
    assert trained.metrics["held_out_weight_cells"] == weights.cells
    assert trained.metrics["held_out_capped_clicks"] == weights.capped
    assert (weights.capped > 0) == (cap == 1.5)


def test_hours_are_those_of_the_specs_zone() -> None:
    data = training_set(600, apart=MINUTE // 10)  # one hour in UTC, two in Kolkata (+5:30)
    there = SPEC.model_copy(update={"time": TimeParts(zone="Asia/Kolkata")})
    cells = [train(data, s, "velocity", QUICK).metrics["weight_cells"] for s in (SPEC, there)]
    assert cells == [4, 8]


def test_without_weights_the_labels_alone_are_balanced() -> None:
    data = training_set(600, apart=MINUTE)
    plain = train(data, SPEC, "mlp", replace(QUICK, weights=False))
    assert plain.metrics["weight_cells"] == 2
    assert plain.metrics["capped_clicks"] == 0
    weighted = train(data, SPEC, "mlp", QUICK)
    assert plain.metrics["effective_rows"] > weighted.metrics["effective_rows"]  # type: ignore[operator]
    assert save(plain.module.state_dict()) != save(weighted.module.state_dict())


def test_metrics_are_those_of_the_held_out_clicks() -> None:
    data = training_set()
    trained = train(data, SPEC, "logistic", replace(QUICK, fpr_budget=0.1))
    held_out = slice(data.held_out, None)
    called, human = invalid(trained, data)[held_out], data.purchasing[held_out]
    metrics = trained.metrics
    assert metrics["rows"] == len(data.human)
    assert metrics["held_out_humans"] == data.human[held_out].sum() > human.sum()
    assert metrics["held_out_purchasing"] == human.sum()
    assert metrics["ivr"] == called.mean()
    assert metrics["coverage"] == called[data.robotic[held_out]].mean()
    assert metrics["fpr"] == called[human].mean() <= 0.1
    assert metrics["fpr"] > (0.1 * human.sum() - 1) / human.sum()  # as many as the budget allows
    assert metrics["fpr_low"] < metrics["fpr"] < metrics["fpr_high"]  # type: ignore[operator]


def test_fitting_stops_when_the_held_out_loss_rises_and_keeps_the_best() -> None:
    told: list[tuple[int, float, float]] = []
    settings = Settings(epochs=40, patience=2, rate=0.03)
    trained = train(training_set(600), SPEC, "mlp", settings, lambda *epoch: told.append(epoch))
    losses = trained.held_out_losses
    assert len(losses) == int(np.argmin(losses)) + 1 + 2 < 40
    assert [epoch for epoch, _, _ in told] == list(range(1, len(losses) + 1))
    best = replace(settings, epochs=int(np.argmin(losses)) + 1)
    again = train(training_set(600), SPEC, "mlp", best)
    assert save(again.module.state_dict()) == save(trained.module.state_dict())


def labelled(first: list[bool], last: list[bool]) -> TrainingSet:
    """Eight clicks in the first four fifths of the time and two in the last."""
    human = np.array(first + last)
    return replace(training_set(10), human=human, purchasing=human, end=100)


NONE, ALL = [False] * 8, [True] * 8
SOME = [True, False] * 4


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (labelled(NONE, [False] * 2), "no purchasing click in the span"),
        (labelled(ALL, [True] * 2), "one class only"),
        (labelled(SOME, [False] * 2), "the last fifth of the span's time holds no purchasing"),
        (labelled(SOME, [True] * 2), "the last fifth of the span's time holds no other"),
        (labelled(NONE, [True, False]), "the first four fifths of the span's time holds no purch"),
        (labelled(ALL, [True, False]), "the first four fifths of the span's time holds no other"),
    ],
)
def test_labels_that_nothing_can_be_learned_from(data: TrainingSet, words: str) -> None:
    with pytest.raises(NotTrainable) as caught:
        train(data, SPEC, "mlp", QUICK)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("bought", "words"), [(None, "in the span"), (0, "the last fifth")])
def test_high_rfm_is_no_purchase(bought: int | None, words: str) -> None:
    data = labelled(SOME, [True, False])
    purchasing = np.arange(10) == bought if bought is not None else np.zeros(10, np.bool_)
    with pytest.raises(NotTrainable, match=words) as caught:
        train(replace(data, purchasing=purchasing), SPEC, "mlp", QUICK)
    assert "no purchasing click" in str(caught.value)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_profile_value_that_is_no_number(value: float) -> None:
    data = training_set(100)
    data.reals[4, 42] = value
    with pytest.raises(NotTrainable, match=r"user_account_age_days is .*00042\dZ, and"):
        train(data, SPEC, "mlp", QUICK)


@pytest.mark.parametrize("value", [3e38, -3e38])
def test_an_extreme_profile_value_is_no_trouble(value: float) -> None:
    data = training_set(600)
    data.reals[4, 42] = value
    assert np.isfinite(train(data, SPEC, "mlp", QUICK).held_out_losses).all()


def test_constant_features_are_no_trouble() -> None:
    data = training_set(600)
    data.facts[5:] = 7
    data.reals[:] = 0
    assert np.isfinite(train(data, SPEC, "mlp", QUICK).held_out_losses).all()


def test_a_spec_that_holds_what_labels_are_made_of() -> None:
    rfm = {"table": "user", "column": "rfm_score", "default": 0.0}
    spec: Spec = parse_spec({"profiles": [rfm]}, "test")
    with pytest.raises(NotTrainable, match="user_rfm_score, which labels are made of"):
        train(training_set(10), spec, "mlp", QUICK)


def test_an_architecture_that_is_not_there() -> None:
    with pytest.raises(BadInput, match="Did you mean dcn"):
        train(training_set(100), SPEC, "dnc", QUICK)


@pytest.mark.parametrize("cap", [0.5, float("nan")])
def test_a_weight_cap_below_the_mean(cap: float) -> None:
    with pytest.raises(BadInput, match="weight cap"):
        train(training_set(100), SPEC, "mlp", replace(QUICK, weight_cap=cap))


@pytest.mark.parametrize("budget", [0.0, 1.5])
def test_a_budget_outside_its_range(budget: float) -> None:
    with pytest.raises(BadInput, match="FPR budget"):
        train(training_set(100), SPEC, "mlp", replace(QUICK, fpr_budget=budget))
