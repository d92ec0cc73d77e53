"""Clicks while they are being made: one numpy column each, with indexes in place of strings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.draw import Flags, Ints, Words

DEVICES = ("desktop", "mobile_web", "mobile_app", "tablet")
HOUR = 3_600_000_000
SPILL_HOURS = 2  # a session ends before this long after the hour in which it began
NEVER = -1
PART_BITS = 24  # a part has fewer clicks than 2^24
MOST_PARTS = 1 << 32 - PART_BITS


@dataclass(frozen=True)
class Clicks:
    """Columns of equal length; times and delays in µs, money in micros.

    `number` is unique in a lake and names the click; `actor` indexes the world's users, and
    `known` says whether the click shows that user. `query` and `buys_after` are −1 where there is
    none. `names_click` says whether the purchase carries the click's id.
    """

    ts: Ints
    number: Words
    actor: Ints
    known: Flags
    session: Words
    ip: Ints
    agent: Ints
    device: Ints
    logged_in: Flags
    campaign: Ints
    ad: Ints
    query: Ints
    price: Ints
    kind: Ints
    buys_after: Ints
    amount: Ints
    names_click: Flags

    def __len__(self) -> int:
        return len(self.ts)

    def take(self, rows: npt.NDArray[Any] | slice) -> "Clicks":
        """Return the rows that an index array, a mask or a slice selects."""
        if not isinstance(rows, slice) and rows.dtype == np.bool_:
            if rows.all():
                return self
            rows = np.flatnonzero(rows)
        return Clicks(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


def concatenate(parts: Sequence[Clicks]) -> Clicks:
    """Return the parts after one another; there must be at least one."""
    return Clicks(
        **{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Clicks)}
    )


class Billed(NamedTuple):
    """What a bill says of one population's clicks in one hour."""

    clicks: int
    invalid: int


@dataclass(frozen=True)
class Unit:
    """What one population does in one hour (since the epoch, UTC), or a part of a busy hour.

    `feedback` is what its bills have said by then, by hour; empty where nothing was decided yet.
    """

    seed: int
    population: int
    hour: int
    part: int = 0  # less than MOST_PARTS
    feedback: Mapping[int, Billed] = field(default_factory=dict, compare=False)

    @property
    def place(self) -> tuple[int, ...]:
        """The place whose generator the unit draws from."""
        whole = (self.population, self.hour)
        return (*whole, self.part) if self.part else whole

    @property
    def start(self) -> int:
        """The hour's start, µs."""
        return self.hour * HOUR

    def numbers(self, count: int) -> Words:
        """Return `count` numbers that no other unit of the same seed has."""
        first = self.hour << 40 | self.population << 32 | self.part << PART_BITS
        return np.uint64(first) + np.arange(count, dtype=np.uint64)
