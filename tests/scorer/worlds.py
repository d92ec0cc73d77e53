"""Where a test puts a live store: worlds whose time the test moves.

In the one the store runs in this process, and the clock that it reads, and that its keys expire by,
is the test's. In the other it runs on a real server, whose clock can't be moved: there clicks bring
their time, and each key's time to live is moved instead.
"""

import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol
from unittest.mock import patch

import redis
from redis.asyncio import Redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from scorer.store.connecting import connect, embedded
from tests.servers import RedisServer

AGE = """
for _, key in ipairs(redis.call('KEYS', '*')) do
    local left = redis.call('PTTL', key)
    if left >= 0 and left - ARGV[1] <= -100 then redis.call('DEL', key)
    elseif left >= 0 then redis.call('PEXPIRE', key, math.max(left - ARGV[1], 1000)) end
end
"""


class World(Protocol):
    """Where the store runs, and what can happen to it from outside."""

    clicks_bring_time: bool  # its clock is not the test's

    def client(self) -> Redis:
        """Return a client for the store."""
        ...

    def at(self, now: int) -> AbstractContextManager[None]:
        """Let its clock say `now` (µs), if that can be."""
        ...

    async def age(self, client: Redis, micros: int) -> None:
        """Bring every key as much nearer to its end."""
        ...

    async def flush(self, client: Redis) -> None:
        """Remove all keys."""
        ...

    async def keys(self, client: Redis) -> int:
        """Return how many keys there are."""
        ...


class InProcess:
    """A store inside this process, which reads the test's clock."""

    clicks_bring_time = False

    def client(self) -> Redis:
        return embedded()

    @contextmanager
    def at(self, now: int) -> Iterator[None]:
        with patch("time.time", lambda: now / 1_000_000):
            yield

    async def age(self, client: Redis, micros: int) -> None:
        """Do nothing: its keys expire by the test's clock."""

    async def flush(self, client: Redis) -> None:
        await client.flushall()

    async def keys(self, client: Redis) -> int:
        return len(await client.keys("*"))


class OnServer:
    """A store on a real server, which has a clock of its own."""

    clicks_bring_time = True

    def __init__(self, server: RedisServer) -> None:
        self.server = server

    def client(self) -> Redis:
        return connect(self.server.url)

    def at(self, now: int) -> AbstractContextManager[None]:
        return nullcontext()

    async def age(self, client: Redis, micros: int) -> None:
        with self.server.client() as outside:
            outside.eval(AGE, 0, str(micros // 1000))

    async def flush(self, client: Redis) -> None:
        with self.server.client() as outside:
            outside.flushall()

    async def keys(self, client: Redis) -> int:
        with self.server.client() as outside:
            return len(list(outside.scan_iter()))

    def restart(self) -> None:
        """Restart the server with what it held; return when it answers."""
        with self.server.client() as client:
            client.save()
        self.server.stop()
        self.server.process = subprocess.Popen(self.server.process.args, stdout=subprocess.DEVNULL)
        retry = Retry(ConstantBackoff(0.02), 1500)
        with redis.Redis.from_url(self.server.url, retry=retry) as client:
            client.ping()
