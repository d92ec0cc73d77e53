"""The load generator: sends on schedule, whatever is still unanswered.

A request that finds every connection busy waits for one, and this counts: latencies start when a
request was due. `python -m benchmarks.serving.sender PLAN` is one run in a process of its own.
"""

import select
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.serving.connection import Connection, Timer, Waiting
from benchmarks.serving.schedule import SECOND, Ints

LEAD = SECOND // 10
PATIENCE = 10 * SECOND


@dataclass(frozen=True)
class Sent:
    """A run's requests, in order; times in ns of the monotonic clock.

    `due` as planned, `seen` when the generator took it up, `sent` when a connection was free,
    `done` when its answer was whole; each is the run's end where it never came to that, and then
    the status is 0.
    """

    due: Ints
    seen: Ints
    sent: Ints
    done: Ints
    statuses: Sequence[int]
    bodies: Sequence[bytes]
    processor_seconds: float


class Sender:
    """One run over some connections."""

    def __init__(
        self, address: tuple[str, int], messages: Sequence[bytes], due: Ints, connections: int
    ) -> None:
        self._messages = messages
        self._plan = due
        count = len(due)
        self._seen, self._sent, self._done = [0] * count, [0] * count, [0] * count
        self._statuses, self._bodies = [0] * count, [b""] * count
        self._idle = deque(Connection(address) for _ in range(connections))
        self._by_handle = {c.socket.fileno(): c for c in self._idle}
        self._backlog: deque[int] = deque()
        self._open = count
        self._poll = select.epoll()
        for handle in self._by_handle:
            self._poll.register(handle, select.EPOLLIN)

    def run(self, patience: int = PATIENCE) -> Sent:
        """Send everything, await every answer for `patience` ns, and return what happened."""
        used = time.process_time()
        start = time.monotonic_ns() + LEAD
        due = (self._plan + start).tolist()
        timer = Timer()
        self._poll.register(timer.handle, select.EPOLLIN)
        try:
            self._loop(due, timer, patience)
        finally:
            timer.close()
            self._poll.close()
            for connection in self._by_handle.values():
                connection.socket.close()
        end = time.monotonic_ns()
        seen, sent, done = (
            np.array([moment or end for moment in moments], np.int64)
            for moments in (self._seen, self._sent, self._done)
        )
        return Sent(
            self._plan + start,
            seen,
            sent,
            done,
            self._statuses,
            self._bodies,
            time.process_time() - used,
        )

    def _loop(self, due: Sequence[int], timer: Timer, patience: int) -> None:
        clock, poll, by_handle = time.monotonic_ns, self._poll.poll, self._by_handle
        first, count = 0, len(due)
        end = due[-1] + patience if due else 0
        if due:
            timer.arm(due[0])
        while self._open and clock() < end:
            for handle, _ in poll(1):
                if connection := by_handle.get(handle):
                    self._receive(connection)
            if first < count and due[first] <= clock():
                while first < count and due[first] <= (now := clock()):
                    self._seen[first] = now
                    self._backlog.append(first)
                    first += 1
                timer.arm(due[first] if first < count else 0)
            while self._backlog and self._idle:
                self._begin(self._backlog.popleft())

    def _begin(self, request: int) -> None:
        connection = self._idle.popleft()
        self._sent[request] = time.monotonic_ns()
        try:
            connection.send(request, self._messages[request])
        except OSError:
            self._end(connection, Waiting(request))

    def _receive(self, connection: Connection) -> None:
        answer = connection.receive()
        if answer is not None:
            self._end(connection, answer)

    def _end(self, connection: Connection, answer: Waiting) -> None:
        if (request := answer.request) >= 0:
            self._done[request] = time.monotonic_ns()
            self._statuses[request] = answer.status
            self._bodies[request] = answer.body
            self._open -= 1
            self._idle.append(connection)
        if answer.closing or not answer.status:
            self._reopen(connection)

    def _reopen(self, connection: Connection) -> None:
        del self._by_handle[connection.socket.fileno()]
        connection.socket.close()
        connection.open()
        self._by_handle[connection.socket.fileno()] = connection
        self._poll.register(connection.socket.fileno(), select.EPOLLIN)
