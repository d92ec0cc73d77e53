"""Drawing, in a terminal, the curves that a version's thresholds came from."""

from collections.abc import Iterator, Sequence

import numpy as np

from replay.formats import printable
from scorer.calibration import Calibration, SliceFit

HEIGHT = 6
WIDTH = 60
NAMED = 3  # slices of a curve that many share
PARTS = " ▁▂▃▄▅▆▇█"


def curve_lines(calibration: Calibration) -> Iterator[str]:
    """Yield the lines that draw each slice's curve; slices that share a curve stand together.

    Nothing is yielded for a version with no threshold by slice.
    """
    for keys, fit in shared_curves(calibration):
        yield from _heading(keys, fit, calibration.slices[keys[0]])
        yield from draw(fit, calibration.slices[keys[0]])
        yield ""


def shared_curves(calibration: Calibration) -> list[tuple[list[str], SliceFit]]:
    """Return the slices of each curve, and the curve; small slices share one."""
    groups: list[tuple[list[str], SliceFit]] = []
    for key, fit in calibration.curves.items():
        for keys, other in groups:
            if fit.pooled_with is not None and fit == other:
                keys.append(key)
                break
        else:
            groups.append(([key], fit))
    return groups


def title(keys: Sequence[str], fit: SliceFit) -> str:
    """Name the slices of a curve in one line.

    >>> from scorer.calibration import CurvePoints
    >>> points = CurvePoints(thresholds=(1.0,), fpr=(0.0,), ivr=(0.0,))
    >>> some = SliceFit(clicks=1, purchases=0, fpr=0, a=0, b=0, c=0, points=points)
    >>> title(["device=pc"], some)
    'device=pc'
    >>> title(["device=tv", "device=pc"], some.model_copy(update={"pooled_with": "overall"}))
    '2 small slices of overall'
    """
    if fit.pooled_with is None:
        return printable(keys[0])
    number = f"{len(keys):,} small slices" if len(keys) > 1 else f"{printable(keys[0])}, small,"
    return f"{number} of {printable(fit.pooled_with)}"


def _heading(keys: Sequence[str], fit: SliceFit, threshold: float) -> Iterator[str]:
    fpr, ivr = _point(fit, threshold)
    yield title(keys, fit)
    if len(keys) > 1:
        others = f", and {len(keys) - NAMED:,} more" if len(keys) > NAMED else ""
        yield f"  {'; '.join(map(printable, keys[:NAMED]))}{others}"
    yield f"  {fit.purchases:,} purchases among {fit.clicks:,} clicks"
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
