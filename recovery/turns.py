"""Taking turns at a sink: a lock file keeps two deliveries from sending to it at once."""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from recovery.sinks.sink import Pause
from replay.cursors import cursor_path
from replay.lake import Lake, writing

LOCK_SECONDS = 0.05


@contextmanager
def alone(lake: Lake, name: str, pause: Pause, say: Callable[[str], None]) -> Iterator[None]:
    """Hold a sink's lock; wait while another delivery has it, and say so once.

    Raises LakeUnwritable where the lock file can't be made.
    """
    path = cursor_path(lake, name).with_suffix(".lock")
    with writing(path):
        path.parent.mkdir(exist_ok=True)
        handle = path.open("a")
    with handle:
        said = False
        while not _locked(handle.fileno()):
            if not said:
                say(f"another delivery is sending to sink {name!r}; waiting for it")
                said = True
            pause(LOCK_SECONDS)
        yield


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
