"""Timers: each rings once and in its time, none after it was cancelled, none for a held-up loop."""

import asyncio
import socket
import time

import uvloop

from scorer.serving.timer import LATE, Timer, Timers
from tests.scorer.live import run

TICK = 0.002  # s: the loop's clock, and a slow machine's


def test_timers_ring_in_the_order_of_their_times() -> None:
    async def three() -> list[str]:
        timers, rang = Timers(), list[str]()
        for name, delay in (("last", 0.03), ("first", 0.01), ("second", 0.02)):
            timers.after(delay, lambda name=name: rang.append(name))  # type: ignore[misc]
        await asyncio.sleep(0.005)
        assert rang == []
        await asyncio.sleep(0.2)
        return rang

    assert run(three()) == ["first", "second", "last"]


def test_a_cancelled_timer_is_silent() -> None:
    async def cancelled() -> list[int]:
        timers, rang = Timers(), list[int]()
        found = [timers.after(0.01, lambda n=n: rang.append(n)) for n in range(4)]  # type: ignore[misc]
        found[0].cancel()
        found[2].cancel()
        await asyncio.sleep(0.1)
        timers.after(0.005, lambda: rang.append(9))  # they go on after they have all rung
        await asyncio.sleep(0.1)
        return rang

    assert run(cancelled()) == [1, 3, 9]


def test_a_timer_may_cancel_or_set_another_as_it_rings() -> None:
    async def busy() -> list[str]:
        timers, rang = Timers(), list[str]()
        doomed = timers.after(0.02, lambda: rang.append("doomed"))

        def first() -> None:
            rang.append("first")
            doomed.cancel()
            timers.after(0.001, lambda: rang.append("next"))

        timers.after(0.01, first)
        await asyncio.sleep(0.1)
        return rang

    assert run(busy()) == ["first", "next"]


def test_what_came_while_the_loop_was_held_up_is_worked_on_first() -> None:
    async def held_up() -> list[str]:
        loop = asyncio.get_running_loop()
        timers, rang = Timers(), list[str]()
        came = loop.create_future()
        near, far = socket.socketpair()

        async def cancel(timer: Timer) -> None:
            await came
            timer.cancel()

        def hear() -> None:
            near.recv(1)
            came.set_result(None)

        with near, far:
            loop.add_reader(near, hear)
            working = loop.create_task(cancel(timers.after(0.01, lambda: rang.append("rang"))))
            await asyncio.sleep(0)
            far.send(b"x")
            time.sleep(0.01 + LATE + TICK)  # holds the loop up
            await working
            await asyncio.sleep(0.05)
            loop.remove_reader(near)
        return rang

    assert uvloop.run(held_up()) == []
