"""What stands in production, told by the keeper to the workers in a small file of the spool.

    spool/standing.json     {"production": …, "warm": […], "checked_at": µs}

The keeper replaces the file whole; a worker asks for its status ten times a second and reads it
where that has changed. Nothing here opens the lake.
"""

import json
import os
from pathlib import Path
from typing import Any

from scorer.serving.ports import Standing

FILE = "standing.json"
NOTHING = Standing(production=None, warm=(), checked_at=0)


def write_whole(path: Path, document: object) -> None:
    """Replace a JSON file in one step: a reader sees the old document or the new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(document))
    temporary.replace(path)


class Watched:
    """A JSON file that others replace whole; reading it again costs a look at its status."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None

    def changed(self) -> dict[str, Any] | None:
        """Return the document where it is new since the last call; None where not, or damaged."""
        try:
            status = self._path.stat()
            seen = (status.st_ino, status.st_mtime_ns)
            if seen == self._seen:
                return None
            document = json.loads(self._path.read_bytes())
        except (OSError, ValueError):
            return None
        self._seen = seen
        return document if isinstance(document, dict) else None


def write_standing(spool: Path, standing: Standing) -> None:
    """Tell the workers what stands."""
    document = {
        "production": standing.production,
        "warm": standing.warm,
        "checked_at": standing.checked_at,
    }
    write_whole(spool / FILE, document)


class StandingFile:
    """The pointer as a worker sees it: what the keeper wrote last.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     pointer = StandingFile(Path(folder))
    ...     before = pointer.standing()
    ...     write_standing(Path(folder), Standing("v2", ("v1",), 1_772_323_200_000_000))
    ...     after = pointer.standing()
    >>> before.production, after.production, after.warm
    (None, 'v2', ('v1',))
    """

    def __init__(self, spool: Path) -> None:
        self._file = Watched(spool / FILE)
        self._standing = NOTHING

    def standing(self) -> Standing:
        """Return what stands; what was last known where the file is away or damaged."""
        document = self._file.changed()
        if document is not None:
            self._standing = _parse(document) or self._standing
        return self._standing


def _parse(document: dict[str, Any]) -> Standing | None:
    match document:
        case {
            "production": str() | None as production,
            "warm": list() as warm,
            "checked_at": int(),
        }:
            names = tuple(name for name in warm if isinstance(name, str))
            return Standing(production, names, int(document["checked_at"]))
        case _:
            return None
