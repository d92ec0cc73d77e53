"""Timers that blame nobody for a loop that stood still."""

import asyncio
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

LATE = 0.002  # s behind its time that only a loop that was held up is; its clock ticks in ms
GRACE = 0.001  # s in which the loop then hears what came meanwhile


class Timer:
    """Calls back once, unless it is cancelled before."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Never call back."""
        self.callback = None


class Timers:
    """Many timers on one of the loop's: most are cancelled long before their time.

    Where the loop itself was held up, what the timers wait for may lie unread: they then get a last
    chance.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[float, int, Timer]] = []
        self._number = count()
        self._alarm: asyncio.TimerHandle | None = None
        self._set_for = 0.0

    def after(self, delay: float, callback: Callable[[], None]) -> Timer:
        """Call back after `delay` s."""
        timer = Timer(callback)
        due = asyncio.get_running_loop().time() + delay
        heappush(self._waiting, (due, next(self._number), timer))
        if self._alarm is None or due < self._set_for:
            self._set(due)
        return timer

    def _set(self, due: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._set_for = due
        self._alarm = asyncio.get_running_loop().call_at(due, self._ring)

    def _ring(self) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() > self._set_for + LATE:
            self._alarm = loop.call_later(GRACE, self._call)
        else:
            self._call()

    def _call(self) -> None:
        """Call back all that are due, and sleep until the next that is not cancelled."""
        self._alarm = None
        until = asyncio.get_running_loop().time()
        while self._waiting:
            due, _, timer = self._waiting[0]
            if timer.callback is not None and due > until:
                self._set(due)
                return
            heappop(self._waiting)
            if timer.callback is not None:
                timer.callback()
