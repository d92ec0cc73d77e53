"""A timer that blames nobody for a loop that stood still."""

import asyncio
from collections.abc import Callable

LATE = 0.002  # s behind its time that only a loop that was held up is; its clock ticks in ms
GRACE = 0.001  # s in which the loop then hears what came meanwhile


class Timer:
    """Calls back once after `delay` s, unless it is cancelled before.

    Where the loop itself was held up, what the timer waits for may lie unread: it then gets a last
    chance.
    """

    def __init__(self, delay: float, callback: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._callback = callback
        self._due = self._loop.time() + delay
        self._handle = self._loop.call_at(self._due, self._ring)

    def cancel(self) -> None:
        """Never call back."""
        self._handle.cancel()

    def _ring(self) -> None:
        if self._loop.time() > self._due + LATE:
            self._handle = self._loop.call_later(GRACE, self._callback)
        else:
            self._callback()
