"""The window kernels: one pass over the log, in log order, with state that lasts.

A click is added to its entity's counters when the pass reaches it, and taken out of a window when
the pass reaches a click that no longer sees it. Both happen in log order, so each window needs one
pointer into the log (its *tail*: the first click still inside) and one counter per key, whatever
the keys look like; a hot key costs what any other does.

For a click at ts, a window of n buckets of resolution r sees the earlier clicks, and the click
itself, with floor(ts_j / r) > floor(ts / r) − n. All times are int64 µs.

`times` and `codes` hold the retained clicks and then, from `start`, the new ones; `facts` is int32
(facts of the spec, new clicks), and `rows` says which of its rows a state writes.
"""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from replay.compiled import Flags, Int32s, Int64s, kernel
from scorer.spec import Window

Element = TypeVar("Element", bound=np.generic)
NEVER = np.iinfo(np.int64).min // 2


class Counts:
    """Clicks of each key over several windows."""

    def __init__(self, windows: Sequence[Window], rows: Sequence[int]) -> None:
        self._windows = _Windows(windows, rows)
        self._counts = np.zeros((0, len(rows)), np.int32)

    def advance(self, times: Int64s, codes: Int32s, start: int, keys: int, facts: Int32s) -> None:
        """Pass over the new clicks; `keys` is the number of codes in use."""
        self._counts = with_room(self._counts, keys, 0)
        w = self._windows
        _count(times, codes, start, w.resolutions, w.buckets, w.tails, self._counts, w.rows, facts)

    def drop(self, clicks: int) -> None:
        """Follow the removal of the log's first clicks, none of which is in a window."""
        self._windows.tails -= clicks

    def keep(self, alive: Flags) -> None:
        """Forget the keys that are not alive; the others move up."""
        self._counts = kept(self._counts, alive)


class Distincts:
    """Distinct members of each key over several windows."""

    def __init__(self, windows: Sequence[Window], rows: Sequence[int]) -> None:
        self._windows = _Windows(windows, rows)
        self._counts = np.zeros((0, len(rows)), np.int32)
        self._last = np.empty(0, np.int64)

    def advance(
        self,
        times: Int64s,
        codes: Int32s,
        pairs: Int32s,
        start: int,
        keys: int,
        pair_keys: int,
        facts: Int32s,
    ) -> None:
        """Pass over the new clicks; `pairs` are the codes of (key, member)."""
        self._counts = with_room(self._counts, keys, 0)
        self._last = with_room(self._last, pair_keys, NEVER)
        w = self._windows
        windows = (w.resolutions, w.buckets, w.tails)
        _distinct(times, codes, pairs, start, *windows, self._counts, self._last, w.rows, facts)

    def drop(self, clicks: int) -> None:
        """Follow the removal of the log's first clicks, none of which is in a window."""
        self._windows.tails -= clicks
        self._last -= clicks

    def keep(self, alive: Flags, alive_pairs: Flags) -> None:
        """Forget the keys and pairs that are not alive; the others move up."""
        self._counts = kept(self._counts, alive)
        self._last = kept(self._last, alive_pairs)


class Gaps:
    """Whole milliseconds since each key's previous click, at most the cap (µs)."""

    def __init__(self, cap: int, row: int) -> None:
        self._cap, self._row = cap, row
        self._last = np.empty(0, np.int64)

    def advance(self, times: Int64s, codes: Int32s, start: int, keys: int, facts: Int32s) -> None:
        """Pass over the new clicks; `keys` is the number of codes in use."""
        self._last = with_room(self._last, keys, NEVER)
        _gap(times, codes, start, self._last, self._cap, facts[self._row])

    def keep(self, alive: Flags) -> None:
        """Forget the keys that are not alive; the others move up."""
        self._last = kept(self._last, alive)


class _Windows:
    """Several windows as arrays, each with its tail and the row that it writes."""

    def __init__(self, windows: Sequence[Window], rows: Sequence[int]) -> None:
        self.resolutions = np.array([w.resolution for w in windows], np.int64)
        self.buckets = np.array([w.buckets for w in windows], np.int64)
        self.tails = np.zeros(len(windows), np.int64)
        self.rows = np.array(rows, np.int64)


def with_room(state: NDArray[Element], keys: int, fresh: int) -> NDArray[Element]:
    """Return the state with at least `keys` rows; new rows hold `fresh`."""
    if keys <= len(state):
        return state
    larger = np.full((max(keys, 2 * len(state)), *state.shape[1:]), fresh, state.dtype)
    larger[: len(state)] = state
    return larger


def kept(state: NDArray[Element], alive: Flags) -> NDArray[Element]:
    """Return the rows of the keys that are alive (keys without state yet have none to keep)."""
    return state[: len(alive)][alive[: len(state)]]


@kernel
def _count(
    times: Int64s,
    codes: Int32s,
    start: int,
    resolutions: Int64s,
    buckets: Int64s,
    tails: Int64s,
    counts: Int32s,
    rows: Int64s,
    facts: Int32s,
) -> None:
    windows = len(resolutions)
    changes_at = np.full(windows, np.iinfo(np.int64).min, np.int64)
    for i in range(start, len(times)):
        time = times[i]
        for w in range(windows):
            if time >= changes_at[w]:
                bucket = time // resolutions[w]
                changes_at[w] = (bucket + 1) * resolutions[w]
                inside_from = (bucket - buckets[w] + 1) * resolutions[w]
                tail = tails[w]
                while times[tail] < inside_from:
                    code = codes[tail]
                    if code >= 0:
                        counts[code, w] -= 1
                    tail += 1
                tails[w] = tail
        code = codes[i]
        for w in range(windows):
            if code >= 0:
                counts[code, w] += 1
                facts[rows[w], i - start] = counts[code, w]
            else:
                facts[rows[w], i - start] = 0


@kernel
def _distinct(
    times: Int64s,
    codes: Int32s,
    pairs: Int32s,
    start: int,
    resolutions: Int64s,
    buckets: Int64s,
    tails: Int64s,
    counts: Int32s,
    last: Int64s,
    rows: Int64s,
    facts: Int32s,
) -> None:
    windows = len(resolutions)
    changes_at = np.full(windows, np.iinfo(np.int64).min, np.int64)
    for i in range(start, len(times)):
        time = times[i]
        for w in range(windows):
            if time >= changes_at[w]:
                bucket = time // resolutions[w]
                changes_at[w] = (bucket + 1) * resolutions[w]
                inside_from = (bucket - buckets[w] + 1) * resolutions[w]
                tail = tails[w]
                while times[tail] < inside_from:
                    # Only a member's latest click stands for it; earlier ones left nothing behind.
                    pair = pairs[tail]
                    if pair >= 0 and last[pair] == tail:
                        counts[codes[tail], w] -= 1
                    tail += 1
                tails[w] = tail
        code = codes[i]
        pair = pairs[i]
        if pair >= 0:
            for w in range(windows):
                if last[pair] < tails[w]:
                    counts[code, w] += 1
            last[pair] = i
        for w in range(windows):
            facts[rows[w], i - start] = counts[code, w] if code >= 0 else 0


@kernel
def _gap(times: Int64s, codes: Int32s, start: int, last: Int64s, cap: int, out: Int32s) -> None:
    for i in range(start, len(times)):
        code = codes[i]
        gap = cap
        if code >= 0:
            gap = min(cap, times[i] - last[code])
            last[code] = times[i]
        out[i - start] = gap // 1000
