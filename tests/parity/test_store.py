"""The live store on a real Redis, under several processes at once, equals the replay's engine."""

import asyncio
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import chain, islice
from multiprocessing import get_context
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from redis.exceptions import RedisError

from replay.features import stream
from replay.snapshot import Snapshot
from replay.span import Span
from scorer.serving.clicks import Click
from scorer.spec import Spec, Window, load_spec
from scorer.store.connecting import connect
from scorer.store.layout import Layout
from scorer.store.live_store import LiveStore, Stamped
from tests.lakes import make_lake
from tests.oracles.live import windowed
from tests.parity.traffic import LENGTH, SECOND, START, requests
from tests.parity.traffic import clicks as generated
from tests.servers import redis_server

CLICKS = 20_000
PROCESSES, CALLERS = 2, 4
SPEC = load_spec("default")
Columns = dict[str, NDArray[np.int32]]
Found = list[tuple[Click, Stamped]]


def drive(url: str, share: int) -> Found:
    """Send every PROCESSES-th request, several at once; return what became of the clicks."""
    return asyncio.run(_drive(url, share))


async def _drive(url: str, share: int) -> Found:
    client = connect(url)
    store = LiveStore(client, Layout.of([SPEC]))
    left = (batch for n, batch in enumerate(requests(CLICKS)) if n % PROCESSES == share)
    found = await asyncio.gather(*(_call(store, left) for _ in range(CALLERS)))
    await client.aclose()
    return list(chain(*found))


async def _call(store: LiveStore, left: Iterator[list[dict[str, Any]]]) -> Found:
    found: Found = []
    for batch in left:
        clicks = [Click(**row) for row in batch]
        found += zip(clicks, await _observed(store, clicks), strict=True)
    return found


async def _observed(store: LiveStore, clicks: Sequence[Click]) -> list[Stamped]:
    """Ask until the answer comes in time; clicks that were counted are remembered."""
    while True:
        try:
            return await store.observe(clicks)
        except (RedisError, OSError):
            await asyncio.sleep(0.1)


@pytest.fixture(scope="module")
def found() -> Found:
    """What became of the clicks."""
    with redis_server() as server, ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:
        calls = [pool.submit(drive, server.url, share) for share in range(PROCESSES)]
        return list(chain(*(call.result() for call in calls)))


@pytest.fixture(scope="module")
def log(found: Found, tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """The log that they make."""
    rows = [
        {
            **click.model_dump(exclude={"time"}),
            "ts": stamped.ts,
            "seq": stamped.seq,
            "store_epoch": stamped.epoch,
        }
        for click, stamped in found
    ]
    return Snapshot.take(make_lake(tmp_path_factory.mktemp("lake"), clicks=rows))


def live_values(found: Found) -> Columns:
    """Return feature → its values as the store gave them, in log order."""
    places = Layout.of([SPEC]).places(SPEC)
    stamps = sorted((stamped for _, stamped in found), key=lambda s: (s.ts, s.seq))
    table = np.array([stamped.values for stamped in stamps], np.int32)
    return {name: table[:, place] for name, place in zip(windowed(SPEC), places, strict=True)}


def replayed_values(log: Snapshot, spec: Spec) -> Columns:
    """Return feature → its values as the replay computes them, in log order."""
    pieces = list(stream(log, spec, Span(START, START + LENGTH)))
    table = np.concatenate([piece.facts for piece in pieces], axis=1)
    return dict(zip(windowed(SPEC), table, strict=False))


def test_every_click_has_a_place_of_its_own(found: Found) -> None:
    assert len({click.click_id for click, _ in found}) == CLICKS
    assert len({stamped.seq for _, stamped in found}) == CLICKS
    assert len({stamped.epoch for _, stamped in found}) == 1


def test_the_store_equals_the_replay(found: Found, log: Snapshot) -> None:
    live, replayed = live_values(found), replayed_values(log, SPEC)
    assert {name: int(np.sum(live[name] != replayed[name])) for name in live} == dict.fromkeys(
        live, 0
    )


@pytest.mark.parametrize("more", [-1, 1])
def test_the_traffic_tells_windows_apart_that_differ_by_a_bucket(
    found: Found, log: Snapshot, more: int
) -> None:
    live, others = live_values(found), replayed_values(log, _stretched(more))
    same = [name for name in live if name.startswith("gap") or np.all(live[name] == others[name])]
    assert same == [gap.name for gap in SPEC.gaps]


def _stretched(more: int) -> Spec:
    """Return the spec with windows so many buckets longer."""
    groups = SPEC.model_dump(include={"counts", "distincts"})
    for group in chain(*groups.values()):
        windows = map(Window.parse, group["windows"])
        group["windows"] = [
            f"{(w.length + more * w.resolution) // SECOND}s@{w.resolution // SECOND}s"
            for w in windows
        ]
    return Spec.model_validate({**SPEC.model_dump(), **groups})


def test_calls_that_are_given_up_give_nobody_a_wrong_answer() -> None:
    with redis_server() as server:
        asyncio.run(_give_up(server.url))


async def _give_up(url: str) -> None:
    """Begin calls and cancel most of them at any moment; then ask for each click again."""
    client, draw = connect(url), random.Random(0)
    store = LiveStore(client, Layout.of([SPEC]))
    clicks = [Click(**row) for row in islice(generated(CLICKS), 600)]
    answered: dict[str, Stamped] = {}

    async def one(click: Click) -> None:
        (answered[click.click_id],) = await store.observe([click])

    for start in range(0, len(clicks), 6):
        few = clicks[start : start + 6]
        calls = [asyncio.create_task(one(click)) for click in few]
        for call in draw.sample(calls, 4):
            for _ in range(draw.randrange(12)):
                await asyncio.sleep(0)
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
    again = dict(zip((c.click_id for c in clicks), await _observed(store, clicks), strict=True))
    await client.aclose()
    assert len(clicks) // 3 <= len(answered) < len(clicks)
    assert {k: again[k] for k in answered} == {
        k: stamped._replace(repeated=True) for k, stamped in answered.items()
    }
    assert len({stamped.seq for stamped in again.values()}) == len(clicks)
