"""What is on a disk; and disks that are full, as far as a process can tell."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def files(folder: Path) -> dict[Path, bytes]:
    """Return the bytes of every file in a folder and those within it."""
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@contextmanager
def full_disk(size: int = 0) -> Iterator[None]:
    """Let no file of this process grow beyond `size` bytes: the write fails as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
