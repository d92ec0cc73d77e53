"""The load generator: its schedule, its histogram, and that it hides no stall of a service."""

import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from benchmarks.serving.latency import histogram, latency
from benchmarks.serving.schedule import SECOND, schedule
from benchmarks.serving.sender import Sender
from benchmarks.serving.traffic import draw, requests
from tests.servers import free_port

HOST = "127.0.0.1"


@contextmanager
def floor(*stall: str) -> Iterator[int]:
    """A server that answers at once, but for one stall."""
    port = free_port()
    line = [sys.executable, "-m", "benchmarks.serving.floor", str(port), *stall]
    with subprocess.Popen(line) as process:
        try:
            _await(port)
            yield port
        finally:
            process.kill()


def _await(port: int) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            socket.create_connection((HOST, port)).close()
        except ConnectionRefusedError:
            assert time.monotonic() < until
            time.sleep(0.01)
        else:
            return


def test_a_fixed_schedule_spreads_its_requests_evenly() -> None:
    due = schedule(1000, 3)
    assert len(due) == 3000
    assert set(np.diff(due).tolist()) == {1_000_000}
    assert due[0] == 0


def test_poisson_arrivals_have_the_rate_and_no_memory() -> None:
    due = schedule(1000, 100, "poisson")
    gaps = np.diff(due)
    assert due[-1] < 100 * SECOND
    assert (gaps >= 0).all()
    assert len(due) == pytest.approx(100_000, rel=0.02)
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.02)
    assert not np.array_equal(due, schedule(1000, 100, "poisson", seed=2))


def test_the_histogram_keeps_three_digits() -> None:
    found = latency([k * 1_000_000 for k in range(1, 10_001)])
    assert found.count == 10_000
    for share, value in (
        (1.0, found.most),
        (0.5, found.p50),
        (0.99, found.p99),
        (0.999, found.p999),
    ):
        assert value == pytest.approx(share * 10_000, rel=1e-3)
    assert histogram([0, 10**15]).get_total_count() == 2


def test_a_stall_makes_every_request_late_that_was_due_in_it() -> None:
    """A generator that waits for answers would have sent four requests and called four late."""
    clicks = list(draw(150, 1, "run"))
    with floor("0.2", "1") as port:
        sent = Sender((HOST, port), requests(clicks, 1), schedule(100, 1.5), connections=4).run()
    assert sent.statuses == [200] * 150
    took = np.sort(sent.done - sent.due)[::-1] / SECOND
    late = np.arange(1, 96)  # the k-th request after the stall began waits for the rest of it
    assert (took[late] >= 1 - late / 100 - 0.011).all()
    assert ((sent.done - sent.sent)[sent.done - sent.due > SECOND // 2] < SECOND // 4).any(), (
        "most of them waited for a connection: only latencies from when they were due show it"
    )


def test_answers_find_their_requests_and_lost_ones_are_counted() -> None:
    clicks = list(draw(64, 1, "run"))
    with floor() as port:
        sent = Sender((HOST, port), requests(clicks, 8), schedule(100, 0.08), 2).run()
        assert sent.statuses == [200] * 8
        assert (sent.seen >= sent.due).all()
        assert (sent.sent >= sent.seen).all()
        assert (sent.done > sent.sent).all()
    gone = Sender((HOST, free_port()), requests(clicks, 8), schedule(100, 0.08), 2).run()
    assert gone.statuses == [0] * 8


def test_no_two_clicks_of_a_run_are_the_same_and_some_addresses_are_hot() -> None:
    clicks = list(draw(5000, 1, "run"))
    assert len({click["click_id"] for click in clicks}) == 5000
    counts = sorted(Counter(click["ip"] for click in clicks).values())
    assert counts[-1] > 50
    assert counts[len(counts) // 2] == 1
