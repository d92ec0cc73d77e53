"""One seed from clicks to figures: simulate, gather features once, train every arm, measure."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.experiments.arms import ARMS, BUDGET, CALIBRATED, METHODS, UNPOOLED, WEIGHED, Arm
from benchmarks.experiments.figures import Figures, by_hour, curves, figures
from benchmarks.experiments.results import Run, Sharing
from benchmarks.experiments.traffic import (
    MORE,
    Unseen,
    gather,
    make_lake,
    scenario,
    tested_on,
    trained_on,
)
from scorer.allocation import Guards
from scorer.calibration import Calibration, Floats
from scorer.curves import Clicks
from scorer.metrics import Flags
from scorer.scoring import Scorer
from scorer.slice_calibration import calibrate_slices
from scorer.training import Trained, TrainingSet

SHARED = ("ivr", "fpr", "recall", "true_fpr", "worst_slice.true_fpr")  # kept for each size
FRACTIONS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
STEPS = len(ARMS) + 2  # what is told while one seed runs

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Sizes:
    """How much is simulated."""

    clicks_per_day: int
    more_days: int  # of clicks that only the calibration by size sees


def run_seed(seed: int, sizes: Sizes, folder: Path, tell: Tell) -> Run:
    """Run all arms on one seed; `folder` holds the lakes, each for as long as it is needed."""
    chosen = scenario(seed, sizes.clicks_per_day)
    snapshot = make_lake(chosen, folder / "lake")
    clicks, tested = trained_on(snapshot, chosen), tested_on(snapshot, chosen)
    tell("simulated")
    run = _Running(seed, clicks, tested)
    for arm in ARMS:
        run.add(arm)
        tell(f"trained {arm.name}")
    sharing = run.sharing(_more(seed, sizes, folder))
    tell("calibrated")
    return Run(
        sizes=_counted(clicks, tested, run.trained),
        bought=_bought(_held_out(clicks)),
        figures=run.figures,
        curves=run.curves,
        hours=run.hours,
        sharing=sharing,
    )


def _more(seed: int, sizes: Sizes, folder: Path) -> TrainingSet:
    """Return clicks of the same kind from another world."""
    chosen = scenario(seed + MORE, sizes.clicks_per_day, sizes.more_days)
    return gather(make_lake(chosen, folder / "lake"), chosen.span)


class _Running:
    """The arms of one seed, as they come."""

    def __init__(self, seed: int, clicks: TrainingSet, tested: Unseen) -> None:
        self.seed, self.clicks, self.tested = seed, clicks, tested
        self.trained: dict[str, Trained] = {}
        self.scores: dict[str, Floats] = {}
        self.figures: dict[str, Figures] = {}
        self.curves: dict[str, dict[str, list[float]]] = {}
        self.hours: dict[str, dict[str, list[float | None]]] = {}

    def add(self, arm: Arm) -> None:
        """Train an arm and measure it, with other thresholds too where the arm is for that."""
        made = arm.train(self.clicks, self.seed)
        p = _score(made, self.tested.clicks)
        self.trained[arm.name], self.scores[arm.name] = made, p
        self.curves[arm.name] = curves(self.tested, p)
        invalid = self._measure(arm.name, p, made.calibration)
        if arm.name in WEIGHED:
            self.hours[arm.name] = by_hour(self.tested, invalid)
        if arm.name in CALIBRATED:
            rows = _held_out(self.clicks)
            held_out = _clicks(rows, _score(made, rows))
            for name, some in (thresholds(held_out) | {UNPOOLED: unpooled(held_out)}).items():
                self._measure(f"{arm.name}, {name}", p, some)

    def _measure(self, name: str, p: Floats, calibration: Calibration) -> Flags:
        tested = self.tested.clicks
        invalid: Flags = p >= calibration.thresholds(tested.slice_keys)[tested.slices]
        self.figures[name] = figures(self.tested, p, invalid)
        return invalid

    def sharing(self, more: TrainingSet) -> dict[str, list[Sharing]]:
        """Calibrate on ever more clicks that no arm saw, and measure each time."""
        return {name: [*self._shared(name, more)] for name in CALIBRATED}

    def _shared(self, name: str, more: TrainingSet) -> list[Sharing]:
        clicks = _clicks(more, _score(self.trained[name], more))
        order = np.random.default_rng(self.seed).random(len(more.ts))
        return [self._at(name, _taken(clicks, order < part)) for part in FRACTIONS]

    def _at(self, name: str, clicks: Clicks) -> Sharing:
        tested = self.tested.clicks
        p, by_method = self.scores[name], {}
        for method, some in thresholds(clicks).items():
            invalid = p >= some.thresholds(tested.slice_keys)[tested.slices]
            found = figures(self.tested, p, invalid)
            by_method[method] = {name: found[name] for name in SHARED}
        return Sharing(purchases=int(clicks.purchasing.sum()), figures=by_method)


def thresholds(clicks: Clicks) -> dict[str, Calibration]:
    """Return the thresholds of each method at the same budget, judged with the same caution."""
    quadratic = calibrate_slices(clicks, BUDGET, method="quadratic").calibration
    hull = calibrate_slices(clicks, BUDGET, method="hull").calibration
    one = Calibration(overall=hull.overall, fpr_budget=BUDGET)
    return dict(zip(METHODS, (one, quadratic, hull), strict=True))


def unpooled(clicks: Clicks) -> Calibration:
    """Return the hulls' thresholds where every slice with a purchase is judged by its own curve."""
    return calibrate_slices(clicks, BUDGET, Guards(min_purchases=1), "hull").calibration


def _score(made: Trained, clicks: TrainingSet) -> Floats:
    return Scorer(made.module).probabilities(clicks.facts, clicks.reals)


def _held_out(clicks: TrainingSet) -> TrainingSet:
    """Return the clicks that training held out, which are those that a version is calibrated on."""
    rows = slice(clicks.held_out, len(clicks.ts))
    return TrainingSet(
        facts=clicks.facts[:, rows],
        reals=clicks.reals[:, rows],
        ts=clicks.ts[rows],
        human=clicks.human[rows],
        purchasing=clicks.purchasing[rows],
        robotic=clicks.robotic[rows],
        logged_in=clicks.logged_in[rows],
        slices=clicks.slices[rows],
        slice_keys=clicks.slice_keys,
        start=clicks.start,
        end=clicks.end,
    )


def _clicks(rows: TrainingSet, p: Floats) -> Clicks:
    slices = rows.slices.astype(np.int64)
    return Clicks(p, rows.purchasing, rows.robotic, slices, rows.slice_keys)


def _taken(clicks: Clicks, rows: Flags) -> Clicks:
    return Clicks(
        clicks.probabilities[rows],
        clicks.purchasing[rows],
        clicks.robotic[rows],
        clicks.slices[rows],
        clicks.slice_keys,
    )


def _counted(clicks: TrainingSet, tested: Unseen, trained: dict[str, Trained]) -> dict[str, int]:
    fitted, held_out = slice(0, clicks.held_out), slice(clicks.held_out, None)
    return {
        "fitted clicks": clicks.held_out,
        "fitted human clicks": int(clicks.human[fitted].sum()),
        "fitted purchasing clicks": int(clicks.purchasing[fitted].sum()),
        **{f"effective clicks, {name}": _worth(trained[name]) for name in WEIGHED},
        "held-out clicks": len(clicks.ts) - clicks.held_out,
        "held-out purchasing clicks": int(clicks.purchasing[held_out].sum()),
        "tested clicks": len(tested.clicks.ts),
        "tested robots' clicks": int(tested.robot.sum()),
        "tested purchasing clicks": int(tested.clicks.purchasing.sum()),
        "tested people's clicks without a user id": int((~tested.known & ~tested.robot).sum()),
    }


def _bought(rows: TrainingSet) -> dict[str, int]:
    """Return how many purchasing clicks each slice has."""
    counts = np.bincount(rows.slices[rows.purchasing], minlength=len(rows.slice_keys))
    return dict(zip(rows.slice_keys, counts.tolist(), strict=True))


def _worth(made: Trained) -> int:
    """Return the effective sample size of what an arm was fitted to."""
    return round(made.metrics["effective_rows"] or 0)
