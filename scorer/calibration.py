"""The threshold above which a click is invalid, chosen at a budget of false positives.

The threshold is chosen on rows that the weights were not fitted on: a network gives the clicks it
learned from better probabilities than it will give new ones.
"""

from collections.abc import Iterable
from decimal import Decimal
from math import floor
from typing import Annotated, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from scorer.errors import BadInput, NotTrainable

Floats = npt.NDArray[np.float32]
NEVER = float(np.nextafter(np.float32(1), np.float32(2)))  # no probability reaches it
NO_PURCHASES = (
    "no purchasing click is held out, so no threshold can be chosen; bring in the purchases of "
    "that time, or train on another span"
)
Threshold = Annotated[float, Field(ge=0, le=NEVER, allow_inf_nan=False)]


class CurvePoints(BaseModel):
    """Some points of an empirical curve, by falling threshold; `fpr` is the interval's upper end.

    A click is invalid when its probability >= threshold; the first point loses and catches nothing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    thresholds: tuple[float, ...]
    fpr: tuple[float, ...]
    ivr: tuple[float, ...]

    @model_validator(mode="after")
    def _same_lengths(self) -> Self:
        if not len(self.thresholds) == len(self.fpr) == len(self.ivr) > 0:
            raise ValueError("the points of a curve differ in number or are none")
        return self


class SliceFit(BaseModel):
    """What a slice's threshold came from.

    `pooled_with` is the parent whose small slices share the curve, or None for a curve of its own;
    `clicks` and `purchases` are those behind the curve. `fpr` is what the programme gave, on which
    the fitted IVR is a + b fpr − c fpr²; the threshold's own FPR is at most that.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    pooled_with: str | None = None
    clicks: int = Field(ge=0)
    purchases: int = Field(ge=0)
    fpr: float = Field(ge=0, le=1)
    a: float
    b: float
    c: float
    points: CurvePoints


class Calibration(BaseModel):
    """Thresholds: a click is invalid when its probability >= the threshold of its slice.

    >>> some = Calibration(overall=0.5, slices={"device=tv": 0.9})
    >>> some.threshold("device=tv"), some.threshold("device=new")
    (0.9, 0.5)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    overall: Threshold
    slices: dict[str, Threshold] = Field(default_factory=dict)
    fpr_budget: float | None = Field(default=None, gt=0, le=1)
    method: Literal["quadratic", "hull"] | None = None  # None: one threshold, chosen in training
    curves: dict[str, SliceFit] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _hold_float32(self) -> Self:
        for value in (self.overall, *self.slices.values()):
            if not np.isfinite(np.float32(value)):
                raise ValueError(f"threshold {value} is no float32")
        return self

    @model_validator(mode="after")
    def _curves_of_slices(self) -> Self:
        if strays := self.curves.keys() - self.slices.keys():
            raise ValueError(f"the curve of {min(strays)!r}, which has no threshold")
        return self

    def threshold(self, slice_key: str) -> float:
        """Return the threshold of a slice; the overall one for a slice never seen."""
        return self.slices.get(slice_key, self.overall)

    def thresholds(self, keys: Iterable[str]) -> Floats:
        """Return the threshold of each key, float32."""
        return np.array([self.threshold(key) for key in keys], dtype=np.float32)


def check_budget(budget: float) -> None:
    """Raise BadInput where an FPR budget is not in (0, 1]."""
    if not 0 < budget <= 1:
        raise BadInput(f"an FPR budget of {budget:g} can't be met: give one above 0 and at most 1")


def threshold_at(budget: float, humans: Floats) -> float:
    """Return the smallest threshold that at most floor(budget × n) of n human clicks reach.

    `humans` are the probabilities of the held-out human clicks. Where several humans share the
    probability at the edge, all of them stay valid, so ties never exceed the budget.

    >>> humans = np.array([0.1, 0.2, 0.75, 0.75], dtype=np.float32)
    >>> t = threshold_at(0.25, humans)          # one may be lost, but two share the highest place
    >>> t > 0.75, int((humans >= np.float32(t)).sum())
    (True, 0)
    >>> float(threshold_at(1.0, humans))
    0.0
    """
    check_budget(budget)
    if not len(humans):
        raise NotTrainable(NO_PURCHASES)
    lost = floor(Decimal(repr(budget)) * len(humans))
    if lost == len(humans):
        return 0.0
    edge = np.partition(humans, len(humans) - 1 - lost)[len(humans) - 1 - lost]
    return float(np.nextafter(edge, np.float32(2)))
