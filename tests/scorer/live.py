"""Clicks as the live service takes them, and what a test gives it in place of a lake."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from scorer.serving.clicks import Click
from scorer.serving.ports import Answer
from scorer.spec import Profile

Result = TypeVar("Result")
MINUTE = 60_000_000
NOON = 1_772_323_200_000_000 + 720 * MINUTE  # 2026-03-01T12:00Z


def live_click(number: int, **columns: object) -> Click:
    """A click of user u, session s and address i, where `columns` do not say otherwise."""
    some: dict[str, Any] = {
        "click_id": f"c{number}",
        "user_id": "u",
        "session_id": "s",
        "ip": "i",
        "device": "desktop",
        "logged_in": True,
        "advertiser_id": "a1",
        "campaign_id": "k1",
        "price_micros": 250_000,
    }
    return Click(**some | columns)


def run(test: Coroutine[Any, Any, Result]) -> Result:
    """Run a test's coroutine, for at most half a minute."""

    async def bounded() -> Result:
        async with asyncio.timeout(30):
            return await test

    return asyncio.run(bounded())


class ListLog:
    """A log that keeps its answers in a list."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.expected = 0

    def has_room(self) -> bool:
        return True

    def opened(self, arrived: int, count: int) -> None:
        self.expected += count

    def put(self, answers: Sequence[Answer], arrived: int) -> None:
        self.answers += answers


class NoProfiles:
    """Profiles without a snapshot."""

    loaded_at = 0

    def value(self, profile: Profile, key: str | None, ts: int) -> float:
        return profile.default
