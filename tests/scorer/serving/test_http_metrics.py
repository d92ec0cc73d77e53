"""What Prometheus sees, of one worker and of several."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from scorer.serving.metrics import LABEL_LENGTH, OTHER, SLICES, VERSIONS, Metrics
from scorer.serving.ports import Answer
from scorer.serving.state import Health
from tests.scorer.serving.service import WAIT, Service, click, eventually, service

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture
def live() -> Iterator[Service]:
    with service() as running:
        yield running


def read(text: str) -> Series:
    """Return the value of every series."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def series(name: str, **labels: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return f"slidr_{name}", tuple(sorted(labels.items()))


def test_decisions_are_counted_by_known_slice_and_model(live: Service) -> None:
    live.post(click("a"))
    live.post({"clicks": [click("b"), click("c"), click("a"), {}]})
    live.post(click("d", device='"}\n# user text'))
    live.post(b"nonsense")
    live.client.get("/nowhere")
    live.raw(b"nonsense\r\n\r\n")
    found = read(live.client.get("/metrics").text)
    known = {"slice": "device=tv,logged_in=true", "model": "v1"}
    assert found[series("decisions_total", decision="valid", **known)] == 3
    assert found[series("decisions_total", decision="invalid", **known)] == 1
    other = {"slice": "other", "model": "v1"}
    assert found[series("decisions_total", decision="invalid", **other)] == 1
    assert found[series("repeated_clicks_total")] == 1
    assert found[series("decision_seconds_count")] == 3
    assert found[series("requests_total", path="decisions", status="200")] == 3
    assert found[series("requests_total", path="decisions", status="400")] == 1
    assert found[series("requests_total", path="other", status="404")] == 1
    assert found[series("requests_total", path="refused", status="400")] == 1
    problems = {"invalid": 1, "not-json": 1, "not-found": 1, "malformed-request": 1, "no-room": 0}
    for word, times in problems.items():
        assert found[series("problems_total", type=word)] == times
    assert "user text" not in live.client.get("/metrics").text


def test_the_latency_has_buckets_around_the_goal(live: Service) -> None:
    live.post(click())
    found = read(live.client.get("/metrics").text)
    for edge in ("0.0045", "0.005", "0.006", "+Inf"):
        assert series("decision_seconds_bucket", le=edge) in found


def test_the_worker_tells_how_it_stands(live: Service) -> None:
    found = read(live.client.get("/metrics").text)
    assert found[series("workers")] == found[series("workers_ready")] == 1
    assert found[series("model_workers", model="v1")] == 1
    assert found[series("profile_age_seconds")] == 1
    assert found[series("log_lag_seconds")] == 0.01
    assert found[series("store_breakers_open")] == 0
    live.state.found = Health(("no store",), None, 9.0, None, store_open=True)

    def is_seen() -> bool:
        now = read(live.client.get("/metrics").text)
        return now[series("store_breakers_open")] == 1 and now[series("connections")] == 1

    eventually(is_seen)
    found = read(live.client.get("/metrics").text)
    assert found[series("workers_ready")] == 0
    assert found[series("model_workers", model="v1")] == 0
    assert found[series("model_workers", model="none")] == 1
    assert found[series("profile_age_seconds")] == 9


def test_a_flood_of_slices_and_versions_makes_few_series() -> None:
    metrics = Metrics()
    for n in range(VERSIONS + 50):
        metrics.know(f"v{n}", {f"device=d{k},logged_in=true" for k in range(SLICES + 50)})
    metrics.know("v0", {"x" * (LABEL_LENGTH + 1)})
    for n in range(VERSIONS + 50):
        metrics.observe_answers([_answer(f"v{n}", "device=nobody")], 0.001)
    for k in range(5 * SLICES):
        metrics.observe_answers([_answer("v1", f"device=d{k},logged_in=true")], 0.001)
    lines = [line for line in metrics.render().decode().splitlines() if "decisions_total{" in line]
    assert len(lines) == VERSIONS + 1 + SLICES
    assert sum(f'model="{OTHER}"' in line for line in lines) == 1


def test_undecided_clicks_are_counted_by_reason() -> None:
    metrics = Metrics()
    metrics.observe_answers([_answer(None, None, "no_model")], 0.001)
    metrics.observe_answers([_answer(None, None, "no_model")] * 2 + [_answer("v", None)], 0.001)
    found = read(metrics.render().decode())
    assert found[series("undecided_total", reason="no_model")] == 3
    assert found[series("decisions_total", decision="undecided", slice=OTHER, model="none")] == 3


def _answer(version: str | None, slice_key: str | None, undecided: str | None = None) -> Answer:
    values: dict[str, Any] = dict.fromkeys(Answer.__slots__)
    decision = "undecided" if undecided else "valid"
    values |= {"decision": decision, "reason": undecided or "scored", "repeated": False}
    return Answer(**values | {"model_version": version, "slice": slice_key})


def test_any_worker_answers_for_all(tmp_path: Path) -> None:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        workers = [_worker(sockets[n], "ab"[n], tmp_path) for n in range(2)]
        urls = [f"http://127.0.0.1:{bound.getsockname()[1]}" for bound in sockets]
        try:
            for n, url in enumerate((urls[0], urls[1], urls[1])):
                answer = httpx.post(f"{url}/v1/decisions", json=click(f"c{n}"), timeout=WAIT)
                assert answer.status_code == 200
            texts = [httpx.get(f"{url}/metrics", timeout=WAIT).text for url in urls]
        finally:
            for worker in workers:
                worker.send_signal(signal.SIGTERM)
            printed = [json.loads(worker.communicate(timeout=WAIT)[0]) for worker in workers]
    assert printed == [["c0"], ["c1", "c2"]]
    for found in map(read, texts):
        by_model = {
            model: sum(
                value
                for (name, labels), value in found.items()
                if name == "slidr_decisions_total" and dict(labels)["model"] == model
            )
            for model in "ab"
        }
        assert by_model == {"a": 1, "b": 2}
        assert found[series("decision_seconds_count")] == 3
        assert found[series("workers")] == 2
        assert found[series("model_workers", model="a")] == 1


def _worker(bound: socket.socket, version: str, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.scorer.serving.worker", str(bound.fileno())]
    return subprocess.Popen(
        [*command, version, "0"],
        pass_fds=[bound.fileno()],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(folder)},
    )
