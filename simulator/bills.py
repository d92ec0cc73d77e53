"""What bills say of each population's clicks: how many there were, and how many were invalidated.

Whoever decides the clicks adds them here; a robot that learns is shown what the billing delay lets
it see (`simulator.world.World.draw` cuts it).
"""

from collections import defaultdict
from collections.abc import Mapping

import numpy as np

from simulator.columns import HOUR, Billed, Clicks
from simulator.draw import Flags
from simulator.humans import HUMANS


class Bills:
    """Counts by population and hour (since the epoch, UTC) of ts.

    A click that is never added, or that nobody decided, was not invalidated.
    """

    def __init__(self) -> None:
        self._hours: defaultdict[int, dict[int, Billed]] = defaultdict(dict)

    def add(self, clicks: Clicks, invalid: Flags) -> None:
        """Count decided clicks; `invalid` has a flag for each. Whoever adds in parts may."""
        pairs = np.stack([clicks.kind, clicks.ts // HOUR], axis=1)
        found, row = np.unique(pairs, axis=0, return_inverse=True)
        total = np.bincount(row, minlength=len(found))
        wrong = np.bincount(row[invalid], minlength=len(found))
        for (kind, hour), clicked, refused in zip(found.tolist(), total, wrong, strict=True):
            before = self._hours[HUMANS + kind].get(hour, Billed(0, 0))
            self._hours[HUMANS + kind][hour] = Billed(
                before.clicks + int(clicked), before.invalid + int(refused)
            )

    def of(self, population: int) -> Mapping[int, Billed]:
        """Return what the bills say of one population, by hour."""
        return self._hours.get(population, {})
