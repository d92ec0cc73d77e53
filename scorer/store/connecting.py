"""Connections to the live store's server, or to one inside this process."""

import asyncio
from asyncio import StreamWriter
from collections import deque
from collections.abc import Awaitable
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from fakeredis import FakeAsyncRedis
from hiredis import Reader, pack_command
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    InvalidResponse,
    NoScriptError,
    OutOfMemoryError,
    RedisError,
    ResponseError,
)

from scorer.errors import BadInput

Argument = str | int | bytes
Answered = bytes | int | list[bytes] | None
PATIENCE = 1.0  # s that a late answer is waited for, to learn its stamps


def connect(url: str) -> Redis:
    """Return a client of the server at `url`: `redis://`, `rediss://` or `unix://`.

    Nothing is connected yet. It never tries again by itself: a call whose answer was lost may have
    counted its clicks. Raises BadInput where the URL can't be read; the message holds no password.

    >>> connect("http://localhost")
    Traceback (most recent call last):
    ...
    scorer.errors.BadInput: the Redis URL can't be read: write it as redis://host:6379/0, \
rediss://host:6379/0 or unix:///path/redis.sock
    """
    try:
        return Redis.from_url(
            url,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=None,  # the store's calls have one, which costs less
            socket_connect_timeout=PATIENCE,
            redis_connect_func=_introduced,
            decode_responses=False,
        )
    except (ValueError, RedisError):
        raise BadInput(
            "the Redis URL can't be read: write it as redis://host:6379/0, "
            "rediss://host:6379/0 or unix:///path/redis.sock"
        ) from None


class Line(Protocol):
    """A connection to the server in one of its lives, named by `server`."""

    server: str

    @property
    def is_open(self) -> bool:
        """Whether it can be asked; a closed one never opens again."""
        ...

    def ask(self, *command: Argument, patience: float = PATIENCE) -> Awaitable[Answered]:
        """Send a command; its answer comes in turn, within `patience` s.

        Raises RedisError, or OSError where the connection is lost before the answer is there;
        nothing is tried twice.
        """
        ...


class Server:
    """The server behind a client, over a connection that is made when it is first asked."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool: Any = pool
        self._connection: AbstractConnection | None = None
        self._line: Line | None = None
        self._connecting = asyncio.Lock()

    async def line(self, patience: float) -> Line:
        """Return an open line; raises RedisError or OSError where there is none to be had."""
        if self._line is None or not self._line.is_open:
            async with asyncio.timeout(patience), self._connecting:
                if self._line is None or not self._line.is_open:
                    self._line = await self._connected()
        return self._line

    async def _connected(self) -> Line:
        if self._connection is not None:
            before, self._connection = self._connection, None
            await before.disconnect(nowait=True)
            await self._pool.release(before)
        connection = self._connection = await self._pool.get_connection()
        writer = getattr(connection, "_writer", None)
        if isinstance(writer, StreamWriter):
            return _Line(_lives.get(connection, "unknown"), writer.transport)
        return _Inside(connection)


def server_of(client: Redis) -> Server:
    """Return the server of a client, the same to all who ask."""
    return _servers.setdefault(client, Server(client.connection_pool))


_servers: WeakKeyDictionary[Redis, Server] = WeakKeyDictionary()
_lives: WeakKeyDictionary[AbstractConnection, str] = WeakKeyDictionary()


class _Line(asyncio.Protocol):
    """A connection that the client has made, without its streams: they take thrice the time."""

    def __init__(self, server: str, transport: asyncio.WriteTransport) -> None:
        self.server = server
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._streams = transport.get_protocol()
        self._reader = Reader(replyError=_refusal, protocolError=InvalidResponse)
        self._asked: deque[tuple[asyncio.Future[Answered], float]] = deque()
        self._alarm: asyncio.TimerHandle | None = None
        self._lost: Exception | None = None
        transport.set_protocol(self)

    @property
    def is_open(self) -> bool:
        """Whether it can be asked."""
        return self._lost is None and not self._transport.is_closing()

    def ask(self, *command: Argument, patience: float = PATIENCE) -> asyncio.Future[Answered]:
        """Send a command."""
        answer: asyncio.Future[Answered] = self._loop.create_future()
        due = self._loop.time() + patience
        if self.is_open:
            self._asked.append((answer, due))
            parts: Any = command  # declared as a tuple of one
            self._transport.write(pack_command(parts))
            if self._alarm is None:
                self._alarm = self._loop.call_at(due, self._look)
        else:
            answer.set_exception(self._lost or ConnectionError("the connection is closed"))
        return answer

    def data_received(self, data: bytes) -> None:
        """Hand out answers."""
        try:
            self._reader.feed(data)
            while (found := self._reader.gets(False)) is not False:
                answer, _ = self._asked.popleft()
                if answer.done():  # whoever asked has left
                    continue
                if isinstance(found, RedisError):
                    answer.set_exception(found)
                else:
                    answer.set_result(found)
        except (RedisError, IndexError) as exc:
            self._lose(InvalidResponse(f"the server does not speak as Redis does: {exc}"))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell all who still wait."""
        self._lose(ConnectionError(f"the connection was lost: {exc or 'closed by the server'}"))
        self._streams.connection_lost(exc)

    def _look(self) -> None:
        """Give up the connection where an answer is overdue."""
        self._alarm = None
        if not self._asked:
            return
        _, due = self._asked[0]
        if due <= self._loop.time():
            self._lose(TimeoutError("the server takes too long"))
        else:
            self._alarm = self._loop.call_at(due, self._look)

    def _lose(self, reason: Exception) -> None:
        self._lost = self._lost or reason
        self._transport.abort()
        while self._asked:
            answer, _ = self._asked.popleft()
            if not answer.done():
                answer.set_exception(self._lost)


class _Inside:
    """The line to a store inside this process."""

    server = "embedded"
    is_open = True

    def __init__(self, connection: AbstractConnection) -> None:
        self._connection = connection
        self._turn = asyncio.Lock()

    async def ask(self, *command: Argument, patience: float = PATIENCE) -> Answered:
        """Ask."""
        async with asyncio.timeout(patience), self._turn:
            await self._connection.send_command(*command, check_health=False)
            answer: Answered = await self._connection.read_response(disable_decoding=True)
            return answer


def _refusal(message: str) -> RedisError:
    """Return what an error of the server's is raised as."""
    if message.startswith("NOSCRIPT "):
        return NoScriptError(message)
    if "OOM command not allowed" in message:  # Redis 6.2 wraps it in the script's own error
        return OutOfMemoryError(message)
    return ResponseError(message)


async def _introduced(connection: AbstractConnection) -> None:
    """Greet a server, and learn which life of which server this is."""
    await connection.on_connect()
    await connection.send_command("INFO", "server", check_health=False)
    text = await connection.read_response(disable_decoding=True)
    lines = text.decode().splitlines() if isinstance(text, bytes) else []
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    _lives[connection] = fields.get("run_id", "unknown")


def embedded() -> Redis:
    """Return a client of a store inside this process, which ends with it."""
    client: Redis = FakeAsyncRedis()
    return client
