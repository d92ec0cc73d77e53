"""The live store on a real Redis, under several processes at once, equals the replay's engine."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import chain
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from replay.features import stream
from replay.snapshot import Snapshot
from replay.span import Span
from scorer.serving.clicks import Click
from scorer.spec import load_spec
from scorer.store.connecting import connect
from scorer.store.layout import Layout
from scorer.store.live_store import LiveStore, Stamped
from tests.lakes import make_lake
from tests.oracles.live import windowed
from tests.parity.traffic import LENGTH, START, requests
from tests.servers import redis_server

CLICKS = 20_000
PROCESSES, CALLERS = 2, 4
Found = list[tuple[Click, Stamped]]


def drive(url: str, share: int) -> Found:
    """Send every PROCESSES-th request, several at once; return what became of the clicks."""
    return asyncio.run(_drive(url, share))


async def _drive(url: str, share: int) -> Found:
    client = connect(url)
    store = LiveStore(client, Layout.of([load_spec("default")]))
    left = (batch for n, batch in enumerate(requests(CLICKS)) if n % PROCESSES == share)
    found = await asyncio.gather(*(_call(store, left) for _ in range(CALLERS)))
    await client.aclose()
    return list(chain(*found))


async def _call(store: LiveStore, left: Iterator[list[dict[str, Any]]]) -> Found:
    found: Found = []
    for batch in left:
        clicks = [Click(**row) for row in batch]
        found += zip(clicks, await store.observe(clicks), strict=True)
    return found


def test_the_store_under_several_processes_equals_the_replay(tmp_path: Path) -> None:
    with redis_server() as server, ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:
        calls = [pool.submit(drive, server.url, share) for share in range(PROCESSES)]
        found = list(chain(*(call.result() for call in calls)))
    assert len({stamped.seq for _, stamped in found}) == CLICKS
    assert len({stamped.epoch for _, stamped in found}) == 1
    assert not any(stamped.repeated for _, stamped in found)
    lake = make_lake(
        tmp_path,
        clicks=[
            {
                **click.model_dump(exclude={"time"}),
                "ts": stamped.ts,
                "seq": stamped.seq,
                "store_epoch": stamped.epoch,
            }
            for click, stamped in found
        ],
    )
    spec = load_spec("default")
    places = Layout.of([spec]).places(spec)
    live = {click.click_id: stamped.values or [] for click, stamped in found}
    asked = Span(START, START + LENGTH)
    for piece in stream(Snapshot.take(lake), spec, asked):
        ids = piece.clicks.column("click_id").to_pylist()
        here = np.array([live.pop(i) for i in ids], np.int32).reshape(len(ids), -1)
        for name, place, wanted in zip(windowed(spec), places, piece.facts, strict=False):
            wrong = np.flatnonzero(here[:, place] != wanted)
            assert not len(wrong), f"{name} differs for {len(wrong)} clicks, as {ids[wrong[0]]}"
    assert not live, f"{len(live)} clicks are not in the log"
