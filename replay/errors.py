"""The errors of the lake and of a run; the tree's root is in `scorer.errors`.

ReplayError
├── BadInput
│   ├── NotALake            the home is no lake
│   ├── BadTime             a time that cannot be read
│   ├── EmptySpan           from is not before to
│   ├── OutsideLog          a span that the log does not cover at all
│   ├── BadQuery            SQL from a user that cannot be run, or would write
│   ├── BadCursor           a sink's cursor that cannot be read
│   └── BadMap              a column map that cannot be applied
├── LakeBusy                another writer committed first, again and again
└── LakeUnwritable          the disk is full or the home is read-only
"""

from scorer.errors import BadInput, ReplayError

__all__ = [
    "BadCursor",
    "BadInput",
    "BadMap",
    "BadQuery",
    "BadTime",
    "EmptySpan",
    "LakeBusy",
    "LakeUnwritable",
    "NotALake",
    "OutsideLog",
    "ReplayError",
]


class NotALake(BadInput):
    """The home is no lake."""


class BadTime(BadInput):
    """A time that cannot be read."""


class EmptySpan(BadInput):
    """A range whose start is not before its end."""


class OutsideLog(BadInput):
    """A span that the log does not cover at all."""


class BadQuery(BadInput):
    """SQL from a user that cannot be run, or that would write."""


class BadCursor(BadInput):
    """A sink's cursor that cannot be read."""


class BadMap(BadInput):
    """A column map that cannot be applied."""


class LakeBusy(ReplayError):
    """Another writer committed first, again and again."""


class LakeUnwritable(ReplayError):
    """The disk is full or the home is read-only."""
