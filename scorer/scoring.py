"""Probabilities of clicks, the same bits whatever stands beside a click.

A matrix product adds up in an order that depends on the size of the batch, so batches of different
sizes change the last bit of many rows. Here every batch has `BATCH_ROWS` rows, the last one padded
with zeros, cut at multiples of `BATCH_ROWS`, and each is computed by one thread. In batches of one
size a row's arithmetic is the same at every position: the tests permute, split and pad to show it.
"""

from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from functools import cache, partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from scorer.errors import BadInput, Inconsistent
from scorer.models import Architecture
from scorer.models.plain import Floats

BATCH_ROWS = 1024
SLAB_ROWS = 32 * BATCH_ROWS  # what a thread takes at a time
LOGIT = 700.0  # beyond which float64's exp overflows
DEVICES = ("auto", "cpu", "cuda")

Facts = npt.NDArray[np.int32]
Reals = npt.NDArray[np.float32]
Probabilities = npt.NDArray[np.float32]


def choose_device(name: str) -> str:
    """Return `cpu` or `cuda`; `auto` takes an accelerator where there is one.

    Raises BadInput for another name, and for `cuda` on a machine without.

    >>> choose_device("cpu")
    'cpu'
    """
    if name not in DEVICES:
        raise BadInput(f"no device named {name!r}; choose one of {', '.join(DEVICES)}")
    if name == "cpu":
        return name
    if torch.cuda.is_available():
        return "cuda"
    if name == "cuda":
        raise BadInput("--device cuda: this machine has no CUDA device; choose cpu or auto")
    return "cpu"


class Scorer:
    """A trained module, ready to score on any device; the module must not change afterwards."""

    def __init__(self, module: Architecture) -> None:
        self._modules = {"cpu": module.cpu().eval()}
        self._plain = module.plain()

    def probabilities(
        self, facts: Facts, reals: Reals, device: str = "cpu", threads: int = 2
    ) -> Probabilities:
        """Return each click's probability of being robotic, float32 (n,).

        `facts` is int32 (n_facts, n), `reals` float32 (n_reals, n), in the spec's order. A click
        with a NaN among its reals has the probability NaN. No click's result depends on another
        click, on its place, or on `threads`. Raises Inconsistent where the shapes do not fit.
        """
        n = facts.shape[1]
        expected = self._modules["cpu"].inputs.shape
        if (len(facts), *reals.shape) != (*expected, n):
            raise Inconsistent(
                f"features of shape {facts.shape} and {reals.shape} do not fit the spec's "
                f"{expected[0]} facts and {expected[1]} reals"
            )
        torch.set_float32_matmul_precision("highest")  # no TF32
        place = choose_device(device)
        score = partial(_score, self._on(place), facts, reals, place)
        slabs = range(0, n, SLAB_ROWS)
        parts = _pool(threads).map(score, slabs) if place == "cpu" else map(score, slabs)
        return np.concatenate([np.empty(0, dtype=np.float32), *parts])

    def served(self, facts: Floats, reals: Floats) -> Probabilities:
        """Return the probabilities of a few clicks, at once and on this thread.

        The arrays are as in `probabilities`, in float64. No click's result depends on another; it
        agrees with that of `probabilities` within 1e-6.
        """
        logits = np.minimum(np.maximum(self._plain(facts, reals), -LOGIT), LOGIT)
        return (1 / (1 + np.exp(-logits))).astype(np.float32)

    def _on(self, device: str) -> Architecture:
        if device not in self._modules:
            self._modules[device] = deepcopy(self._modules["cpu"]).to(device)
        return self._modules[device]


def _score(module: Architecture, facts: Facts, reals: Reals, device: str, at: int) -> Probabilities:
    """Score the slab that begins at row `at`, a multiple of BATCH_ROWS."""
    count = min(SLAB_ROWS, facts.shape[1] - at)
    with torch.inference_mode():
        slab = _padded(facts, at, count).to(device), _padded(reals, at, count).to(device)
        parts = [
            torch.sigmoid(module(*(part[:, i : i + BATCH_ROWS] for part in slab)))
            for i in range(0, count, BATCH_ROWS)
        ]
        probabilities: Probabilities = torch.cat(parts)[:count].cpu().numpy()
    return probabilities


def _padded(values: Facts | Reals, at: int, count: int) -> Tensor:
    """Copy the columns from `at` on, with zeros up to a whole number of batches."""
    padded = np.zeros((len(values), -(-count // BATCH_ROWS) * BATCH_ROWS), dtype=values.dtype)
    padded[:, :count] = values[:, at : at + count]
    return torch.from_numpy(padded)


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Return the pool whose threads run each operation alone: torch's own threads would fight."""
    return ThreadPoolExecutor(threads, "scorer", initializer=torch.set_num_threads, initargs=(1,))
