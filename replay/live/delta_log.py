"""The newest version of a table, from the names in its Delta log: cheap enough to ask often."""

import os
from pathlib import Path

from replay.config import FILE
from replay.errors import NotALake


class TableVersion:
    """Follows one table of a lake; a look costs two or three looks at a file's status."""

    def __init__(self, home: Path, name: str) -> None:
        self._home = home
        self._log = home / name / "_delta_log"
        self._known = -1

    def newest(self) -> int:
        """Return the table's newest version; −1 where nothing was ever written to it.

        Raises NotALake or another OSError where the lake is away: a table that cannot be seen
        is no empty table.
        """
        if self._known < 0 or not self._commit(self._known).exists():
            self._known = self._listed()
        while self._known >= 0 and self._commit(self._known + 1).exists():
            self._known += 1
        return self._known

    def _commit(self, version: int) -> Path:
        return self._log / f"{version:020d}.json"

    def _listed(self) -> int:
        if not (self._home / FILE).exists():
            raise NotALake(f"{self._home} is away: it has no {FILE}")
        try:
            with os.scandir(self._log) as entries:
                stems = [entry.name.partition(".")[0] for entry in entries]
        except FileNotFoundError:
            return -1
        return max((int(stem) for stem in stems if len(stem) == 20 and stem.isdigit()), default=-1)
