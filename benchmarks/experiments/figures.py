"""What decisions do to clicks of known makers: the product's own metrics, and those from truth."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from benchmarks.experiments.traffic import KINDS, Unseen
from scorer.calibration import Floats, threshold_at
from scorer.metrics import Flags, Share, curve, fpr, ivr, robotic_coverage

HOUR = 3_600_000_000
NIGHT_HOURS = 6  # from midnight, UTC
TRUE_FPR = 0.01  # at which arms are compared whatever threshold they have
GRID = tuple(float(rate) for rate in np.geomspace(0.001, 0.1, 21).round(5))
ENOUGH = 300  # robots' clicks, or people's, without which a slice's rate says little

Figures = dict[str, float | None]


def hours(tested: Unseen) -> npt.NDArray[np.int64]:
    """Return the hour of day, UTC, of each click."""
    return tested.clicks.ts // HOUR % 24


def figures(tested: Unseen, p: Floats, invalid: Flags) -> Figures:
    """Return all figures of an arm: of all clicks, at night, logged in, by slice and by robot."""
    parts = {
        "": np.ones(len(p), np.bool_),
        "night.": hours(tested) < NIGHT_HOURS,
        "logged_in.": tested.clicks.logged_in,
    }
    found: Figures = {}
    for prefix, rows in parts.items():
        rates = _decided(tested, rows, invalid) | {"ranked_recall": _ranked(tested, rows, p)}
        found |= {prefix + name: value for name, value in rates.items()}
    return found | dict(_slices(tested, invalid)) | dict(_robots(tested, p))


def _decided(tested: Unseen, rows: Flags, invalid: Flags) -> Figures:
    clicks, robot = tested.clicks, tested.robot[rows]
    made = invalid[rows]
    return {
        "ivr": rounded(ivr(made)),
        "fpr": rounded(fpr(made, clicks.purchasing[rows])),
        "coverage": rounded(robotic_coverage(made, clicks.robotic[rows])),
        "precision": rounded(share(robot, made)),
        "recall": rounded(share(made, robot)),
        "true_fpr": rounded(share(made, ~robot)),
    }


def _ranked(tested: Unseen, rows: Flags, p: Floats) -> float | None:
    """Return the recall among some clicks where 1% of the people's among them are lost."""
    people, robots = p[rows & ~tested.robot], p[rows & tested.robot]
    if not len(people):
        return None
    threshold = np.float32(threshold_at(TRUE_FPR, people))
    return rounded(Share(int((robots >= threshold).sum()), len(robots)))


def _slices(tested: Unseen, invalid: Flags) -> Iterator[tuple[str, float | None]]:
    """Yield the true FPR of each slice, and the worst rates of those with clicks enough."""
    clicks = tested.clicks
    inside = [clicks.slices == code for code in range(len(clicks.slice_keys))]
    lost = [share(invalid, rows & ~tested.robot) for rows in inside]
    caught = [share(invalid, rows & tested.robot) for rows in inside]
    for key, some in zip(clicks.slice_keys, lost, strict=True):
        yield f"{key}.true_fpr", rounded(some)
    yield "worst_slice.true_fpr", max(_enough(lost), default=None)
    yield "worst_slice.recall", min(_enough(caught), default=None)


def _enough(shares: list[Share]) -> list[float]:
    return [rounded(some) or 0.0 for some in shares if some.whole >= ENOUGH]


def _robots(tested: Unseen, p: Floats) -> Iterator[tuple[str, float | None]]:
    """Yield what is caught of each kind of robot where 1% of all people's clicks are lost.

    And of those people's clicks the share without a user id.
    """
    reached = p >= np.float32(threshold_at(TRUE_FPR, p[~tested.robot]))
    for kind, name in enumerate(KINDS):
        if kind:
            yield f"{name}.ranked_recall", rounded(share(reached, tested.kinds == kind))
    yield "lost_without_user", rounded(share(~tested.known, reached & ~tested.robot))


def curves(tested: Unseen, p: Floats) -> dict[str, list[float]]:
    """Return what is caught at each rate of GRID: IVR at an FPR, recall at a true FPR."""
    bought = curve(p, tested.clicks.purchasing)
    known = curve(p, ~tested.robot)
    robots = (known.invalid - known.lost) / tested.robot.sum()
    return {
        "ivr": [float(bought.ivr[_last(bought.fpr, rate)].round(6)) for rate in GRID],
        "recall": [float(robots[_last(known.fpr, rate)].round(6)) for rate in GRID],
    }


def _last(rates: npt.NDArray[np.float64], most: float) -> int:
    return int(np.searchsorted(rates, most, side="right")) - 1


def by_hour(tested: Unseen, invalid: Flags) -> dict[str, list[float | None]]:
    """Return recall and true FPR in each hour of the day, UTC."""
    inside = [hours(tested) == hour for hour in range(24)]
    return {
        "recall": [rounded(share(invalid, rows & tested.robot)) for rows in inside],
        "true_fpr": [rounded(share(invalid, rows & ~tested.robot)) for rows in inside],
    }


def share(part: Flags, whole: Flags) -> Share:
    """Return how many of some clicks are also others."""
    return Share(int((part & whole).sum()), int(whole.sum()))


def rounded(rate: Share) -> float | None:
    """Return a rate to six digits, so that stored figures can be read."""
    return None if rate.rate is None else round(rate.rate, 6)
