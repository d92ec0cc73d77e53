"""One keep-alive connection of the load generator, one request at a time, and a precise timer.

Bytes go out as they were built before the run; httptools cuts the answers. Nothing here is
asyncio: a tick of its timers is a millisecond, and its callbacks cost as much as the request.
"""

import contextlib
import ctypes
import os
import socket
from dataclasses import dataclass

import httptools

SECOND = 1_000_000_000
RECEIVED = 1 << 14


@dataclass
class Waiting:
    """What was received of the answer to a request."""

    request: int
    body: bytes = b""
    status: int = 0
    closing: bool = False


class Connection:
    """A socket that does not block, and the answer that it waits for."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self.waiting: Waiting | None = None
        self._complete = False
        self.open()

    def open(self) -> None:
        """Connect, also again; where nobody listens, the next `send` says so."""
        self._parser = httptools.HttpResponseParser(self)
        self.socket = socket.socket()
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(OSError):
            self.socket.connect(self.address)
        self.socket.setblocking(False)

    def send(self, request: int, message: bytes) -> None:
        """Send a request; raise OSError where the service hung up or does not read."""
        self.waiting = Waiting(request)
        self._complete = False
        if self.socket.send(message) < len(message):
            raise BlockingIOError("the service does not read its requests")

    def receive(self) -> Waiting | None:
        """Read what came; return the answer where it is whole, a status of 0 where it was cut."""
        try:
            data = self.socket.recv(RECEIVED)
        except BlockingIOError:
            return None
        except OSError:
            data = b""
        waiting = self.waiting
        if not data:
            self.waiting = None
            return waiting or Waiting(-1)
        self._parser.feed_data(data)
        if not self._complete or waiting is None:
            return None
        self.waiting = None
        return waiting

    def on_body(self, body: bytes) -> None:
        """Hear from httptools."""
        if self.waiting is not None:
            self.waiting.body += body

    def on_message_complete(self) -> None:
        """Hear from httptools; it knows the answer's head only until the next one's begins."""
        self._complete = True
        if self.waiting is not None:
            self.waiting.status = self._parser.get_status_code()
            self.waiting.closing = not self._parser.should_keep_alive()


class Timer:
    """A timer of the kernel, exact to some µs, to be polled like a socket."""

    _libc = ctypes.CDLL(None, use_errno=True)

    def __init__(self) -> None:
        self.handle = self._libc.timerfd_create(1, os.O_NONBLOCK)  # 1: CLOCK_MONOTONIC
        if self.handle < 0:
            raise OSError(ctypes.get_errno(), "no timer")
        self._times = (ctypes.c_long * 4)()

    def arm(self, when: int) -> None:
        """Fire at `when` (ns of the monotonic clock); 0 stops it."""
        self._times[2], self._times[3] = divmod(when, SECOND)
        self._libc.timerfd_settime(self.handle, 1, self._times, None)  # 1: an absolute time

    def close(self) -> None:
        """Give it back."""
        os.close(self.handle)
