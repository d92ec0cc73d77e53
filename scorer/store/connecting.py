"""Connections to the live store's server, or to one inside this process."""

from typing import Any
from weakref import WeakKeyDictionary

from fakeredis import FakeAsyncRedis
from hiredis import pack_command
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

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


async def asked(connection: AbstractConnection, *command: Argument) -> Answered:
    """Return a command's answer; nothing is tried twice."""
    parts: Any = command  # declared as a tuple of one
    await connection.send_packed_command(pack_command(parts), check_health=False)
    answer: Answered = await connection.read_response(disable_decoding=True)
    return answer


def server_of(connection: AbstractConnection) -> str:
    """Return what names the server of a connection and its present life, from start to end."""
    return _servers.get(connection, "embedded")


_servers: WeakKeyDictionary[AbstractConnection, str] = WeakKeyDictionary()


async def _introduced(connection: AbstractConnection) -> None:
    """Greet a server, and learn which life of which server this is."""
    await connection.on_connect()
    text = await asked(connection, "INFO", "server")
    lines = text.decode().splitlines() if isinstance(text, bytes) else []
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    _servers[connection] = fields.get("run_id", "unknown")


def embedded() -> Redis:
    """Return a client of a store inside this process, which ends with it."""
    client: Redis = FakeAsyncRedis()
    return client
