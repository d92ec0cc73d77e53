"""Fitting a network to weak labels, and choosing its threshold on later clicks.

The last fifth of the time is held out: it stops the fitting and carries the threshold. Humans are
few (one click in hundreds or thousands), so every step takes some of them beside a batch of the
others, and each side has half of the loss. The same data, seed and device give the same weights.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import isfinite

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import softplus

from scorer.calibration import Calibration, check_budget, threshold_at
from scorer.errors import NotTrainable
from scorer.metrics import Flags, Share, fpr, ivr
from scorer.models import Architecture, build
from scorer.scoring import BATCH_ROWS, Facts, Reals, Scorer, choose_device
from scorer.spec import Spec

THREADS = 1  # more would change the order of sums, and stall on a busy machine
HELD_OUT = 0.2

Metrics = dict[str, int | float | None]
Tell = Callable[[int, float, float], None]  # epoch, loss, held-out loss


@dataclass(frozen=True)
class TrainingSet:
    """Clicks of [start, end) in log order: features as the replay streams them, and weak labels.

    `human` is the label that is fitted to. `purchasing` clicks, a subset of the human ones, stand
    for humans in the FPR; those of a `robotic` session (`metrics.robotic`) in robotic coverage.
    `slices` numbers each click's slice, whose name is at that place of `slice_keys`.
    """

    facts: Facts  # (F, n)
    reals: Reals  # (R, n)
    ts: npt.NDArray[np.int64]  # (n,), µs, ascending
    human: Flags  # (n,)
    purchasing: Flags  # (n,)
    robotic: Flags  # (n,)
    logged_in: Flags  # (n,)
    slices: npt.NDArray[np.int32]  # (n,)
    slice_keys: tuple[str, ...]  # sorted, each of some click
    start: int
    end: int

    @property
    def held_out(self) -> int:
        """Return the first row of the last fifth of the time."""
        edge = self.end - int((self.end - self.start) * HELD_OUT)
        return int(np.searchsorted(self.ts, edge))


@dataclass(frozen=True)
class Settings:
    """How to fit; the defaults suit every architecture."""

    seed: int = 0
    device: str = "cpu"
    fpr_budget: float = 0.01
    epochs: int = 40
    patience: int = 5  # epochs without a better held-out loss
    rate: float = 1e-3
    l2: float = 1e-2
    batch: int = 4096


@dataclass(frozen=True)
class Trained:
    """A fitted module, its threshold, and how it went."""

    module: Architecture
    calibration: Calibration
    metrics: Metrics
    losses: list[float] = field(default_factory=list)
    held_out_losses: list[float] = field(default_factory=list)


def train(
    data: TrainingSet,
    spec: Spec,
    architecture: str = "mlp",
    settings: Settings = Settings(),
    tell: Tell | None = None,
) -> Trained:
    """Fit an architecture and choose its threshold; `tell` hears of every epoch.

    Raises NotTrainable where the data holds too little, BadInput for a budget outside (0, 1].
    """
    check_budget(settings.fpr_budget)
    check(data, spec)
    device = choose_device(settings.device)
    fitting = _Fitting(data, spec, architecture, settings, device)
    with _deterministic():
        fitting.run(tell or _silent)
    return _calibrated(fitting, data, settings, device)


def check_spec(spec: Spec) -> None:
    """Raise NotTrainable where a spec holds a feature that labels are made of."""
    if labels := spec.label_features():
        raise NotTrainable(
            f"the spec holds {', '.join(labels)}, which labels are made of: a network would learn "
            "the label and not the clicks; choose another --spec"
        )


def check(data: TrainingSet, spec: Spec) -> None:
    """Raise NotTrainable, naming what is missing, where the data can't be trained on."""
    check_spec(spec)
    for name, values in zip(spec.reals, data.reals, strict=True):
        if not np.isfinite(values).all():
            row = int(np.flatnonzero(~np.isfinite(values))[0])
            raise NotTrainable(
                f"feature {name} is {values[row]} at click {row:,} of the span; correct the profile"
            )
    human, edge = data.human, data.held_out
    if not data.purchasing.any():
        raise NotTrainable("no purchasing click in the span, so nothing says what a human is")
    if human.all():
        raise NotTrainable("every click in the span stands for a human: there is one class only")
    for part, rows, needed in (
        ("first four fifths", slice(edge), human),
        ("last fifth", slice(edge, None), data.purchasing),  # the FPR is measured there
    ):
        if not needed[rows].any() or human[rows].all():
            kind = "purchasing clicks" if not needed[rows].any() else "other clicks"
            raise NotTrainable(
                f"the {part} of the span's time holds no {kind}; choose a longer --from --to"
            )


class _Fitting:
    """One fit: the module, where the best weights are kept, and the losses."""

    def __init__(
        self, data: TrainingSet, spec: Spec, architecture: str, settings: Settings, device: str
    ) -> None:
        self.settings, self.device = settings, device
        self.facts, self.reals = torch.from_numpy(data.facts), torch.from_numpy(data.reals)
        edge = data.held_out
        self.humans = torch.from_numpy(np.flatnonzero(data.human[:edge]))
        self.others = torch.from_numpy(np.flatnonzero(~data.human[:edge]))
        self.held_out = slice(edge, data.facts.shape[1])
        self.held_human = torch.from_numpy(data.human[edge:])
        self.random = torch.Generator().manual_seed(settings.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            self.module = build(architecture, spec)
        self.losses: list[float] = []
        self.held_out_losses: list[float] = []

    def run(self, tell: Tell) -> None:
        """Fit until the held-out loss stops falling; keep the weights of its lowest point."""
        edge = self.held_out.start
        self.module.inputs.fit(self.facts[:, :edge], self.reals[:, :edge])
        self.module.to(self.device)
        optimiser = torch.optim.Adam(self.module.parameters(), lr=self.settings.rate)
        best, kept, waited = float("inf"), self._weights(), 0
        for epoch in range(1, self.settings.epochs + 1):
            self.losses.append(self._epoch(optimiser))
            self.held_out_losses.append(self._held_out_loss())
            tell(epoch, self.losses[-1], self.held_out_losses[-1])
            waited += 1
            if self.held_out_losses[-1] < best:
                best, kept, waited = self.held_out_losses[-1], self._weights(), 0
            if waited >= self.settings.patience:
                break
        if not isfinite(best):
            raise NotTrainable("the loss is no number; look for extreme values in the features")
        self.module.load_state_dict(kept)

    def _epoch(self, optimiser: torch.optim.Optimizer) -> float:
        total, steps = 0.0, 0
        for humans, others in self._steps():
            optimiser.zero_grad(set_to_none=True)
            logits = self._logits(torch.cat([humans, others]))
            of_humans, of_others = logits[: len(humans)], logits[len(humans) :]
            loss = (softplus(of_humans).mean() + softplus(-of_others).mean()) / 2
            l2 = torch.stack([w.square().sum() for w in self.module.penalised()] or [loss * 0])
            (loss + self.settings.l2 * l2.sum()).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            total, steps = total + float(loss.detach()), steps + 1
        return total / steps

    def _steps(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield rows of humans and of others: each of the others once, humans over and over."""
        others = self.others[torch.randperm(len(self.others), generator=self.random)]
        batch = max(64, min(self.settings.batch, len(others) // 50))  # some steps, however few rows
        share = max(1, min(len(self.humans), batch // 4))
        for part in torch.split(others, batch):
            drawn = torch.randint(len(self.humans), (share,), generator=self.random)
            yield self.humans[drawn], part.sort().values

    def _logits(self, rows: Tensor) -> Tensor:
        facts, reals = self.facts[:, rows].to(self.device), self.reals[:, rows].to(self.device)
        logits: Tensor = self.module(facts, reals)  # (F, B), (R, B) -> (B,)
        return logits

    @torch.no_grad()
    def _held_out_loss(self) -> float:
        rows = torch.arange(self.held_out.start, self.held_out.stop)
        logits = torch.cat([self._logits(part) for part in torch.split(rows, BATCH_ROWS * 8)]).cpu()
        of_humans, of_others = logits[self.held_human], logits[~self.held_human]
        return float((softplus(of_humans).mean() + softplus(-of_others).mean()) / 2)

    def _weights(self) -> dict[str, Tensor]:
        return {key: value.detach().clone() for key, value in self.module.state_dict().items()}


def _calibrated(fitting: _Fitting, data: TrainingSet, settings: Settings, device: str) -> Trained:
    """Choose the threshold on the held-out rows and measure there what it does."""
    edge = data.held_out
    scorer = Scorer(fitting.module)
    p = scorer.probabilities(data.facts[:, edge:], data.reals[:, edge:], device)
    human, purchasing = data.human[edge:], data.purchasing[edge:]
    threshold = threshold_at(settings.fpr_budget, p[purchasing])
    invalid = p >= np.float32(threshold)
    metrics: Metrics = {
        "rows": len(data.human),
        "humans": int(data.human.sum()),
        "purchasing": int(data.purchasing.sum()),
        "held_out_rows": len(human),
        "held_out_humans": int(human.sum()),
        "held_out_purchasing": int(purchasing.sum()),
        **_measured("ivr", ivr(invalid)),
        **_measured("fpr", fpr(invalid, purchasing)),
        "threshold": threshold,
    }
    calibration = Calibration(overall=threshold, fpr_budget=settings.fpr_budget)
    return Trained(fitting.module, calibration, metrics, fitting.losses, fitting.held_out_losses)


def _silent(epoch: int, loss: float, held_out_loss: float) -> None:
    """Hear of an epoch and say nothing."""


def _measured(name: str, share: Share) -> Metrics:
    low, high = share.interval
    return {name: share.rate, f"{name}_low": low, f"{name}_high": high}


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
