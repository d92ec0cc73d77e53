"""Profile columns for live clicks: the keeper's cache, mapped into a worker's memory.

    spool/profiles/current.json     {"user": "user-7", "ip": "ip-3", "checked_at": µs}
    spool/profiles/user-7/          meta.json, hi, lo, valid_from, and v<n>, m<n> for each column

A row is a snapshot of one key. Rows stand in order of (hi, lo, valid_from), where (hi, lo) are the
first 128 bits of the key's SHA-256. `v<n>` holds a column's value as float32, `m<n>` what it is
as a flag: 0 for null, 1 for false, 2 for true. All workers share the same pages, and looking a key
up neither opens the lake nor copies anything.
"""

import json
import mmap
from bisect import bisect_left, bisect_right
from ctypes import c_float
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from replay.live.standing import Watched
from scorer.spec import Profile

FOLDER, CURRENT, META = "profiles", "current.json", "meta.json"
TABLES = ("user", "ip")
NULL, FALSE, TRUE = 0, 1, 2
FORMAT = 1


def digest(key: str) -> tuple[int, int]:
    """Return the two halves of a key's place in the order of a cache.

    >>> [f"{half:016x}" for half in digest("u1")]
    ['bb82030dbc2bcaba', '32a90bf2e207a84a']
    """
    found = sha256(key.encode("utf-8", "surrogatepass"), usedforsecurity=False).digest()
    return int.from_bytes(found[:8], "big"), int.from_bytes(found[8:16], "big")


def default_of(profile: Profile) -> float:
    """Return a profile's default as float32 holds it."""
    return c_float(profile.default).value


class TableCache:
    """The snapshots of one profile table."""

    def __init__(self, folder: Path) -> None:
        """Map a cache; raise OSError or ValueError where it is not whole."""
        meta = json.loads((folder / META).read_bytes())
        rows = int(meta["rows"])
        self.folder = folder
        self._hi, self._lo = _mapped(folder / "hi", "Q", rows), _mapped(folder / "lo", "Q", rows)
        self._valid_from = _mapped(folder / "valid_from", "q", rows)
        self._columns = {
            str(name): (
                _mapped(folder / f"v{number}", "f", rows),
                _mapped(folder / f"m{number}", "B", rows),
            )
            for number, name in enumerate(meta["columns"])
        }
        self._last: tuple[str, int, int] = ("", 0, -1)

    def value(self, profile: Profile, key: str, ts: int) -> float:
        """Return a column's value in the latest snapshot with valid_from <= ts, or the default."""
        last = self._last  # a click asks for several columns of one row
        if last[0] != key or last[1] != ts:
            last = self._last = (key, ts, self._row(key, ts))
        row = last[2]
        column = self._columns.get(profile.column)
        if row < 0 or column is None or column[1][row] == NULL:
            return default_of(profile)
        found: float = column[1][row] == TRUE if profile.is_flag else column[0][row]
        return found

    def _row(self, key: str, ts: int) -> int:
        """Return the key's latest row with valid_from <= ts; −1 where there is none."""
        hi, lo = digest(key)
        first = bisect_left(self._hi, hi)
        end = first
        while end < len(self._hi) and self._hi[end] == hi:
            end = end + 1 if end < first + 2 else bisect_right(self._hi, hi, end)
        if first < end and not self._lo[first] == self._lo[end - 1] == lo:
            first, end = (
                bisect_left(self._lo, lo, first, end),
                bisect_right(self._lo, lo, first, end),
            )
        row = bisect_right(self._valid_from, ts, first, end) - 1
        return row if row >= first else -1


class LiveProfiles:
    """The newest caches; `refresh` takes over what the keeper has made since."""

    def __init__(self, spool: Path) -> None:
        self._folder = spool / FOLDER
        self._current = Watched(self._folder / CURRENT)
        self._tables: dict[str, TableCache] = {}
        self._loaded_at = 0

    @property
    def loaded_at(self) -> int:
        """When the caches were last known to be those of the lake, µs; 0 for never."""
        return self._loaded_at

    def value(self, profile: Profile, key: str | None, ts: int) -> float:
        """Return a profile column's value at `ts` (µs); its default where there is none."""
        table = self._tables.get(profile.table)
        return (
            default_of(profile) if table is None or key is None else table.value(profile, key, ts)
        )

    def refresh(self) -> bool:
        """Map the caches that `current.json` names; return whether any is new.

        Raises OSError or ValueError where one cannot be mapped; the former ones then stay.
        """
        current = self._current.changed()
        if current is None:
            return False
        known = dict(self._tables)
        for name in TABLES:
            folder = self._folder / str(current[name])
            if name not in known or known[name].folder != folder:
                known[name] = TableCache(folder)
        new = any(known[name] is not self._tables.get(name) for name in TABLES)
        self._tables, self._loaded_at = known, int(current["checked_at"])
        return new


def _mapped(path: Path, kind: Literal["Q", "q", "f", "B"], rows: int) -> "memoryview[Any]":
    """Map an array of `rows` native numbers of a struct type."""
    with path.open("rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if rows else b""
    found: memoryview[Any] = memoryview(data).cast(kind)
    if len(found) != rows:
        raise ValueError(f"{path} holds {len(found):,} values and not {rows:,}")
    return found
