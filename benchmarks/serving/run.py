"""One load, in a process of its own: `python -m benchmarks.serving.run PLAN`, a JSON document.

The collector is off and everything drawn before the first request is sent. Answers are read after
the last one, so that looking into them costs the run nothing.
"""

import gc
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import uuid4

from benchmarks.serving.latency import Latency, latency
from benchmarks.serving.schedule import Arrivals, schedule
from benchmarks.serving.sender import Sender, Sent
from benchmarks.serving.traffic import draw, requests

HOST = "127.0.0.1"
LIMIT = 5.0  # ms


@dataclass(frozen=True)
class Plan:
    """What to send; `rate` is in requests a second, each of `batch` clicks."""

    port: int
    rate: float
    seconds: float
    batch: int = 1
    arrivals: Arrivals = "fixed"
    connections: int = 32
    seed: int = 1


@dataclass(frozen=True)
class Outcome:
    """What came of it; latencies start when a request was due.

    `slip` is how late the generator itself took a request up, `waited` how long one then waited
    for a free connection. `reasons` counts clicks, `statuses` requests, 0 for those without an
    answer. `in_time` counts requests whose clicks were all decided, and answered within 5 ms: an
    `undecided` never is. `versions` tells when the first and last answer of each model version
    was whole, ns of the monotonic clock. `wrong` counts clicks whose answer names another click.
    `worst` are the ten slowest: when they were due (s after the first) and what they took (ms).
    """

    requests: int
    clicks: int
    seconds: float
    latency: Latency
    slip: Latency
    waited: Latency
    statuses: Mapping[str, int]
    reasons: Mapping[str, int]
    versions: Mapping[str, tuple[int, int]]
    in_time: int
    wrong: int
    processor_seconds: float
    worst: list[tuple[float, float]]


def start(plan: Plan) -> "subprocess.Popen[str]":
    """Begin a run; return when it begins to send. `finish` waits for its end."""
    line = [sys.executable, "-m", "benchmarks.serving.run", json.dumps(asdict(plan))]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)
    if process.stdout is not None:
        process.stdout.readline()
    return process


def finish(process: "subprocess.Popen[str]") -> Outcome:
    """Wait for a run's end and return what came of it."""
    said, _ = process.communicate()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, "benchmarks.serving.run")
    found = json.loads(said)
    for name in ("latency", "slip", "waited"):
        found[name] = Latency(**found[name])
    return Outcome(**found)


def perform(plan: Plan) -> Outcome:
    """Send, wait, look."""
    due = schedule(plan.rate, plan.seconds, plan.arrivals, plan.seed)
    clicks = list(draw(len(due) * plan.batch, plan.seed, uuid4().hex[:8]))
    messages = requests(clicks, plan.batch)
    ids = [click["click_id"] for click in clicks]
    del clicks
    sender = Sender((HOST, plan.port), messages, due, plan.connections)
    gc.collect()
    gc.freeze()
    gc.disable()
    print("sending", flush=True)
    sent = sender.run()
    return summed_up(plan, sent, ids)


def summed_up(plan: Plan, sent: Sent, ids: Sequence[str]) -> Outcome:
    """Say what came of a run; `ids` are those of its clicks, in order."""
    reasons: Counter[str] = Counter()
    versions: dict[str, tuple[int, int]] = {}
    wrong = in_time = 0
    done, took = sent.done.tolist(), ((sent.done - sent.due) / 1e6).tolist()
    for k, body in enumerate(sent.bodies):
        answers = _answers(sent.statuses[k], body)
        decided = len(answers) == plan.batch
        for place, answer in enumerate(answers):
            decision = answer.get("decision", "problem")
            decided &= decision in ("valid", "invalid")
            reasons[f"{decision}: {answer.get('reason')}"] += 1
            wrong += answer["click_id"] != ids[k * plan.batch + place]
            if version := answer.get("model_version"):
                first, last = versions.get(version, (done[k], done[k]))
                versions[version] = min(first, done[k]), max(last, done[k])
        in_time += decided and took[k] < LIMIT
    worst = sorted(range(len(took)), key=lambda k: -took[k])[:10]
    return Outcome(
        requests=len(took),
        clicks=len(ids),
        seconds=float(sent.done.max() - sent.due[0]) / 1e9,
        latency=latency((sent.done - sent.due).tolist()),
        slip=latency((sent.seen - sent.due).tolist()),
        waited=latency((sent.sent - sent.seen).tolist()),
        statuses={str(k): n for k, n in Counter(sent.statuses).items()},
        reasons=dict(reasons),
        versions=versions,
        in_time=in_time,
        wrong=wrong,
        processor_seconds=sent.processor_seconds,
        worst=[((int(sent.due[k]) - int(sent.due[0])) / 1e9, took[k]) for k in worst],
    )


def _answers(status: int, body: bytes) -> list[dict[str, Any]]:
    if status != 200:
        return []
    document = json.loads(body)
    answers: list[dict[str, Any]] = document.get("decisions", [document])
    return answers


if __name__ == "__main__":
    print(json.dumps(asdict(perform(Plan(**json.loads(sys.argv[1]))))))
