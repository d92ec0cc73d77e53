"""Requests as they would come: a few people and addresses click a lot, most hardly ever.

Users and addresses are drawn by Zipf's law, so that the hottest address has some percent of all
clicks. Everything but the ids of clicks is drawn from the seed.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

USERS = 150_000
ADDRESSES = 60_000
USER_EXPONENT, ADDRESS_EXPONENT = 0.8, 0.9
ANONYMOUS = 0.15
DEVICES = ("desktop", "mobile_web", "mobile_app", "tablet")
AGENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/144.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/19.0 Safari",
    "Mozilla/5.0 (Linux; Android 14; SM-A556B) SamsungBrowser/28.0 Mobile Safari/537.36",
)
MIXED = 2_654_435_761
HEAD = (
    b"POST /v1/decisions HTTP/1.1\r\nhost: localhost\r\naccept: */*\r\n"
    b"content-type: application/json\r\ncontent-length: %d\r\n\r\n"
)
Click = Mapping[str, Any]


def user(number: int) -> str:
    """Name a user.

    >>> user(1)
    'u000000009e3779b1'
    """
    return f"u{number * MIXED % (1 << 48):016x}"


def address(number: int) -> str:
    """Write an address.

    >>> address(1)
    '158.55.121.177'
    """
    mixed = number * MIXED % (1 << 32)
    return f"{mixed >> 24}.{mixed >> 16 & 255}.{mixed >> 8 & 255}.{mixed & 255}"


def draw(count: int, seed: int, run: str) -> Iterator[Click]:
    """Draw clicks whose ids begin with `run`, which no other run's do."""
    rng = np.random.default_rng(seed)
    users = _zipf(rng, USERS, USER_EXPONENT, count).tolist()
    addresses = _zipf(rng, ADDRESSES, ADDRESS_EXPONENT, count).tolist()
    logged_in = (rng.random(count) >= ANONYMOUS).tolist()
    prices = rng.integers(20_000, 2_000_000, count).tolist()
    for k, (who, where, known) in enumerate(zip(users, addresses, logged_in, strict=True)):
        yield {
            "click_id": f"{run}{k:012d}",
            "user_id": user(who) if known else None,
            "session_id": f"s{who * 7 + k % 2:014d}",
            "ip": address(where),
            "user_agent": AGENTS[who % len(AGENTS)],
            "device": DEVICES[who % len(DEVICES)],
            "logged_in": known,
            "advertiser_id": f"adv-{who % 400:03d}",
            "campaign_id": f"cmp-{who % 3000:04d}",
            "ad_id": f"ad-{who % 3000:04d}-{k % 3}",
            "query": "espresso machine for beginners" if k % 3 else None,
            "price_micros": prices[k],
        }


def requests(clicks: Sequence[Click], batch: int) -> list[bytes]:
    """Write whole HTTP requests: of one click each, or of `batch` in a list."""
    if batch == 1:
        return [_request(click) for click in clicks]
    return [
        _request({"clicks": clicks[first : first + batch]})
        for first in range(0, len(clicks), batch)
    ]


def _request(document: Mapping[str, object]) -> bytes:
    body = json.dumps(document).encode()
    return HEAD % len(body) + body


def _zipf(rng: np.random.Generator, many: int, exponent: float, count: int) -> NDArray[np.int64]:
    """Draw numbers below `many`, the k-th as often as k to the power of minus `exponent`."""
    weights = np.cumsum(np.arange(1, many + 1) ** -exponent)
    found: NDArray[np.int64] = np.searchsorted(weights, rng.random(count) * weights[-1])
    return found
