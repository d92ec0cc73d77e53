"""A click's probability is the same bits whatever stands beside it."""

import warnings

import numpy as np
import pytest
import torch
from numpy.random import default_rng
from torch import Tensor

from scorer.errors import BadInput, Inconsistent
from scorer.models import ARCHITECTURES, Architecture
from scorer.scoring import BATCH_ROWS, SLAB_ROWS, Facts, Reals, Scorer, choose_device
from tests.scorer.models import SPEC, features, module

ROWS = 2 * BATCH_ROWS + 17


def check_order_is_no_matter(scorer: Scorer, facts: Facts, reals: Reals) -> None:
    p = scorer.probabilities(facts, reals)
    for seed in range(3):
        order = default_rng(seed).permutation(len(p))
        assert np.array_equal(scorer.probabilities(facts[:, order], reals[:, order]), p[order])


def check_place_is_no_matter(scorer: Scorer, facts: Facts, reals: Reals) -> None:
    for row in (0, 1, 2):
        rows = np.full(BATCH_ROWS, row)
        assert len(np.unique(scorer.probabilities(facts[:, rows], reals[:, rows]))) == 1


def check_neighbours_are_no_matter(scorer: Scorer, facts: Facts, reals: Reals) -> None:
    p = scorer.probabilities(facts, reals)
    for start, stop in ((0, 1), (5, 8), (3, BATCH_ROWS + 3), (BATCH_ROWS - 1, ROWS)):
        part = scorer.probabilities(facts[:, start:stop], reals[:, start:stop])
        assert np.array_equal(part, p[start:stop])


CHECKS = (check_order_is_no_matter, check_place_is_no_matter, check_neighbours_are_no_matter)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_scores_each_click_alone(name: str, check: type) -> None:
    check(Scorer(module(name)), *features(ROWS))


class _Neighbourly(Architecture):
    """Compares each click with the mean of its batch: what the checks must catch."""

    def forward(self, facts: Tensor, reals: Tensor) -> Tensor:
        x: Tensor = self.inputs(facts, reals).mean(1)
        return x - x.mean()


class _Placed(Architecture):
    """Adds a click's place in the batch."""

    def forward(self, facts: Tensor, reals: Tensor) -> Tensor:
        x: Tensor = self.inputs(facts, reals).mean(1)
        return x + torch.arange(facts.shape[1]) % 2


@pytest.mark.parametrize(
    ("kind", "check"),
    [
        (_Neighbourly, check_neighbours_are_no_matter),
        (_Placed, check_order_is_no_matter),
        (_Placed, check_place_is_no_matter),
    ],
)
def test_the_checks_can_fail(kind: type[Architecture], check: type) -> None:
    with pytest.raises(AssertionError):
        check(Scorer(kind(SPEC)), *features(ROWS))


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_are_no_matter(threads: int) -> None:
    scorer, clicks = Scorer(module()), features(SLAB_ROWS + 5)
    p = scorer.probabilities(*clicks, threads=2)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        assert np.array_equal(scorer.probabilities(*clicks, threads=threads), p)
        assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(before)


def test_probabilities_are_those_of_the_network() -> None:
    built, (facts, reals) = module(), features(ROWS)
    p = Scorer(built).probabilities(facts, reals)
    with torch.no_grad():
        logits = built.double()(*map(torch.from_numpy, (facts, reals.astype(np.float64))))
    assert p.dtype == np.float32
    assert p == pytest.approx(torch.sigmoid(logits).numpy(), abs=1e-5)


def test_a_nan_touches_its_own_click_alone() -> None:
    scorer, (facts, reals) = Scorer(module()), features(ROWS)
    p = scorer.probabilities(facts, reals)
    reals[-1, 7] = np.nan
    q = scorer.probabilities(facts, reals)
    assert np.flatnonzero(np.isnan(q)).tolist() == [7]
    assert np.array_equal(np.delete(q, 7), np.delete(p, 7))


def test_no_click_at_all() -> None:
    p = Scorer(module()).probabilities(*features(0))
    assert p.shape == (0,)
    assert p.dtype == np.float32


def test_features_of_another_spec_are_refused() -> None:
    facts, reals = features(4)
    for pair in ((facts[:-1], reals), (facts, reals[:-1]), (facts, reals[:, :-1])):
        with pytest.raises(Inconsistent, match="do not fit"):
            Scorer(module()).probabilities(*pair)


def test_products_are_not_cut_to_tf32() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.set_float32_matmul_precision("medium")
    Scorer(module()).probabilities(*features(1))
    assert torch.get_float32_matmul_precision() == "highest"


def test_devices() -> None:
    assert choose_device("auto") in ("cpu", "cuda")
    with pytest.raises(BadInput, match="no device named 'tpu'"):
        choose_device("tpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_an_absent_cuda_device_is_refused() -> None:
    with pytest.raises(BadInput, match="has no CUDA device"):
        Scorer(module()).probabilities(*features(1), device="cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_agrees_but_for_rounding() -> None:
    scorer, (facts, reals) = Scorer(module()), features(ROWS)
    on_cuda = scorer.probabilities(facts, reals, device="cuda")
    assert on_cuda == pytest.approx(scorer.probabilities(facts, reals), abs=1e-5)
    order = default_rng(0).permutation(ROWS)
    permuted = scorer.probabilities(facts[:, order], reals[:, order], device="cuda")
    assert np.array_equal(permuted, on_cuda[order])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_served_probability_is_the_replayed_one(architecture: str) -> None:
    built = module(architecture)
    with torch.no_grad():
        for weights in built.parameters():
            weights.mul_(3)  # as sure of itself as a trained one
    scorer = Scorer(built)
    facts, reals = features(800, seed=3)
    facts[:, 0], facts[:, 1], reals[:, 2] = 0, np.iinfo(np.int32).max, np.nan
    reals[:, 3], reals[:, 4] = 3e38, -3e38
    served = scorer.served(facts.astype(np.float64), reals.astype(np.float64))
    replayed = scorer.probabilities(facts, reals)
    assert np.isnan(replayed[2])
    assert np.ptp(np.delete(replayed, 2)) > 0.2
    np.testing.assert_allclose(served, replayed, rtol=0, atol=1e-6)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_served_probability_does_not_depend_on_its_neighbours(architecture: str) -> None:
    scorer = Scorer(module(architecture))
    found = features(64, seed=4)
    facts, reals = (values.astype(np.float64) for values in found)
    alone = [scorer.served(facts[:, k : k + 1], reals[:, k : k + 1]) for k in range(64)]
    for at, size in ((0, 64), (0, 16), (1, 16), (40, 7), (61, 3), (13, 2)):
        beside = scorer.served(facts[:, at : at + size], reals[:, at : at + size])
        assert beside.tobytes() == np.concatenate(alone[at : at + size]).tobytes()
