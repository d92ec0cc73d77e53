"""Pooling: a slice with few purchases shares its curve and its threshold with others of its kind.

A slice's parent is the slice without its last column; above them all stands `overall`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

OVERALL = "overall"

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Group:
    """Slices that share one threshold: `members` are their places among the keys.

    `parent` is the slice under which small ones came together; None for a slice that stands alone.
    """

    name: str
    members: tuple[int, ...]
    parent: str | None


def pool(keys: Sequence[str], purchases: Counts, minimum: int) -> tuple[Group, ...]:
    """Bring slices with fewer than `minimum` purchases together under their parents.

    `keys` (s,) are slice keys of the same columns, `purchases` (s,) counts. The small slices under
    one parent are one group; where that too is small, it goes on to the parent above. What reaches
    `overall` stays together, however small. Every slice is in exactly one group.

    >>> keys = ["d=pc,l=no", "d=pc,l=yes", "d=tv,l=no", "d=tv,l=yes"]
    >>> [(g.parent, g.members) for g in pool(keys, np.array([150, 60, 900, 10]), 200)]
    [(None, (2,)), ('d=pc', (0, 1)), ('overall', (3,))]
    """
    groups, small = [], {}
    for place, key in enumerate(keys):
        if purchases[place] >= minimum:
            groups.append(Group(key, (place,), None))
        else:
            small[key] = [place]
    while small:
        above: dict[str, list[int]] = {}
        for name, members in small.items():
            above.setdefault(_parent(name), []).extend(members)
        small = {}
        for name, members in above.items():
            if name == OVERALL or purchases[members].sum() >= minimum:
                groups.append(Group(f"{name} (small slices)", tuple(members), name))
            else:
                small[name] = members
    return tuple(groups)


def _parent(name: str) -> str:
    return name.rpartition(",")[0] or OVERALL
