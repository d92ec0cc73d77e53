"""A circuit breaker: a store that fails is left alone until it answers a probe in time."""

import asyncio
from collections.abc import Awaitable, Callable

from redis.exceptions import RedisError

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0  # s between probes
PATIENCE = 0.1  # s that a probe may take


class Breaker:
    """Closed while the store answers; open, it lets nothing through until a probe succeeds.

    `probe` returns where the store takes clicks and raises where it does not. It is called with
    growing pauses while the breaker is open.
    """

    def __init__(self, probe: Callable[[], Awaitable[object]]) -> None:
        self.is_open = False
        self._probe = probe
        self._probing: asyncio.Task[None] | None = None

    def failed(self) -> None:
        """Hear that the store can't be reached, takes no clicks, or is stuck; opens it."""
        if not self.is_open:
            self.is_open = True
            self._probing = asyncio.get_running_loop().create_task(self._until_it_answers())

    async def close(self) -> None:
        """Stop probing."""
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.gather(self._probing, return_exceptions=True)

    async def _until_it_answers(self) -> None:
        pause = FIRST_PAUSE
        while self.is_open:
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            try:
                async with asyncio.timeout(PATIENCE):
                    await self._probe()
            except (RedisError, OSError, TimeoutError):
                continue
            self.is_open = False
