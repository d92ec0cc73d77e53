"""Three days of clicks for a live service, in the order of their time, however many are asked for.

They come in bursts, so that windows of a minute to a day all hold clicks: a NAT address that
thousands of users share, a robot's session that never stops and keeps to whole seconds, people with
a few clicks each. Many times lie on the edges of windows, or next to them; many clicks share one.

>>> first, second = next(requests(3, seed=1)), next(requests(3, seed=1))
>>> first == second, sum(map(len, requests(1000, seed=2)))
(True, 1000)
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np

START = 1_709_056_800_000_000  # 2024-02-27T18:00Z, before a leap day and the end of a month
SECOND = 1_000_000
LENGTH = 3 * 86_400 * SECOND
BURST = 400  # clicks in one
SIZES = (1, 1, 1, 32, 64, 128, 256)  # of requests
EDGES = (1, 1, 1, 1, SECOND, 10 * SECOND, 60 * SECOND, 900 * SECOND)
DEVICES = ("desktop", "mobile_web", "mobile_app", "tablet", "tv")
LONG_AGENT = ("Mozilla/5.0 (\u00fcberlange Kennung \N{GRINNING FACE}) " * 61)[:2048]
MISSING = (("user_id", 0.08), ("session_id", 0.05), ("ip", 0.03), ("user_agent", 0.02))
KINDS = ("person", "nat", "robot")

Click = dict[str, Any]


def requests(count: int, seed: int = 0) -> Iterator[list[Click]]:
    """Yield so many clicks, cut into requests of one click to 256."""
    left = clicks(count, seed)
    sizes = np.random.default_rng((seed, 1))
    while batch := list(islice(left, int(sizes.choice(SIZES)))):
        yield batch


def clicks(count: int, seed: int = 0) -> Iterator[Click]:
    """Yield so many clicks; `time` is in µs and never goes back."""
    draw = np.random.default_rng((seed, 0))
    bursts = -(-count // BURST)
    edges = [START + LENGTH * burst // bursts for burst in range(bursts + 1)]
    for burst in range(bursts):
        rows = min(BURST, count - burst * BURST)
        yield from _burst(draw, burst, edges[burst], edges[burst + 1], rows)


def _burst(
    draw: np.random.Generator, burst: int, start: int, end: int, rows: int
) -> Iterator[Click]:
    length = min(end - start, int(draw.choice([20 * SECOND, 300 * SECOND, LENGTH])))
    times = start + draw.integers(0, length, rows)
    kinds = draw.choice(len(KINDS), rows, p=[0.55, 0.25, 0.2])
    edge = np.where(kinds == KINDS.index("robot"), SECOND, draw.choice(EDGES, rows))
    near = np.where(edge > SECOND, draw.choice([-1, 0, 1], rows), 0)
    times = np.clip(times - times % edge + near, start, end - 1)
    order = np.argsort(times, kind="stable")
    who = np.where(kinds == 1, draw.integers(0, 5000, rows), draw.zipf(1.3, rows) % 20_000)
    chances = draw.random((rows, 6))
    drawn = (times[order].tolist(), kinds[order].tolist(), who.tolist(), chances.tolist())
    for n, (time, kind, one, chance) in enumerate(zip(*drawn, strict=True)):
        click = _of(KINDS[kind], one, burst)
        click |= {column: None for k, (column, p) in enumerate(MISSING) if chance[k] < p}
        if chance[3] > 0.98:
            click["user_agent"] = LONG_AGENT
        yield {
            **click,
            "click_id": f"{burst}/{n}",
            "time": time,
            "logged_in": chance[4] < 0.4,
            "price_micros": int(chance[5] * 1_000_000),
        }


def _of(kind: str, one: int, burst: int) -> Click:
    """Return what a click of somebody says about who it is."""
    click: Click = {
        "user_id": f"user-{one}" if one % 5 else f"\u30e6\u30fc\u30b6\u30fc-{one}",
        "session_id": f"{kind}-{one}-{burst // 3}",
        "ip": f"10.1.{one // 256}.{one % 256}",
        "user_agent": f"agent {one % 7}",
        "device": DEVICES[one % 5],
        "advertiser_id": f"advertiser {one % 11}",
        "campaign_id": f"campaign {one % 23}",
        "ad_id": f"ad {one % 101}",
        "query": None if one % 3 else "k\u00f6lnisch wasser",
    }
    if kind == "nat":
        click["ip"] = "192.0.2.1"
    elif kind == "robot":
        click |= {"user_id": "robot", "session_id": "robot", "ip": f"198.51.100.{one % 3}"}
    return click
