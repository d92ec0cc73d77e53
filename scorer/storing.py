"""A folder that appears in one step, with every byte on the disk."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path


def store_folder(parent: Path, name: str, files: Mapping[str, bytes]) -> None:
    """Write files beside their place, then put them there as `parent`/`name` in one step.

    Raises OSError where that folder is there already, or `parent` can't be written.
    """
    parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".new-", dir=parent))
    try:
        for file, data in files.items():
            _write(temporary / file, data)
        temporary.chmod(0o755)
        _sync(temporary)
        temporary.rename(parent / name)
        _sync(parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as handle:
        handle.write(data)
        handle.flush()
        os.fsync(handle.fileno())


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
