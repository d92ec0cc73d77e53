"""The keys that windows are kept for: codes of the retained clicks and of the present slice.

A key space belongs to a tuple of click columns. One column is encoded from its strings; several are
encoded as pairs: the space of all but the last column, and the space of the last.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from replay.interner import NULL, Codes, PairInterner, StringInterner, renumber
from replay.reader import SliceRows

Entity = tuple[str, ...]
Alive = NDArray[np.bool_]
Each = Callable[[Iterable[Callable[[], None]]], None]
SPARE_KEYS = 1 << 16  # dead keys that are not worth a renumbering


class Space(Protocol):
    """A key space: a code per click, −1 for null."""

    codes: Codes

    @property
    def size(self) -> int:
        """The number of codes in use; all are below it."""
        ...

    def extend(self, rows: SliceRows) -> None:
        """Append the codes of a slice's clicks."""
        ...

    def keep(self, alive: Alive, renumbered: dict["Space", Codes]) -> None:
        """Forget the keys that are not alive; `renumbered` says how other spaces did."""
        ...


class ColumnSpace:
    """The key space of one click column."""

    def __init__(self, column: str) -> None:
        self.codes: Codes = np.empty(0, np.int32)
        self._column = column
        self._interner = StringInterner()

    @property
    def size(self) -> int:
        """The number of codes in use."""
        return self._interner.size

    def extend(self, rows: SliceRows) -> None:
        """Append the codes of a slice's clicks."""
        codes = rows.of_keys(self._column, self._interner.encode, NULL)
        self.codes = np.concatenate([self.codes, codes])

    def strings(self, codes: Codes) -> pa.Array:
        """Return the column's values of some codes, none of them null."""
        return self._interner.strings(codes)

    def keep(self, alive: Alive, renumbered: dict[Space, Codes]) -> None:
        """Forget the strings that are not alive."""
        self._interner.keep(alive)


class PairSpace:
    """The key space of the pairs of two others; null where either is."""

    def __init__(self, first: Space, second: Space) -> None:
        self.codes: Codes = np.empty(0, np.int32)
        self._parts = (first, second)
        self._interner = PairInterner()

    @property
    def size(self) -> int:
        """The number of codes in use."""
        return self._interner.size

    def extend(self, rows: SliceRows) -> None:
        """Append the codes of a slice's clicks; both parts have theirs already."""
        new = slice(len(self.codes), None)
        first, second = self._parts
        codes = self._interner.encode(first.codes[new], second.codes[new])
        self.codes = np.concatenate([self.codes, codes])

    def keep(self, alive: Alive, renumbered: dict[Space, Codes]) -> None:
        """Forget the pairs that are not alive."""
        first, second = self._parts
        self._interner.keep(alive, renumbered[first], renumbered[second])


class KeySpaces:
    """Every key space that a spec needs, parts before the pairs that are made of them."""

    def __init__(self, entities: Iterable[Entity]) -> None:
        self._columns: dict[Entity, ColumnSpace] = {}
        self._pairs: dict[Entity, PairSpace] = {}
        for entity in entities:
            self._add(entity)

    def _add(self, entity: Entity) -> Space:
        if len(entity) == 1:
            return self._columns.setdefault(entity, ColumnSpace(entity[0]))
        if entity not in self._pairs:
            first, second = self._add(entity[:-1]), self._add(entity[-1:])
            self._pairs[entity] = PairSpace(first, second)
        return self._pairs[entity]

    def column(self, name: str) -> ColumnSpace:
        """Return the space of one column."""
        return self._columns[name,]

    def __getitem__(self, entity: Entity) -> Space:
        return self._columns[entity] if len(entity) == 1 else self._pairs[entity]

    def extend(self, rows: SliceRows, each: Each) -> None:
        """Append a slice's clicks to every space; `each` runs independent calls."""
        each([partial(space.extend, rows) for space in self._columns.values()])
        for length in sorted({len(entity) for entity in self._pairs}):
            ready = [space for entity, space in self._pairs.items() if len(entity) == length]
            each([partial(space.extend, rows) for space in ready])

    def drop(self, clicks: int) -> None:
        """Forget the first clicks; their keys stay until `forget`."""
        for space in self._all():
            space.codes = space.codes[clicks:]

    def forget(self) -> dict[Space, Alive]:
        """Forget the keys that no retained click has, once they are most; say which are alive."""
        if not any(space.size > 2 * len(space.codes) + SPARE_KEYS for space in self._all()):
            return {}
        alive = {space: _alive(space) for space in self._all()}
        renumbered = {space: renumber(mask) for space, mask in alive.items()}
        for space in self._all():
            space.keep(alive[space], renumbered)
            with_null = np.append(renumbered[space], np.int32(NULL))  # code −1 finds the last
            space.codes = with_null[space.codes]
        return alive

    def _all(self) -> list[Space]:
        return [*self._columns.values(), *self._pairs.values()]


def _alive(space: Space) -> Alive:
    alive = np.zeros(space.size, np.bool_)
    alive[space.codes[space.codes >= 0]] = True
    return alive
