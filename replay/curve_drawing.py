"""Drawing, in a terminal, the curves that a version's thresholds came from."""

from collections.abc import Iterator, Sequence

import numpy as np

from replay.formats import printable
from scorer.calibration import Calibration, SliceFit

HEIGHT = 6
WIDTH = 60
PARTS = " ▁▂▃▄▅▆▇█"


def curve_lines(calibration: Calibration) -> Iterator[str]:
    """Yield the lines that draw each slice's curve; slices that share a curve stand together.

    Nothing is yielded for a version with no threshold by slice.
    """
    for keys, fit in _shared(calibration):
        yield from _heading(keys, fit, calibration.slices[keys[0]])
        yield from draw(fit, calibration.slices[keys[0]])
        yield ""


def _shared(calibration: Calibration) -> list[tuple[list[str], SliceFit]]:
    groups: list[tuple[list[str], SliceFit]] = []
    for key, fit in calibration.curves.items():
        for keys, other in groups:
            if fit.pooled_with is not None and fit == other:
                keys.append(key)
                break
        else:
            groups.append(([key], fit))
    return groups


def _heading(keys: Sequence[str], fit: SliceFit, threshold: float) -> Iterator[str]:
    fpr, ivr = _point(fit, threshold)
    yield from map(printable, keys)
    known = f"{fit.purchases:,} purchases among {fit.clicks:,} clicks"
    if fit.pooled_with is not None:
        known += f", the small slices of {fit.pooled_with} together"
    yield f"  {known}"
    yield f"  threshold {threshold:.6f}: IVR {ivr:.2%} at an FPR of at most {fpr:.2%}"


def draw(fit: SliceFit, threshold: float, width: int = WIDTH, height: int = HEIGHT) -> list[str]:
    """Draw IVR (up) over the FPR's upper end (across), with the threshold's place marked below.

    >>> from scorer.calibration import CurvePoints
    >>> points = CurvePoints(thresholds=(1.0, 0.8, 0.6), fpr=(0.0, 0.01, 0.02), ivr=(0.0, 0.2, 0.4))
    >>> some = SliceFit(clicks=10, purchases=5, fpr=0.015, a=0, b=20, c=0, points=points)
    >>> print("\\n".join(draw(some, 0.8, width=8, height=2)))
      40.00% ▕        █
             ▕    █████
             ▕▁▁▁▁▲▁▁▁▁
              0%  2.00%
    """
    across = fit.points.fpr[-1]
    fpr, _ = _point(fit, threshold)
    top = max(fit.points.ivr)
    x = np.linspace(0, across, width + 1)
    places = np.searchsorted(fit.points.fpr, x + 1e-12, side="right") - 1
    heights = np.array(fit.points.ivr)[places] / (top or 1.0) * height * 8
    at = round(fpr / across * width) if across else 0
    rows = [_row(heights, level) for level in reversed(range(height))]
    labels = [f"{top:8.2%}", *([" " * 8] * height)]
    axis = "▁" * at + "▲" + "▁" * (width - at)
    end = f"{across:.2%}"
    return [
        *(f"{label} ▕{row}" for label, row in zip(labels, [*rows, axis], strict=True)),
        " " * 10 + "0%" + end.rjust(width - 1),
    ]


def _row(heights: np.ndarray[tuple[int], np.dtype[np.float64]], level: int) -> str:
    parts = np.clip(np.round(heights - 8 * level), 0, 8).astype(int)
    return "".join(PARTS[part] for part in parts)


def _point(fit: SliceFit, threshold: float) -> tuple[float, float]:
    """Return the FPR's upper end and the IVR of a threshold."""
    nearest = int(np.argmin(np.abs(np.array(fit.points.thresholds) - threshold)))
    return fit.points.fpr[nearest], fit.points.ivr[nearest]
