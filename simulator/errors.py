"""The errors of the simulator; the tree's root is in `scorer.errors`.

BadInput
├── UnknownScenario         no shipped scenario has this name, and no file either
├── BadScenario             a scenario that does not hold
├── DaysTaken               the lake already has clicks in the days to simulate
└── BadComparison           two logs that cannot be compared as asked
"""

from collections.abc import Iterable

from scorer.errors import BadInput, nearest

__all__ = ["BadComparison", "BadScenario", "DaysTaken", "UnknownScenario"]


class UnknownScenario(BadInput):
    """No shipped scenario has this name, and there is no such file."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        hint = nearest(name, known, "`replay simulate --list` shows the shipped ones.")
        super().__init__(f"no scenario named {name!r} and no such file. {hint}")


class BadScenario(BadInput):
    """A scenario that does not hold: a wrong key or value, named with its place."""


class DaysTaken(BadInput):
    """The lake already has clicks in the days to simulate."""


class BadComparison(BadInput):
    """Two logs that cannot be compared as asked."""
