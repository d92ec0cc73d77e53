"""The plots of docs/experiments.md, as SVG that says from which results it was made."""

import re
from collections.abc import Callable, Sequence
from io import StringIO
from pathlib import Path

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.experiments.arms import LABELS, METHODS
from benchmarks.experiments.claims import CLAIMS, Comparison
from benchmarks.experiments.figures import GRID, NIGHT_HOURS
from benchmarks.experiments.paired import Verdict, estimate
from benchmarks.experiments.results import Results, Sharing, known
from scorer.curves import Doubles

BLUE, ORANGE, GREEN, BLACK = "#0072B2", "#D55E00", "#009E73", "#000000"  # Okabe and Ito's
STYLES = ((BLUE, "-", "o"), (ORANGE, "--", "s"), (GREEN, "-.", "^"), (BLACK, ":", "D"))
MARKS = {
    Verdict.HOLDS: (BLUE, "o", BLUE),
    Verdict.OPEN: (BLACK, "o", "white"),
    Verdict.FAILS: (ORANGE, "X", ORANGE),
}
STYLE = Path(__file__).with_name("plots.mplstyle")
Rows = Sequence[Sequence[float]]
Look = tuple[str, str, str]


def differences(results: Results) -> Figure:
    """Every comparison of every claim: mean difference and interval, by verdict."""
    rows = [(claim, k) for claim in CLAIMS for k in range(len(claim.comparisons("")))]
    places = [k + 0.6 * CLAIMS.index(claim) for k, (claim, _) in enumerate(rows)]
    figure = Figure(figsize=(8, 0.22 * places[-1] + 1.3), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, (labels, name) in zip(panels, LABELS.items(), strict=True):
        for place, (claim, k) in zip(places, rows, strict=True):
            if labels in claim.labels:
                _difference(axes, place, claim.comparisons(labels)[k], results)
        axes.axvline(0, color=BLACK, linewidth=0.8)
        axes.set_xlabel("percentage points")
        axes.set_title(f"labels: {name}", loc="left")
    panels[0].set_yticks(places, [claim.comparisons("")[k].text for claim, k in rows])
    panels[0].set_ylim(places[-1] + 0.7, -0.7)
    for verdict, (colour, mark, face) in MARKS.items():
        panels[0].plot([], [], mark, color=colour, markerfacecolor=face, label=verdict.value)
    figure.legend(loc="outside upper center", ncols=len(MARKS))
    return figure


def _difference(axes: Axes, place: float, comparison: Comparison, results: Results) -> None:
    found = comparison.measure(results)
    colour, mark, face = MARKS[comparison.judge(found)]
    axes.plot([100 * found.low, 100 * found.high], [place, place], color=colour, linewidth=1.6)
    axes.plot([100 * found.mean], [place], mark, color=colour, markerfacecolor=face)


def architectures(results: Results) -> Figure:
    """What each architecture catches at each rate of what it loses."""
    figure, grid = _grid()
    for row, suffix in enumerate(LABELS):
        for column, curve in enumerate(("ivr", "recall")):
            axes = grid[row][column]
            for name, look in zip(("mlp", "dcn", "logistic", "velocity"), STYLES, strict=True):
                arm = name if name == "velocity" else name + suffix
                values = [run.curves[arm][curve] for run in results.runs.values()]
                _band(axes, np.array(GRID) * 100, values, name, (*look[:2], ""))
            _log(axes, [0.1, 0.3, 1, 3, 10])
            _shares(axes)
            axes.axvline(1, color=BLACK, linewidth=0.8)
    for axes in (row[0] for row in grid):
        axes.set_ylabel("IVR, % of clicks")
    for axes in (row[1] for row in grid):
        axes.set_ylabel("recall, % of robots' clicks")
    grid[1][0].set_xlabel("FPR, % of purchasing clicks lost")
    grid[1][1].set_xlabel("true FPR, % of people's clicks lost")
    return _finished(figure, grid)


def calibration(results: Results) -> Figure:
    """What thresholds by slice do against one, by the number of purchases to choose by."""
    figure, grid = _grid()
    for row, suffix in enumerate(LABELS):
        steps = [run.sharing["mlp" + suffix] for run in results.runs.values()]
        bought = np.mean([[step.purchases for step in run] for run in steps], axis=0)
        for axes, name in zip(grid[row], ("ivr", "worst_slice.true_fpr"), strict=True):
            for method, look in zip(METHODS[1:], STYLES, strict=False):
                gains = [_against_one(run, method, name) for run in steps]
                _band(axes, bought, gains, method, look)
            _log(axes, [round(value, -2) for value in bought])
            axes.axhline(0, color=BLACK, linewidth=0.8)
        grid[row][0].set_ylabel("gain in IVR, percentage points")
        grid[row][1].set_ylabel("worst slice's true FPR, points")
    for axes in grid[1]:
        axes.set_xlabel("purchasing clicks to calibrate on")
    return _finished(figure, grid)


def _against_one(steps: Sequence[Sharing], method: str, name: str) -> list[float]:
    """Return a method's figure less that of one threshold, by size."""
    sides = [known([s.figures[side][name] for s in steps], name) for side in (method, METHODS[0])]
    return [a - b for a, b in zip(*sides, strict=True)]


def weights(results: Results) -> Figure:
    """What weights change, hour by hour."""
    figure, grid = _grid()
    for row, suffix in enumerate(LABELS):
        for column, name in enumerate(("recall", "true_fpr")):
            axes = grid[row][column]
            axes.axvspan(0, NIGHT_HOURS, color="#eeeeee", zorder=0)
            for arm, look in (("", STYLES[0]), (" without weights", STYLES[1])):
                values = [
                    known(run.hours[f"mlp{suffix}{arm}"][name], name)
                    for run in results.runs.values()
                ]
                label = "without weights" if arm else "with weights"
                _band(axes, np.linspace(0.5, 23.5, 24), values, label, (*look[:2], ""))
            axes.set_xticks(range(0, 25, 6))
            _shares(axes)
        grid[row][0].set_ylabel("recall, % of robots' clicks")
        grid[row][1].set_ylabel("true FPR, % of people's clicks")
    for axes in grid[1]:
        axes.set_xlabel("hour of day, UTC (night is grey)")
    return _finished(figure, grid)


PLOTS: dict[str, Callable[[Results], Figure]] = {
    "differences": differences,
    "architectures": architectures,
    "calibration": calibration,
    "weights": weights,
}


def draw(results: Results, folder: Path) -> None:
    """Write every plot; the same results and libraries give the same bytes."""
    folder.mkdir(exist_ok=True)
    for name, plot in PLOTS.items():
        with style.context(STYLE):
            made = StringIO()
            metadata = {"Date": None, "Creator": None, "Identifier": results.digest}
            plot(results).savefig(made, format="svg", metadata=metadata)
        (folder / f"{name}.svg").write_text(_short(made.getvalue()))


def _short(svg: str) -> str:
    """Round coordinates to what can be seen: a tenth of a point."""
    rounded = re.sub(r"\d+\.\d{3,}", lambda number: f"{float(number[0]):.1f}", svg)
    return re.sub(r" \n(?=[LMz])", "", rounded)  # between the points of a path


def _grid() -> tuple[Figure, list[list[Axes]]]:
    """Return two rows, one for each set of labels, of two panels."""
    figure = Figure(figsize=(8, 6), layout="constrained")
    panels = figure.subplots(2, 2)
    return figure, [list(row) for row in panels]


def _finished(figure: Figure, grid: list[list[Axes]]) -> Figure:
    for row, labels in zip(grid, LABELS.values(), strict=True):
        for axes in row:
            axes.set_title(f"labels: {labels}", loc="left")
    lines, names = grid[0][0].get_legend_handles_labels()
    figure.legend(lines, names, loc="outside upper center", ncols=len(names))
    return figure


def _band(axes: Axes, x: Doubles, values: Rows, name: str, look: Look) -> None:
    """Draw the mean over seeds, in percent, and its interval around it; values are by seed."""
    found = [estimate(column) for column in zip(*values, strict=True)]
    colour, line, mark = look
    low, high = ([100 * getattr(e, end) for e in found] for end in ("low", "high"))
    axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
    means = [100 * e.mean for e in found]
    axes.plot(x, means, color=colour, linestyle=line, marker=mark, markersize=4, label=name)


def _log(axes: Axes, ticks: Sequence[float]) -> None:
    axes.set_xscale("log")
    axes.set_xticks(ticks, [f"{tick:,g}" for tick in ticks])
    axes.minorticks_off()


def _shares(axes: Axes) -> None:
    """Show no more than shares can be, although an interval may go on."""
    axes.set_ylim(0, min(100, axes.get_ylim()[1]))
