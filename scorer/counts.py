"""Counts that the metrics of some clicks are made of: in all, by slice, by hour."""

from collections.abc import Iterator
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from scorer.metrics import Flags, Share


@dataclass(frozen=True)
class Counts:
    """What the metrics of some clicks are made of; the counts of disjoint clicks add up.

    `lost` are the purchasing clicks that are invalid, `covered` those of robotic sessions.

    >>> Counts(clicks=4, invalid=1) + Counts(clicks=4, invalid=3)
    Counts(clicks=8, decided=0, invalid=4, purchasing=0, lost=0, robotic=0, covered=0)
    """

    clicks: int = 0
    decided: int = 0
    invalid: int = 0
    purchasing: int = 0
    lost: int = 0
    robotic: int = 0
    covered: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    @property
    def ivr(self) -> Share:
        """Invalid clicks / all clicks."""
        return Share(self.invalid, self.clicks)

    @property
    def fpr(self) -> Share:
        """Invalid purchasing clicks / purchasing clicks."""
        return Share(self.lost, self.purchasing)

    @property
    def robotic_coverage(self) -> Share:
        """Invalid share of the clicks of robotic sessions."""
        return Share(self.covered, self.robotic)

    @property
    def decision_rate(self) -> Share:
        """Decided clicks / all clicks."""
        return Share(self.decided, self.clicks)


def count(invalid: Flags, decided: Flags, purchasing: Flags, robotic_clicks: Flags) -> Counts:
    """Count clicks, a flag of each kind per click.

    >>> yes, no = np.array([True, True]), np.array([False, True])
    >>> count(invalid=no, decided=yes, purchasing=yes, robotic_clicks=no).fpr
    Share(part=1, whole=2)
    """
    kinds = _kinds(invalid, decided, purchasing, robotic_clicks)
    return Counts(*(int(flags.sum()) for flags in kinds))


def count_by(
    groups: npt.NDArray[np.integer[Any]],
    invalid: Flags,
    decided: Flags,
    purchasing: Flags,
    robotic_clicks: Flags,
) -> dict[int, Counts]:
    """Count clicks by group: a slice's code, or ts // 3,600,000,000 for the hour since the epoch.

    >>> yes, no = np.array([True, True]), np.array([False, True])
    >>> by = count_by(np.array([7, 3]), no, yes, yes, no)
    >>> [(group, counts.ivr.part) for group, counts in by.items()]
    [(3, 1), (7, 0)]
    """
    found, places = np.unique(groups, return_inverse=True)
    kinds = _kinds(invalid, decided, purchasing, robotic_clicks)
    columns = [np.bincount(places[flags], minlength=len(found)).tolist() for flags in kinds]
    rows = zip(found.tolist(), *columns, strict=True)
    return {group: Counts(*numbers) for group, *numbers in rows}


def _kinds(
    invalid: Flags, decided: Flags, purchasing: Flags, robotic_clicks: Flags
) -> Iterator[Flags]:
    """Yield the flags that Counts adds up, in its order."""
    yield np.ones(len(invalid), np.bool_)
    yield from (decided, invalid, purchasing, invalid & purchasing)
    yield from (robotic_clicks, invalid & robotic_clicks)
