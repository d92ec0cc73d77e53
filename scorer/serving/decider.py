"""Decides clicks: one round trip to the live store and one pass of the model, by a deadline.

Clicks that come while a call to the store is under way go with the next one: a round. A round has
at most `ROUND` clicks, single ones before those of batches, so that no batch holds up a click. The
store has one round at a time, so that it takes them in order, and gets the next before the one that
it has answered is scored. What is late is answered `undecided` at its deadline; its stamp, if it
comes within a second, still goes to the log, for the store has counted the click.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from redis.exceptions import OutOfMemoryError, RedisError

from scorer.serving.answers import FULL, LATE, UNAVAILABLE, Unstamped, late, now, stamped_answers
from scorer.serving.breaker import Breaker
from scorer.serving.clicks import Click
from scorer.serving.models import ServedModel
from scorer.serving.ports import Answer, DecisionLog
from scorer.serving.timer import Timer, Timers
from scorer.store.live_store import LiveStore, Stamped

ROUND = 16  # clicks
OVERLAP = 2  # rounds that are worked on: one by the store, one by the model
STUCK = 0.1  # s without an answer after which the store is left alone


@dataclass(frozen=True)
class Engine:
    """What decides: a store, and a version whose counters its layout keeps (or none yet)."""

    store: LiveStore
    model: ServedModel | None


@dataclass(eq=False, slots=True)
class _Part:
    """Clicks of one request that go to the store together; its caller waits for the answers."""

    clicks: Sequence[Click]
    arrived: int
    answers: asyncio.Future[list[Answer]]
    sent: bool = False
    answered: bool = False  # or its caller was, at the deadline
    deadline: Timer | None = None

    def answer(self, answers: list[Answer]) -> None:
        """Answer the caller, who may have hung up."""
        self.answered = True
        if self.deadline is not None:
            self.deadline.cancel()
        if not self.answers.done():
            self.answers.set_result(answers)


class Decider:
    """Implements `ports.Decider` on a live store and a model."""

    def __init__(self, engine: Engine, log: DecisionLog, *, deadline: float = 0.004) -> None:
        """`deadline` is how long a click waits for its answer, in s."""
        self.breaker = Breaker(lambda: self.engine.store.probe())
        self.engine = engine
        self._log = log
        self._deadline = deadline
        self._singles: deque[_Part] = deque()
        self._batches: deque[_Part] = deque()
        self._turn = asyncio.Lock()  # to ask the store
        self._working: set[asyncio.Task[None]] = set()
        self._unstamped = Unstamped()
        self._timers = Timers()
        self._unlogged: list[tuple[list[Answer], int]] = []

    def use(self, engine: Engine) -> None:
        """Decide with this from the next round on."""
        self.engine = engine

    async def decide(self, clicks: Sequence[Click]) -> list[Answer]:
        """Decide each click, in order; a batch has as many deadlines' time as it takes rounds."""
        arrived = now()
        self._log.opened(arrived, len(clicks))
        if self.breaker.is_open:
            answers = self._unstamped.answers(clicks, UNAVAILABLE)
            self._log.put(answers, arrived)
            return answers
        lane = self._singles if len(clicks) == 1 else self._batches
        starts = range(0, len(clicks), ROUND)
        parts = [
            self._queued(lane, clicks[at : at + ROUND], arrived, len(starts) * self._deadline)
            for at in starts
        ]
        if len(self._working) < OVERLAP:
            task = asyncio.get_running_loop().create_task(self._work())
            self._working.add(task)
            task.add_done_callback(self._working.discard)
        return [answer for part in parts for answer in await part.answers]

    async def close(self) -> None:
        """Wait until it is known what became of every click, and stop."""
        if self._working:
            await asyncio.wait(self._working)
        self._write_log()
        await self.breaker.close()

    def _queued(
        self, lane: deque[_Part], clicks: Sequence[Click], arrived: int, patience: float
    ) -> _Part:
        part = _Part(clicks, arrived, asyncio.get_running_loop().create_future())
        part.deadline = self._timers.after(patience, lambda: self._expire(part))
        lane.append(part)
        return part

    def _expire(self, part: _Part) -> None:
        """Answer a part whose deadline has come; the store never hears of one not sent yet."""
        answers = self._unstamped.answers(part.clicks, LATE)
        part.answer(answers)
        if not part.sent:
            self._log.put(answers, part.arrived)

    async def _work(self) -> None:
        """Take rounds until nothing waits."""
        while self._singles or self._batches:
            await self._round()

    def _next_round(self) -> list[_Part]:
        parts: list[_Part] = []
        room = ROUND
        for lane in (self._singles, self._batches):
            while lane and len(lane[0].clicks) <= room:
                part = lane.popleft()
                if not part.answered:
                    part.sent = True
                    parts.append(part)
                    room -= len(part.clicks)
        return parts

    async def _round(self) -> None:
        """Decide some parts together; whatever happens, each is answered and logged."""
        parts: list[_Part] = []
        found: list[Answer] = []
        reason = UNAVAILABLE
        try:
            async with self._turn:
                parts = self._next_round()
                engine, clicks = self.engine, [click for part in parts for click in part.clicks]
                stamps = await self._asked(engine, clicks)
            if self._singles or self._batches:
                await asyncio.sleep(0)  # the other one asks the store
            found = await _decided(engine.model, clicks, stamps)
        except OutOfMemoryError:
            reason = FULL
        except (RedisError, OSError):
            pass
        finally:
            if found or not parts:
                self._settle(parts, found)
            else:
                self._fail(parts, reason)

    async def _asked(self, engine: Engine, clicks: Sequence[Click]) -> list[Stamped]:
        stuck = self._timers.after(max(STUCK, self._deadline), self.breaker.failed)
        try:
            return await engine.store.observe(clicks) if clicks else []
        finally:
            stuck.cancel()

    def _settle(self, parts: Sequence[_Part], found: Sequence[Answer]) -> None:
        """Answer the parts whose callers still wait; log all with their stamps."""
        at = 0
        for part in parts:
            answers = list(found[at : at + len(part.clicks)])
            at += len(answers)
            if part.answered:
                answers = [late(answer) for answer in answers]
            else:
                part.answer(answers)
            self._unlogged.append((answers, part.arrived))
        # In its next turn the loop runs the callers and sends their answers: log in the one after.
        loop = asyncio.get_running_loop()
        loop.call_soon(loop.call_soon, self._write_log)

    def _write_log(self) -> None:
        """Log what was answered; only now, so that no answer waits for it."""
        for answers, arrived in self._unlogged:
            self._log.put(answers, arrived)
        self._unlogged.clear()

    def _fail(self, parts: Sequence[_Part], reason: str) -> None:
        """Give up the parts that were sent, and those that wait behind them."""
        self.breaker.failed()
        waiting = [
            part for lane in (self._singles, self._batches) for part in lane if not part.answered
        ]
        self._singles.clear()
        self._batches.clear()
        for part in [*parts, *waiting]:
            answers = self._unstamped.answers(part.clicks, LATE if part.answered else reason)
            self._log.put(answers, part.arrived)
            if not part.answered:
                part.answer(answers)


async def _decided(
    model: ServedModel | None, clicks: Sequence[Click], stamps: Sequence[Stamped]
) -> list[Answer]:
    if model is not None and model.on_accelerator and len(clicks) > 1:
        return await asyncio.to_thread(stamped_answers, model, clicks, stamps)
    return stamped_answers(model, clicks, stamps)
