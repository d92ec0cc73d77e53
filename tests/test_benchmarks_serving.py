"""The load generator: its schedule, its histogram, and that it hides no stall of a service."""

import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import pytest

from benchmarks.serving.cases import climb
from benchmarks.serving.latency import histogram, latency
from benchmarks.serving.measure import Row
from benchmarks.serving.run import Outcome, Plan, perform, summed_up
from benchmarks.serving.schedule import SECOND, schedule
from benchmarks.serving.sender import Sender, Sent
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
    with floor("0", "3") as port:
        stuck = Sender((HOST, port), requests(clicks, 8), schedule(100, 0.08), 2)
        sent = stuck.run(patience=SECOND // 2)
        assert sent.statuses == [0] * 8
        assert ((sent.done - sent.due) > SECOND // 2).all(), "it waited that long for each"
    gone = Sender((HOST, free_port()), requests(clicks, 8), schedule(100, 0.08), 2).run()
    assert gone.statuses == [0] * 8


def test_no_two_clicks_of_a_run_are_the_same_and_some_addresses_are_hot() -> None:
    clicks = list(draw(5000, 1, "run"))
    assert len({click["click_id"] for click in clicks}) == 5000
    counts = sorted(Counter(click["ip"] for click in clicks).values())
    assert counts[-1] > 50
    assert counts[len(counts) // 2] == 1


def measured(
    rate: float, in_time: int, statuses: Mapping[str, int] | None = None, wrong: int = 0
) -> Row:
    """A row of 1,000 requests."""
    instant = latency([1])
    outcome = Outcome(
        requests=1000,
        clicks=1000,
        seconds=1.0,
        latency=instant,
        slip=instant,
        waited=instant,
        statuses=statuses or {"200": 1000},
        reasons={},
        versions={},
        in_time=in_time,
        wrong=wrong,
        processor_seconds=0.0,
        worst=[],
    )
    return Row("row", 1, Plan(1, rate, 1), outcome, {}, [], [], [], 0, 0)


def test_a_row_is_met_by_decided_answers_in_time_and_by_nothing_else() -> None:
    assert measured(1, 999).met
    assert not measured(1, 998).met
    assert not measured(1, 999, statuses={"200": 999, "503": 1}).met
    assert not measured(1, 999, wrong=1).met


def test_undecided_answers_are_not_in_time_however_fast() -> None:
    with floor() as port:
        assert perform(Plan(port, rate=50, seconds=0.2)).wrong == 10
    body = b'{"click_id": "a", "decision": "%s", "reason": "scored"}'
    times = np.array([0, 0, 0], np.int64)
    bodies = [body % b"valid", body % b"undecided", b""]
    sent = Sent(times, times, times, times + 1_000_000, [200, 200, 503], bodies, 0.0)
    found = summed_up(Plan(1, 1, 1), sent, ["a", "a", "a"])
    assert (found.in_time, found.wrong) == (1, 0)
    assert found.reasons == {"valid: scored": 1, "undecided: scored": 1}
    assert found.statuses == {"200": 2, "503": 1}


def test_a_ladder_ends_after_two_misses_in_a_row() -> None:
    met = {1.0: 1000, 2.0: 0, 3.0: 1000, 4.0: 0, 5.0: 0, 6.0: 1000}
    plans = (Plan(1, rate, 1) for rate in met)
    rows = climb(plans, lambda plan: measured(plan.rate, met[plan.rate]))
    assert [row.plan.rate for row in rows] == [1, 2, 3, 4, 5]
