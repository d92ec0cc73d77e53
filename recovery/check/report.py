"""A check as people read it: every figure beside its bound, and a line for each breach."""

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from recovery.check.checking import Check
from recovery.check.figures import Figure
from recovery.check.forms import sentence
from replay.formats import new_table


def check_table(check: Check) -> Table:
    """Return a row for each bound; a broken one is marked in words, and red where colours are."""
    made = new_table("scenario and figure", ">is", ">bound", "", ">of", "where")
    for outcome in check.outcomes:
        made.add_row(f"{outcome.case.name}, seed {outcome.case.scenario.seed}", style="bold")
        for figure in outcome.figures:
            made.add_row(*_cells(figure), style=None if figure.holds else "bold red")
    return made


def _cells(figure: Figure) -> Iterator[str]:
    share = figure.share
    yield f"  {figure.key}"
    yield "unknown" if share.rate is None else f"{share.rate:.2%}"
    yield f"{'≥' if figure.least else '≤'} {figure.bound:.2%}"
    yield "holds" if figure.holds else "BROKEN"
    yield f"{share.whole:,}"
    yield figure.where


def breaches(check: Check) -> list[str]:
    """Return a line for each broken bound: scenario, seed, figure, bound."""
    return [
        f"{outcome.case.name} (seed {outcome.case.scenario.seed}): {sentence(figure)}"
        for outcome in check.outcomes
        for figure in outcome.broken
    ]


def verdict(check: Check) -> Text:
    """Return the last line: whether all bounds hold, and of how many scenarios."""
    bounds = sum(len(outcome.figures) for outcome in check.outcomes)
    broken = len(breaches(check))
    held = f"all {bounds} bounds hold" if check.holds else f"{broken} of {bounds} bounds are broken"
    line = f"{check.model}: {held}, of {len(check.outcomes)} scenarios, in {check.seconds:.0f} s"
    return Text(line, style="" if check.holds else "bold red")
