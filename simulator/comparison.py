"""Two logs side by side: how like one is the other, figure by figure.

Both sides are cut to the same length of time, and ours begins at the same time of day.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from replay.errors import OutsideLog
from replay.snapshot import Snapshot
from replay.span import Span
from simulator.columns import HOUR
from simulator.statistics import DAY, Figure, Measured, Scale, measure

ALIKE, SAME_ORDER = 2.0, 10.0
HALF_EXPONENT = 0.5
OVERLAP = "hourly curve, overlap at the best shift"


@dataclass(frozen=True)
class Row:
    """One statistic of both logs; None where a log can't say."""

    name: str
    unit: str
    scale: Scale
    ours: float | None
    theirs: float | None

    @property
    def ratio(self) -> float | None:
        """Ours / theirs, where both are known and above 0."""
        if not self.ours or not self.theirs:
            return None
        return self.ours / self.theirs

    @property
    def factor(self) -> float | None:
        """How far apart the two are, 1 or more.

        That is the greater over the smaller; of shares, of their odds; and exponents that are
        HALF_EXPONENT apart count as a factor of 2.
        """
        if self.ours is None or self.theirs is None:
            return None
        if self.scale == "exponent":
            return float(2 ** (abs(self.ours - self.theirs) / HALF_EXPONENT))
        if self.scale == "share":
            return _factor(_odds(self.ours), _odds(self.theirs))
        return _factor(self.ours, self.theirs)

    @property
    def verdict(self) -> str:
        """`alike` within a factor of 2, `same order` within 10, else `apart`; empty if unknown.

        >>> [Row("", "", "ratio", ours, 1.0).verdict for ours in (0.5, 2.1, 0.09, None)]
        ['alike', 'same order', 'apart', '']
        >>> Row("", "", "share", 0.95, 0.85).verdict, Row("", "", "exponent", 1.4, 2).verdict
        ('same order', 'same order')
        """
        if self.factor is None:
            return ""
        return (
            "alike" if self.factor <= ALIKE
            else "same order" if self.factor <= SAME_ORDER
            else "apart"
        )  # fmt: skip


def _odds(share: float) -> float:
    return share / (1 - share) if share < 1 else inf


def _factor(a: float, b: float) -> float | None:
    """Return the greater over the smaller; None where only one is 0 or without end."""
    if a == b:
        return 1.0
    return max(a / b, b / a) if min(a, b) > 0 and max(a, b) < inf else None


@dataclass(frozen=True)
class Comparison:
    """A simulated log and another one; our day, `shift` hours later, fits theirs best."""

    ours: Measured
    theirs: Measured
    rows: tuple[Row, ...]
    shift: int | None


def compare_logs(
    ours: Snapshot, theirs: Snapshot, user_by: Sequence[str] = ("user_id",)
) -> Comparison:
    """Measure both logs over spans of the same length and time of day.

    Raises OutsideLog where a log is empty, and BadComparison for an unknown column.
    """
    our_span, their_span = aligned(_whole(ours), _whole(theirs))
    mine, other = measure(ours, our_span, user_by), measure(theirs, their_span, user_by)
    rows = [_row(a, b) for a, b in zip(mine.figures, other.figures, strict=True)]
    shift = None
    if mine.hourly and other.hourly:
        shift, overlap = best_shift(mine.hourly, other.hourly)
        rows.append(Row(OVERLAP, "", "ratio", overlap, None))
    return Comparison(mine, other, tuple(rows), shift)


def _row(ours: Figure, theirs: Figure) -> Row:
    return Row(ours.name, ours.unit, ours.scale, ours.value, theirs.value)


def _whole(snapshot: Snapshot) -> Span:
    span = snapshot.log_span()
    if span is None:
        raise OutsideLog(f"{snapshot.lake.home} has no clicks: there is nothing to compare")
    return span


def aligned(ours: Span, theirs: Span) -> tuple[Span, Span]:
    """Cut both to the shorter one's length, from whole hours; ours from the other's hour of day.

    >>> a, b = aligned(Span(7, 3 * DAY), Span(DAY // 4 + 5, DAY))
    >>> a == b == Span(DAY // 4, DAY)
    True
    """
    first, other = (span.start - span.start % HOUR for span in (ours, theirs))
    start = first + (other - first) % DAY
    if start >= ours.end:
        start = first
    length = min(ours.end - start, theirs.end - other)
    return Span(start, start + length), Span(other, other + length)


def best_shift(ours: Sequence[float], theirs: Sequence[float]) -> tuple[int, float]:
    """Return the turn of our curve (hours) that overlaps theirs most, and that overlap (1: equal).

    >>> best_shift([0, 0, 1.0, 0], [1.0, 0, 0, 0])
    (2, 1.0)
    """
    curve, other = np.array(ours), np.array(theirs)
    overlaps = [float(np.minimum(np.roll(curve, -h), other).sum()) for h in range(len(curve))]
    best = int(np.argmax(overlaps))
    return best, overlaps[best]
