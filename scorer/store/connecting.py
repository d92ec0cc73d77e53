"""Connections to the live store's server, or to one inside this process."""

from fakeredis import FakeAsyncRedis
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from scorer.errors import BadInput

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
            socket_timeout=PATIENCE,
            socket_connect_timeout=PATIENCE,
            decode_responses=False,
        )
    except (ValueError, RedisError):
        raise BadInput(
            "the Redis URL can't be read: write it as redis://host:6379/0, "
            "rediss://host:6379/0 or unix:///path/redis.sock"
        ) from None


def embedded() -> Redis:
    """Return a client of a store inside this process, which ends with it."""
    client: Redis = FakeAsyncRedis()
    return client
