"""The errors a user can meet, and the exit code of each.

    ReplayError                 the base of all; exit code 2 unless a class says otherwise
    ├── BadInput                an argument, file or value that cannot be used
    │   ├── BadSpec             a feature spec that cannot be computed
    │   ├── UnknownModel        no stored version has this name
    │   ├── BadModelFile        a model file that is damaged, foreign, or not what its manifest says
    │   └── MissingExtra        a part of the installation that this needs and has not
    ├── NotTrainable            the log holds too little to train on
    ├── Infeasible              coverage that an FPR budget does not allow
    └── Inconsistent            figures that must agree do not: a bug or a damaged lake

Every message is one line: what is wrong, where, and what to do next.
"""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from math import ceil


class ReplayError(Exception):
    """The base of every error that is meant for a user."""

    exit_code = 2


class BadInput(ReplayError):
    """An argument, a file or a value that cannot be used."""


class BadSpec(BadInput):
    """A feature spec that cannot be computed."""


class UnknownModel(BadInput):
    """No stored version has this name."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(
            f"no model version named {name!r}. "
            + nearest(name, known, "`replay models list` shows the stored versions.")
        )


class BadModelFile(BadInput):
    """A model file that is damaged, foreign, or not what its manifest says."""


class MissingExtra(BadInput):
    """A part of the installation that was left out and is needed here."""


class NotTrainable(ReplayError):
    """The log holds too little to train on."""


class Infeasible(ReplayError):
    """A minimum robotic coverage that an FPR budget does not allow; `smallest` would."""

    def __init__(
        self, slices: Sequence[str], coverage: float, budget: float, smallest: float
    ) -> None:
        self.slices, self.smallest = tuple(slices), min(1.0, ceil(round(smallest * 1e6, 3)) / 1e6)
        named = "; ".join(slices[:5]) + (f"; and {len(slices) - 5} more" if slices[5:] else "")
        super().__init__(
            f"a robotic coverage of {coverage:g} in every slice can't be had at an FPR budget of "
            f"{budget:g}, because of: {named}. The smallest budget that would do is "
            f"{self.smallest:g}; or ask for less coverage"
        )


class Inconsistent(ReplayError):
    """Figures that must agree do not: a bug, or a damaged lake."""


def nearest(name: str, known: Iterable[str], otherwise: str) -> str:
    """Name the known words that resemble `name`, or say `otherwise`.

    >>> nearest("v10", ["v1", "v2", "baseline"], "See the list.")
    'Did you mean v1?'
    >>> nearest("x", ["v1"], "See the list.")
    'See the list.'
    """
    near = get_close_matches(name, list(known), n=3, cutoff=0.5)
    return f"Did you mean {' or '.join(near)}?" if near else otherwise
