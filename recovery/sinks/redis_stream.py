"""A Redis stream of verdicts: entry `<ledger_seq>-0` with the fields `verdict_id` and `verdict`.

Redis refuses an entry whose number is not above the last, so that none can be there twice; and a
batch is one transaction, so that none can be left out. Without a `url` the stream is in a small
Redis inside this process and is gone with it: for trials and tests.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import fakeredis
import redis
from pydantic import BaseModel, ConfigDict, Field
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.retry import Retry

from recovery.sinks.options import Timeout
from recovery.sinks.sink import (
    BadSink,
    Batch,
    ForeignSink,
    Held,
    Pause,
    SinkError,
    SinkRefused,
    SinkUnreachable,
)

BATCH_ROWS = 2_000
CHECK_SECONDS = 3.0
RETRIES = 3
SCHEMES = ("redis", "rediss", "unix")
_HAS_IT = "equal or smaller"
_EMBEDDED: dict[Path, fakeredis.FakeServer] = {}


class RedisOptions(BaseModel):
    """`url_env` names the environment variable that holds the URL, where that has a password."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str | None = None
    url_env: str | None = None
    stream: str = Field(default="verdicts", min_length=1)
    timeout_seconds: Timeout = 10.0


class RedisStream:
    """A stream whose last number says how far it is; one that was flushed gets everything again."""

    Options: ClassVar[type[BaseModel]] = RedisOptions

    def __init__(self, name: str, options: RedisOptions, home: Path) -> None:
        self.name = name
        self.rows = BATCH_ROWS
        self._url = _url(options)
        self._stream = options.stream
        self._timeout = options.timeout_seconds
        self._home = home
        self._connected: redis.Redis | None = None

    @property
    def where(self) -> str:
        """The server, without user and password, and the stream."""
        if self._url is None:
            return f"stream {self._stream} in this process, gone with it (no url is given)"
        parts = urlsplit(self._url)
        server = (parts.netloc.rpartition("@")[2] or "localhost") if parts.scheme != "unix" else ""
        return f"stream {self._stream} of {parts.scheme}://{server}{parts.path}"

    def check(self) -> None:
        """Raise SinkUnreachable where the server does not answer at once."""
        client = self._connect(CHECK_SECONDS, 0)
        try:
            client.ping()
        except redis.RedisError as exc:
            raise self._error(exc) from exc
        finally:
            client.close()

    def position(self) -> Held:
        """Read the stream's last number, and the entry that has it."""
        try:
            client = self._client()
            if not client.exists(self._stream):
                return Held(0)
            info: Mapping[str, Any] = client.xinfo_stream(self._stream)
        except redis.ResponseError as exc:
            if "WRONGTYPE" not in str(exc):
                raise self._error(exc) from exc
            raise ForeignSink(
                f"sink {self.name!r}: {self.where} is no stream; give the sink a stream of its own"
            ) from exc
        except redis.RedisError as exc:
            raise self._error(exc) from exc
        last = info["last-generated-id"]
        number, _, second = last.partition(b"-")
        entry = info["last-entry"]
        if second != b"0" or (entry and b"verdict" not in entry[1]):
            raise ForeignSink(
                f"sink {self.name!r}: {self.where} holds entries that are no verdicts; give the "
                "sink a stream of its own"
            )
        return Held(int(number), entry[1][b"verdict"] if entry and entry[0] == last else None)

    def send(self, batch: Batch, pause: Pause) -> None:
        """Add the batch in one transaction; what the stream has already stays as it is."""
        rows = zip(
            batch.column("ledger_seq"), batch.column("verdict_id"), batch.texts(), strict=True
        )
        try:
            pipeline: Any
            with self._client().pipeline(transaction=True) as pipeline:
                for number, verdict_id, document in rows:
                    pipeline.execute_command(
                        "XADD", self._stream, f"{number}-0",
                        "verdict_id", verdict_id, "verdict", document,
                    )  # fmt: skip
                answers = pipeline.execute(raise_on_error=False)
            errors = [answer for answer in answers if isinstance(answer, redis.RedisError)]
            for error in errors:
                if _HAS_IT not in str(error):
                    raise error
            if errors:
                self._see(batch)
        except redis.RedisError as exc:
            raise self._error(exc) from exc

    def interrupt(self) -> None:
        """Cut the connection."""
        if (client := self._connected) is not None:
            client.set_retry(Retry(NoBackoff(), 0))
            client.connection_pool.disconnect()

    def close(self) -> None:
        """Let go of the connection."""
        if self._connected is not None:
            self._connected.close()
            self._connected = None

    def _see(self, batch: Batch) -> None:
        """Check that the stream has the batch, and is not ahead of it by another's entries."""
        last = f"{batch.last}-0"
        if not self._client().xrange(self._stream, last, last):
            raise SinkRefused(
                f"sink {self.name!r}: {self.where} takes no verdict {batch.last:,}: something else "
                "writes to it; give the sink a stream of its own"
            )

    def _client(self) -> redis.Redis:
        if self._connected is None:
            self._connected = self._connect(self._timeout, RETRIES)
        return self._connected

    def _connect(self, timeout: float, retries: int) -> redis.Redis:
        if self._url is None:
            server = _EMBEDDED.setdefault(self._home, fakeredis.FakeServer())
            return fakeredis.FakeRedis(server=server)
        return redis.Redis.from_url(
            self._url,
            protocol=2,
            socket_timeout=timeout,
            socket_connect_timeout=min(timeout, CHECK_SECONDS),
            retry=Retry(ExponentialBackoff(cap=1.0, base=0.1), retries),
        )

    def _error(self, exc: redis.RedisError) -> SinkError:
        said = str(exc).splitlines()[0] if str(exc) else type(exc).__name__
        if isinstance(exc, redis.ConnectionError | redis.TimeoutError):
            return SinkUnreachable(f"sink {self.name!r}: {self.where} does not answer: {said}")
        return SinkRefused(f"sink {self.name!r}: {self.where} refuses: {said}")


def _url(options: RedisOptions) -> str | None:
    """Return the URL, from the file or from the environment; None for the embedded Redis."""
    if options.url and options.url_env:
        raise BadSink("give url or url_env, not both")
    url = options.url
    if options.url_env:
        url = os.environ.get(options.url_env)
        if not url:
            raise BadSink(f"the environment variable {options.url_env} (url_env) is not set")
    if url is None:
        return None
    scheme = url.partition("://")[0]
    if scheme not in SCHEMES or "://" not in url:
        raise BadSink("url: write redis://HOST:PORT/DB, rediss://… or unix:///PATH")
    try:
        redis.Redis.from_url(url).close()
    except (ValueError, redis.RedisError) as exc:
        raise BadSink("url: Redis cannot make sense of it (port, database or an option)") from exc
    return url
