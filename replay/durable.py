"""Files that outlast a power cut, and small files that are only ever seen whole."""

import os
from collections.abc import Iterable
from pathlib import Path


def keep(files: Iterable[Path]) -> None:
    """Make files and their names outlast a power cut."""
    for path in dict.fromkeys(place for file in files for place in (file, file.parent)):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def put_whole(path: Path, content: str, *, lasting: bool = True) -> None:
    """Write a file under a temporary name and move it in place.

    Without `lasting` a power cut may bring the old content back, or leave none.
    """
    temporary = path.with_name(f"{path.name}.new")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(content)
        if lasting:
            file.flush()
            os.fsync(file.fileno())
    temporary.replace(path)
    if lasting:
        keep([path])
