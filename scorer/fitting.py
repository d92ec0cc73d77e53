"""The loop that fits a network: weights in the loss, two streams of clicks, early stopping.

Each label's part of the loss is its share h, or 1 − h, of the fitted clicks' total weight:

    loss = h · mean of softplus(z) over humans + (1 − h) · mean of softplus(−z) over the others

with z the logit of being robotic and both means weighted. Humans are few, so every step takes some
of them beside a batch of the others. Humans are drawn, over and over, with a chance in proportion
to their weight; each of the others comes once an epoch, with its weight in the loss. The same
module, rows, schedule and device give the same weights.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil, isfinite

import torch
from torch import Tensor
from torch.nn.functional import softplus

from scorer.errors import NotTrainable
from scorer.models import Architecture
from scorer.scoring import BATCH_ROWS

THREADS = 1  # more would change the order of sums, and stall on a busy machine
HUMANS = 4  # a step takes one human for so many others

Tell = Callable[[int, float, float], None]  # epoch, loss, held-out loss


@dataclass(frozen=True)
class Schedule:
    """How to fit; the defaults suit every architecture."""

    seed: int = 0
    epochs: int = 40
    patience: int = 5  # epochs without a better held-out loss
    rate: float = 1e-3
    l2: float = 1e-2
    batch: int = 4096


@dataclass(frozen=True)
class Rows:
    """Clicks with their labels and weights; both labels are among them."""

    facts: Tensor  # (F, n) int32
    reals: Tensor  # (R, n) float32
    human: Tensor  # (n,) bool
    weights: Tensor  # (n,) float32, positive

    def to(self, device: str) -> "Rows":
        """Return the same rows on a device."""
        return Rows(*(t.to(device) for t in (self.facts, self.reals, self.human, self.weights)))


@dataclass(frozen=True)
class Losses:
    """The weighted mean loss after each epoch: of the steps, and of the held-out clicks."""

    fitted: list[float]
    held_out: list[float]


def fit(
    module: Architecture,
    fitted: Rows,
    held_out: Rows,
    schedule: Schedule,
    device: str = "cpu",
    tell: Tell | None = None,
) -> Losses:
    """Fit a module in place until the held-out loss stops falling; keep its lowest point's weights.

    `tell` hears of every epoch. Raises NotTrainable where no epoch's held-out loss is a number.
    """
    losses = Losses([], [])
    with _deterministic():
        module.inputs.fit(fitted.facts, fitted.reals)
        module.to(device)
        epochs, judged = _Epochs(module, fitted.to(device), schedule), held_out.to(device)
        best, kept, waited = float("inf"), _weights(module), 0
        for epoch in range(1, schedule.epochs + 1):
            losses.fitted.append(epochs.run())
            losses.held_out.append(_loss(module, judged))
            if tell:
                tell(epoch, losses.fitted[-1], losses.held_out[-1])
            waited += 1
            if losses.held_out[-1] < best:
                best, kept, waited = losses.held_out[-1], _weights(module), 0
            if waited >= schedule.patience:
                break
    if not isfinite(best):
        raise NotTrainable("the loss is no number; look for extreme values in the features")
    module.load_state_dict(kept)
    return losses


class _Epochs:
    """The steps over the fitted rows; indices are drawn on the CPU, alike for every device."""

    def __init__(self, module: Architecture, rows: Rows, schedule: Schedule) -> None:
        self.module, self.rows, self.schedule = module, rows, schedule
        self.random = torch.Generator().manual_seed(schedule.seed)
        self.optimiser = torch.optim.Adam(module.parameters(), lr=schedule.rate)
        human, weights = rows.human.cpu(), rows.weights.cpu().double()
        self.humans, self.others = (flags.nonzero().squeeze(1) for flags in (human, ~human))
        self.ladder = weights[self.humans].cumsum(0)  # (humans,) each one's step is its weight
        self.share = float(self.ladder[-1] / weights.sum())
        self.mean_other = float(weights[self.others].mean())

    def run(self) -> float:
        """Take every step of an epoch; return the mean loss."""
        device = self.rows.human.device
        losses = [self._step(h.to(device), o.to(device)) for h, o in self._batches()]
        return float(torch.stack(losses).double().mean())

    def _step(self, humans: Tensor, others: Tensor) -> Tensor:
        self.optimiser.zero_grad(set_to_none=True)
        logits = _logits(self.module, self.rows, torch.cat([humans, others]))
        weights = self.rows.weights[others] / self.mean_other  # (others,), about 1 in the mean
        of_humans = softplus(logits[: len(humans)]).mean()
        of_others = (weights * softplus(-logits[len(humans) :])).mean()
        loss = self.share * of_humans + (1 - self.share) * of_others
        l2 = torch.stack([w.square().sum() for w in self.module.penalised()] or [loss * 0])
        (loss + self.schedule.l2 * l2.sum()).backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        return loss.detach()

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield rows of humans and of others, of about the same number in each step."""
        others = self.others[torch.randperm(len(self.others), generator=self.random)]
        batch = max(64, min(self.schedule.batch, len(others) // 50))  # some steps, however few rows
        share = max(1, min(len(self.humans), batch // HUMANS))
        for part in torch.tensor_split(others, ceil(len(others) / batch)):
            yield self._drawn(share), part.sort().values

    def _drawn(self, count: int) -> Tensor:
        """Draw humans with a chance in proportion to their weight, and with replacement."""
        height = torch.rand(count, generator=self.random, dtype=torch.float64) * self.ladder[-1]
        steps = torch.searchsorted(self.ladder, height, right=True)
        return self.humans[steps.clamp(max=len(self.humans) - 1)]


def _logits(module: Architecture, rows: Rows, places: Tensor) -> Tensor:
    logits: Tensor = module(rows.facts[:, places], rows.reals[:, places])  # (F, B), (R, B) -> (B,)
    return logits


@torch.no_grad()
def _loss(module: Architecture, rows: Rows) -> float:
    """Return the weighted mean loss of all rows."""
    both = (torch.split(t, BATCH_ROWS * 8, 1) for t in (rows.facts, rows.reals))
    parts = zip(*both, strict=True)
    logits = torch.cat([module(*part) for part in parts])  # (n,)
    losses = softplus(torch.where(rows.human, logits, -logits)).double()
    return float((losses * rows.weights).sum() / rows.weights.double().sum())


def _weights(module: Architecture) -> dict[str, Tensor]:
    return {key: value.detach().clone() for key, value in module.state_dict().items()}


@contextmanager
def _deterministic() -> Iterator[None]:
    """Fix what else the weights would depend on: threads, and the product's precision."""
    threads = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_num_threads(threads)
