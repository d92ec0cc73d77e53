"""Where a single click's time goes: `python -m benchmarks.serving.stages URL HOME VERSION CLICKS`.

The service's own code, stage by stage, each in a loop of its own over the same clicks. So nothing
waits for anything else, and no stage is timed inside the service, where it would slow it down. What
an end-to-end figure has beyond their sum is uvicorn, the kernel, the network and the generator.
"""

import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import torch
import uvloop
from starlette.types import ASGIApp, Message

from benchmarks.serving.latency import Latency, latency
from benchmarks.serving.traffic import draw
from replay.live.profiles import LiveProfiles
from scorer.registry import Registry
from scorer.serving.answers import stamped_answers
from scorer.serving.app import create_app
from scorer.serving.bodies import read_body
from scorer.serving.clicks import Click
from scorer.serving.metrics import Metrics
from scorer.serving.models import Featured, ServedModel, serve_version
from scorer.serving.ports import Answer
from scorer.serving.state import Health
from scorer.store.connecting import connect
from scorer.store.live_store import LiveStore, Stamped

NAMESPACE = "stages"
T = TypeVar("T")
R = TypeVar("R")
SCOPE = {
    "type": "http",
    "method": "POST",
    "path": "/v1/decisions",
    "root_path": "",
    "headers": [(b"content-type", b"application/json")],
}


@dataclass(frozen=True)
class Stage:
    """One stage, on one click at a time; `processor` is this process's mean time, µs."""

    name: str
    took: Latency
    processor: float

    @classmethod
    def read(cls, text: str) -> "list[Stage]":
        """Read what a process of this module printed."""
        return [cls(**found | {"took": Latency(**found["took"])}) for found in json.loads(text)]


class Ready:
    """A decider that has its answers already, of a service that is well."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        self._answers = {answer.click.click_id: answer for answer in answers}

    async def decide(self, clicks: Sequence[Click]) -> list[Answer]:
        """Return the answers."""
        return [self._answers[click.click_id] for click in clicks]

    def health(self) -> Health:
        """Be well."""
        return Health((), None, None, None, store_open=False)

    def has_room(self) -> bool:
        """Have room."""
        return True


async def timed(
    name: str, inputs: Sequence[T], work: Callable[[T], Awaitable[R]]
) -> tuple[Stage, list[R]]:
    """Do the work on each input, one after the other."""
    took, found = [], []
    used = time.thread_time()
    for each in inputs:
        before = time.perf_counter_ns()
        found.append(await work(each))
        took.append(time.perf_counter_ns() - before)
    used = time.thread_time() - used
    return Stage(name, latency(took), used / len(inputs) * 1e6), found


async def stages(model: ServedModel, store: LiveStore, count: int) -> list[Stage]:
    """Time every stage."""

    async def parse(body: bytes) -> Click:
        return read_body(body, None).clicks[0]

    async def observe(click: Click) -> Stamped:
        return (await store.observe([click]))[0]

    async def featured(pair: tuple[Click, Stamped]) -> Featured:
        found = model.featured(pair[0], pair[1].values, pair[1].ts)
        if found is None:
            raise ValueError(f"no features of {pair[0].click_id}")
        return found

    async def score(one: Featured) -> None:
        model.score([one])

    async def decide(pair: tuple[Click, Stamped]) -> Answer:
        return stamped_answers(model, [pair[0]], [pair[1]])[0]

    bodies = [json.dumps(click).encode() for click in draw(count, 6, uuid4().hex[:8])]
    parsing, clicks = await timed("parse", bodies, parse)
    await observe(clicks[0])
    storing, stamps = await timed("store", clicks, observe)
    pairs = list(zip(clicks, stamps, strict=True))
    featuring, features = await timed("features", pairs, featured)
    scoring, _ = await timed("score", features, score)
    deciding, answers = await timed("features, score, answer", pairs, decide)
    ready = Ready(answers)
    app = create_app(ready, ready, Metrics(), simulated_time=False)
    serving, _ = await timed("parse, reply, metrics", bodies, lambda body: _serve(app, body))
    return [parsing, storing, featuring, scoring, deciding, serving]


async def _serve(app: ASGIApp, body: bytes) -> None:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        pass

    await app(dict(SCOPE), receive, send)


async def _main(url: str, home: str, version: str, count: str) -> None:
    profiles = LiveProfiles(Path(home) / "spool")
    profiles.refresh()
    model, layout = serve_version(Registry(Path(home) / "models"), version, [], profiles)
    client = connect(url)
    found = await stages(model, LiveStore(client, layout, NAMESPACE), int(count))
    await client.aclose()
    print(json.dumps([asdict(stage) for stage in found]))


if __name__ == "__main__":
    torch.set_num_threads(1)
    uvloop.run(_main(*sys.argv[1:]))
