"""The errors a user can meet, and the exit code of each.

    ReplayError                 the base of all; exit code 2 unless a class says otherwise
    ├── BadInput                an argument, file or value that cannot be used
    │   ├── BadSpec             a feature spec that cannot be computed
    │   ├── UnknownModel        no stored version has this name
    │   └── BadModelFile        a model file that is damaged, foreign, or not what its manifest says
    ├── NotTrainable            the log holds too little to train on
    └── Inconsistent            figures that must agree do not: a bug or a damaged lake

Every message is one line: what is wrong, where, and what to do next.
"""

from collections.abc import Iterable
from difflib import get_close_matches


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


class NotTrainable(ReplayError):
    """The log holds too little to train on."""


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
