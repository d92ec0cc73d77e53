"""A webhook: batches of CloudEvents by HTTP POST, signed, sent again until they are taken.

Sent again, after a growing wait, for: a failed connection, a timeout, 408, 425, 429 and 5xx. Any
other answer than 2xx is final: the receiver would say the same again. Redirects are not followed.
"""

import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from socket import SHUT_RDWR, socket
from typing import Any, ClassVar

import httpx
from pydantic import BaseModel

from recovery.sinks.backoff import JITTER, backoff, retry_after
from recovery.sinks.events import CONTENT_TYPE, events
from recovery.sinks.signature import SIGNATURE, TIMESTAMP, sign
from recovery.sinks.sink import Batch, Pause, SinkError, SinkRefused, SinkUnreachable
from recovery.sinks.webhook_options import WebhookOptions, read_secret, target

CHECK_SECONDS = 3.0
CONNECT_SECONDS = 5.0
ANSWER_BYTES = 1 << 16
_AGAIN = frozenset({408, 425, 429})


@dataclass(frozen=True)
class _Failed:
    """An attempt that failed; `wait` is what the receiver asked for, seconds."""

    message: str
    again: bool = True
    reached: bool = True
    wait: float = 0.0


class Webhook:
    """A receiver that only the cursor knows the place of."""

    Options: ClassVar[type[BaseModel]] = WebhookOptions

    def __init__(
        self,
        name: str,
        options: WebhookOptions,
        home: Path,
        clock: Callable[[], float] = time.time,
        draw: JITTER = random.uniform,
    ) -> None:
        self.name = name
        self.rows = options.batch
        self._options = options
        self._url = target(options)
        self._secret = read_secret(options, home)
        self._clock, self._draw = clock, draw
        self._connected: httpx.Client | None = None
        self._socket: socket | None = None

    @property
    def where(self) -> str:
        """The URL without its query, which may hold a token; a digest tells queries apart."""
        query = self._url.query
        shown = str(self._url.copy_with(query=None, fragment=None))
        return f"{shown} (query {sha256(query).hexdigest()[:6]})" if query else shown

    def check(self) -> None:
        """Raise SinkUnreachable where no HTTP answer comes at once; any answer will do."""
        try:
            with (
                httpx.Client(timeout=CHECK_SECONDS) as client,
                client.stream("OPTIONS", self._url),
            ):
                pass
        except httpx.TransportError as exc:
            raise SinkUnreachable(self._says(f"does not answer: {_said(exc)}")) from exc

    def position(self) -> None:
        """Nobody but the sender knows."""

    def send(self, batch: Batch, pause: Pause) -> None:
        """Post the batch until it is taken, `attempts` times at most."""
        body = events(batch, self._options.source)
        attempt = 1
        while failed := self._post(body):
            if not failed.again or attempt == self._options.attempts:
                raise self._gave_up(batch, attempt, failed)
            pause(self._wait(attempt, failed))
            attempt += 1

    def interrupt(self) -> None:
        """Cut the connection, so that the wait for an answer ends."""
        if (connection := self._socket) is not None:
            with suppress(OSError):  # it was closed already
                socket.shutdown(connection, SHUT_RDWR)  # of an SSL socket too, without its farewell

    def close(self) -> None:
        """Let go of the connection."""
        if self._connected is not None:
            self._connected.close()
            self._connected = None

    def _post(self, body: bytes) -> _Failed | None:
        now = int(self._clock())
        headers = {
            "Content-Type": CONTENT_TYPE,
            TIMESTAMP: str(now),
            SIGNATURE: sign(self._secret, now, body),
        }
        try:
            with self._client().stream(
                "POST", self._url, content=body, headers=headers, extensions={"trace": self._trace}
            ) as answer:
                failed = self._judge(answer)
                with suppress(httpx.TransportError):  # the answer was given before its text
                    _drain(answer)
                return failed
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as exc:
            return _Failed(f"does not answer: {_said(exc)}", reached=False)
        except httpx.TransportError as exc:
            return _Failed(f"gave no answer: {_said(exc)}")

    def _trace(self, event: str, info: dict[str, Any]) -> None:
        """Hear of a new connection."""
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self._socket = info["return_value"].get_extra_info("socket")

    def _judge(self, answer: httpx.Response) -> _Failed | None:
        status = answer.status_code
        if 200 <= status < 300:
            return None
        again = status in _AGAIN or status >= 500
        hint = "; redirects are not followed, write the place itself" if 300 <= status < 400 else ""
        try:
            phrase = f"{status} {HTTPStatus(status).phrase}"
        except ValueError:
            phrase = str(status)
        wait = retry_after(answer.headers.get("Retry-After"), self._clock()) if again else 0.0
        return _Failed(f"answers {phrase}{hint}", again, wait=wait)

    def _gave_up(self, batch: Batch, attempts: int, failed: _Failed) -> SinkError:
        if not failed.reached:
            return SinkUnreachable(self._says(failed.message))
        what = f"verdicts {batch.first:,} to {batch.last:,}"
        times = f"after {attempts} attempt{'s' if attempts > 1 else ''}"
        return SinkRefused(self._says(f"{failed.message} ({what}, {times})"), attempts)

    def _wait(self, attempt: int, failed: _Failed) -> float:
        """Return how long to wait, seconds: what the receiver asks for, or longer."""
        options = self._options
        drawn = backoff(attempt, options.backoff_seconds, options.backoff_cap_seconds, self._draw)
        return max(drawn, min(failed.wait, options.retry_after_cap_seconds))

    def _client(self) -> httpx.Client:
        if self._connected is None:
            seconds = self._options.timeout_seconds
            timeout = httpx.Timeout(seconds, connect=min(seconds, CONNECT_SECONDS))
            self._connected = httpx.Client(timeout=timeout, follow_redirects=False)
        return self._connected

    def _says(self, what: str) -> str:
        return f"sink {self.name!r}: {self.where} {what}"


def _said(exc: httpx.TransportError) -> str:
    return str(exc) or type(exc).__name__


def _drain(answer: httpx.Response) -> None:
    """Read a short answer to its end, so that the connection can be used again."""
    read = 0
    for chunk in answer.iter_raw():
        read += len(chunk)
        if read > ANSWER_BYTES:
            break
