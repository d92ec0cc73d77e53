"""Decides clicks: one round trip to the live store and one pass of the model, by a deadline.

Clicks that come while a call to the store is under way go with the next one: a round. A round has
at most `ROUND` clicks, single ones before those of batches, so that no batch holds up a click. What
is late is answered `undecided` at its deadline; its stamp, should it come within a second, still
goes to the log, for the store has counted the click.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from redis.exceptions import OutOfMemoryError, RedisError

from scorer.scoring import SERVED_ROWS
from scorer.serving.answers import FULL, LATE, UNAVAILABLE, Unstamped, late, now, stamped_answers
from scorer.serving.breaker import Breaker
from scorer.serving.clicks import Click
from scorer.serving.models import ServedModel
from scorer.serving.ports import Answer, DecisionLog
from scorer.serving.timer import Timer
from scorer.store.live_store import LiveStore

ROUND = SERVED_ROWS
STUCK = 0.1  # s without an answer after which the store is left alone


@dataclass(frozen=True)
class Engine:
    """What decides: a store, and a version whose counters its layout keeps (or none yet)."""

    store: LiveStore
    model: ServedModel | None


@dataclass(eq=False, slots=True)
class _Part:
    """Clicks of one request that go to the store together."""

    clicks: Sequence[Click]
    arrived: int
    answers: asyncio.Future[list[Answer]]
    sent: bool = False

    @property
    def late(self) -> bool:
        """Whether its caller was answered already."""
        return self.answers.done()


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
        self._working: asyncio.Task[None] | None = None
        self._unstamped = Unstamped()

    def use(self, engine: Engine) -> None:
        """Decide with this from the next round on."""
        self.engine = engine

    async def decide(self, clicks: Sequence[Click]) -> list[Answer]:
        """Decide each click, in order; a batch has a deadline more for each further round."""
        arrived = now()
        self._log.opened(arrived, len(clicks))
        if self.breaker.is_open:
            answers = self._unstamped.answers(clicks, UNAVAILABLE)
            self._log.put(answers, arrived)
            return answers
        lane = self._singles if len(clicks) == 1 else self._batches
        parts = [
            self._queued(lane, clicks[at : at + ROUND], arrived, 1 + at // ROUND)
            for at in range(0, len(clicks), ROUND)
        ]
        if self._working is None:
            self._working = asyncio.get_running_loop().create_task(self._work())
        # A caller that hangs up does not undo its clicks.
        return [answer for part in parts for answer in await asyncio.shield(part.answers)]

    async def close(self) -> None:
        """Wait until it is known what became of every click, and stop."""
        if self._working is not None:
            await asyncio.wait([self._working])
        await self.breaker.close()

    def _queued(
        self, lane: deque[_Part], clicks: Sequence[Click], arrived: int, rounds: int
    ) -> _Part:
        part = _Part(clicks, arrived, asyncio.get_running_loop().create_future())
        timer = Timer(rounds * self._deadline, lambda: self._expire(part))
        part.answers.add_done_callback(lambda _: timer.cancel())
        lane.append(part)
        return part

    def _expire(self, part: _Part) -> None:
        """Answer a part whose deadline has come; the store never hears of one not sent yet."""
        if part.late:  # answered in this very moment
            return
        answers = self._unstamped.answers(part.clicks, LATE)
        part.answers.set_result(answers)
        if not part.sent:
            self._log.put(answers, part.arrived)

    async def _work(self) -> None:
        """Send rounds until nothing waits."""
        try:
            while parts := self._next_round():
                await self._round(parts)
        finally:
            self._working = None

    def _next_round(self) -> list[_Part]:
        parts: list[_Part] = []
        room = ROUND
        for lane in (self._singles, self._batches):
            while lane and len(lane[0].clicks) <= room:
                part = lane.popleft()
                if not part.late:
                    part.sent = True
                    parts.append(part)
                    room -= len(part.clicks)
        return parts

    async def _round(self, parts: Sequence[_Part]) -> None:
        """Decide some parts together; whatever happens, each is answered and logged."""
        found: list[Answer] = []
        reason = UNAVAILABLE
        stuck = Timer(STUCK, self.breaker.failed)
        try:
            found = await self._decided([click for part in parts for click in part.clicks])
        except OutOfMemoryError:
            reason = FULL
        except (RedisError, OSError):
            pass
        finally:
            stuck.cancel()
            if found:
                self._settle(parts, found)
            else:
                self._fail(parts, reason)

    async def _decided(self, clicks: Sequence[Click]) -> list[Answer]:
        engine = self.engine
        stamps = await engine.store.observe(clicks)
        if engine.model is not None and engine.model.on_accelerator and len(clicks) > 1:
            return await asyncio.to_thread(stamped_answers, engine.model, clicks, stamps)
        return stamped_answers(engine.model, clicks, stamps)

    def _settle(self, parts: Sequence[_Part], found: Sequence[Answer]) -> None:
        """Answer the parts whose callers still wait; log all with their stamps."""
        at = 0
        for part in parts:
            answers = list(found[at : at + len(part.clicks)])
            at += len(answers)
            if part.late:
                answers = [late(answer) for answer in answers]
            else:
                part.answers.set_result(answers)
            self._log.put(answers, part.arrived)

    def _fail(self, parts: Sequence[_Part], reason: str) -> None:
        """Give up the parts that were sent, and those that wait behind them."""
        self.breaker.failed()
        waiting = [
            part for lane in (self._singles, self._batches) for part in lane if not part.late
        ]
        self._singles.clear()
        self._batches.clear()
        for part in [*parts, *waiting]:
            answers = self._unstamped.answers(part.clicks, LATE if part.late else reason)
            self._log.put(answers, part.arrived)
            if not part.late:
                part.answers.set_result(answers)
