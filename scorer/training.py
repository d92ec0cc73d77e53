"""Training a network on weak labels, and choosing its threshold on later clicks.

The last fifth of the time is held out: it stops the fitting and carries the threshold. Both parts
have weights of their own, so that no held-out click has a say in what is fitted.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch

from scorer.calibration import Calibration, check_budget, threshold_at
from scorer.errors import BadInput, NotTrainable
from scorer.fitting import Losses, Rows, Schedule, Tell, fit
from scorer.metrics import Flags, Share, fpr, ivr, robotic_coverage
from scorer.models import Architecture, build
from scorer.scoring import Facts, Reals, Scorer, choose_device
from scorer.spec import Spec
from scorer.weights import SampleWeights, cell_weights, check_cap, label_weights

__all__ = [
    "Settings",
    "Tell",
    "Trained",
    "TrainingSet",
    "check_choices",
    "check_reals",
    "measured",
    "train",
]

HELD_OUT = 0.2
SEEDS = 2**63

Metrics = dict[str, int | float | None]


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
class Settings(Schedule):
    """How to fit, where, and at what budget; without `weights` the labels alone are balanced."""

    device: str = "cpu"
    fpr_budget: float = 0.01
    weights: bool = True
    weight_cap: float = 100.0  # what one click may count, in mean clicks


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

    Raises NotTrainable where the data holds too little, or the spec what labels are made of;
    BadInput for an unknown architecture, a budget outside (0, 1], a weight cap below 1 or a seed
    that no generator of random numbers takes.
    """
    check_choices(spec, architecture, settings)
    _check(data, spec)
    device, module = choose_device(settings.device), _built(architecture, spec, settings.seed)
    edge, n = data.held_out, len(data.ts)
    fitted, held_out = slice(0, edge), slice(edge, n)
    weights = [_weigh(data, rows, spec, settings) for rows in (fitted, held_out)]
    losses = fit(
        module,
        _rows(data, fitted, weights[0]),
        _rows(data, held_out, weights[1]),
        settings,
        device,
        tell,
    )
    return _calibrated(module, data, weights, losses, settings, device)


def check_choices(spec: Spec, architecture: str, settings: Settings) -> None:
    """Raise what `train` would raise whatever the data; see there."""
    check_spec(spec)
    check_budget(settings.fpr_budget)
    check_cap(settings.weight_cap)
    if not 0 <= settings.seed < SEEDS:
        raise BadInput(f"a seed of {settings.seed} can't be used: give 0 to {SEEDS - 1}")
    choose_device(settings.device)
    _built(architecture, spec, settings.seed)


def check_spec(spec: Spec) -> None:
    """Raise NotTrainable where a spec holds a feature that labels are made of."""
    if labels := spec.label_features():
        raise NotTrainable(
            f"the spec holds {', '.join(labels)}, which labels are made of: a network would learn "
            "the label and not the clicks; choose another --spec"
        )


def check_reals(data: TrainingSet, spec: Spec) -> None:
    """Raise NotTrainable, naming the first click, where a real feature is NaN or infinite."""
    for name, values in zip(spec.reals, data.reals, strict=True):
        if len(rows := np.flatnonzero(~np.isfinite(values))):
            first = np.datetime64(int(data.ts[rows[0]]), "us")
            raise NotTrainable(
                f"feature {name} is {values[rows[0]]} at the click of {first}Z, and no finite "
                f"number at {len(rows):,} in all; correct the profiles that it is taken from"
            )


def _check(data: TrainingSet, spec: Spec) -> None:
    """Raise NotTrainable, naming what is missing, where the data can't be trained on."""
    check_reals(data, spec)
    if not data.purchasing.any():
        raise NotTrainable(
            "no purchasing click in the span, so nothing says what a human is; bring purchases in, "
            "or choose another --from --to"
        )
    if data.human.all():
        raise NotTrainable(
            "every click in the span stands for a human: there is one class only; choose another "
            "--from --to"
        )
    edge = data.held_out
    _check_part("first four fifths", data.human[:edge], ~data.human[:edge])
    _check_part("last fifth", data.purchasing[edge:], ~data.human[edge:])  # the FPR is taken there


def _check_part(part: str, purchasing: Flags, other: Flags) -> None:
    for kind, flags in (("purchasing", purchasing), ("other", other)):
        if not flags.any():
            raise NotTrainable(
                f"the {part} of the span's time holds no {kind} clicks; choose another --from --to"
            )


def _built(architecture: str, spec: Spec, seed: int) -> Architecture:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(architecture, spec)


def _weigh(data: TrainingSet, rows: slice, spec: Spec, settings: Settings) -> SampleWeights:
    if not settings.weights:
        return label_weights(data.human[rows])
    zone = spec.time.zone if spec.time else "UTC"
    flags = data.logged_in[rows], data.human[rows]
    return cell_weights(data.ts[rows], *flags, settings.weight_cap, zone)


def _rows(data: TrainingSet, rows: slice, weights: SampleWeights) -> Rows:
    arrays = data.facts[:, rows], data.reals[:, rows], data.human[rows], weights.values
    return Rows(*map(torch.from_numpy, arrays))


def _calibrated(
    module: Architecture,
    data: TrainingSet,
    weights: list[SampleWeights],
    losses: Losses,
    settings: Settings,
    device: str,
) -> Trained:
    """Choose the threshold on the held-out rows and measure there what it does."""
    rows = slice(data.held_out, len(data.ts))
    p = Scorer(module).probabilities(data.facts[:, rows], data.reals[:, rows], device)
    purchasing = data.purchasing[rows]
    threshold = threshold_at(settings.fpr_budget, p[purchasing])
    invalid = p >= np.float32(threshold)
    metrics: Metrics = {
        **_counted("", data, slice(None)),
        **_counted("held_out_", data, rows),
        **measured("ivr", ivr(invalid)),
        **measured("fpr", fpr(invalid, purchasing)),
        **measured("coverage", robotic_coverage(invalid, data.robotic[rows])),
        "threshold": threshold,
        **_weighed("", weights[0]),
        **_weighed("held_out_", weights[1]),
    }
    calibration = Calibration(overall=threshold, fpr_budget=settings.fpr_budget)
    return Trained(module, calibration, metrics, losses.fitted, losses.held_out)


def _counted(part: str, data: TrainingSet, rows: slice) -> Metrics:
    human, purchasing = data.human[rows], data.purchasing[rows]
    return {
        f"{part}rows": len(human),
        f"{part}humans": int(human.sum()),
        f"{part}purchasing": int(purchasing.sum()),
    }


def measured(name: str, share: Share) -> Metrics:
    """Return a rate and the ends of its interval, as the metrics of a version hold them."""
    low, high = share.interval
    return {name: share.rate, f"{name}_low": low, f"{name}_high": high}


def _weighed(part: str, weights: SampleWeights) -> Metrics:
    """Tell what weights cost: effective sample size of a part, its cells, its capped clicks."""
    return {
        f"{part}effective_rows": weights.effective,
        f"{part}weight_cells": weights.cells,
        f"{part}capped_clicks": weights.capped,
    }
