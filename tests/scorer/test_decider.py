"""The decider on a real Redis server: deadlines, a store that goes away, and what is logged."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import numpy as np
import pytest

from scorer.registry import ModelVersion, Registry
from scorer.scoring import Facts, Probabilities, Reals
from scorer.serving.decider import ROUND, Decider, Engine
from scorer.serving.models import serve_version
from scorer.spec import Profile
from scorer.store.connecting import connect
from scorer.store.layout import Layout
from scorer.store.live_store import LiveStore, Stamped
from tests.scorer.live import NOON, ListLog, NoProfiles, live_click, run
from tests.scorer.models import SPEC, stored
from tests.servers import RedisServer, redis_server

PATIENT = 20.0  # s: a deadline that no test meets


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    registry = Registry(tmp_path_factory.mktemp("models"))
    for number, name in enumerate(("v1", "v2")):
        stored(registry, name, seed=number)
    return registry


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with redis_server() as found:
        yield found


@dataclass
class Service:
    """A decider on a server, and its log."""

    decider: Decider
    log: ListLog
    versions: Registry

    def engine(self, name: str) -> Engine:
        model, layout = serve_version(self.versions, name, [], NoProfiles())
        return Engine(LiveStore(self.decider.engine.store._client, layout), model)


@asynccontextmanager
async def serving(
    server: RedisServer, versions: Registry, deadline: float = PATIENT, name: str | None = "v1"
) -> AsyncIterator[Service]:
    log = ListLog()
    async with connect(server.url) as client:
        engine = Engine(LiveStore(client, Layout.of([SPEC])), None)
        if name:
            model, layout = serve_version(versions, name, [], NoProfiles())
            engine = Engine(LiveStore(client, layout), model)
        decider = Decider(engine, log, deadline=deadline)
        try:
            yield Service(decider, log, versions)
        finally:
            await decider.close()
            # Whatever happened, every click went to the log once.
            assert log.expected == len(log.answers)
            assert len({answer.click.click_id for answer in log.answers}) == len(log.answers)


async def until(holds: Callable[[], bool]) -> None:
    while not holds():
        await asyncio.sleep(0.005)


def scripts_run(server: RedisServer) -> int:
    with server.client() as client:
        found = client.info("commandstats").get("cmdstat_evalsha", {"calls": 0})
        return int(found["calls"])


def replayed(version: ModelVersion, facts: list[int], reals: list[float]) -> float:
    columns = np.array([facts], np.int32).T, np.array([reals], np.float32).T
    return float(version.probabilities(*columns)[0])


def test_a_click_is_decided_as_a_replay_decides_it(server: RedisServer, versions: Registry) -> None:
    async def some() -> ListLog:
        async with serving(server, versions) as service:
            for number in range(5):
                await service.decider.decide([live_click(number, time=NOON + number)])
            return service.log

    version = versions.load("v1")
    for number, answer in enumerate(run(some()).answers):
        assert answer.facts is not None
        assert answer.reals is not None
        assert answer.facts[:4] == [number + 1] * 4
        assert answer.probability == pytest.approx(
            replayed(version, answer.facts, answer.reals), abs=1e-6
        )
        assert answer.decision == ("invalid" if (answer.probability or 0) >= 0.5 else "valid")
        assert (answer.reason, answer.source) == ("scored", "live")
        assert (answer.model_version, answer.spec_digest) == ("v1", SPEC.digest)
        assert (answer.threshold, answer.slice) == (0.5, "device=desktop,logged_in=true")


def test_what_is_answered_is_what_is_logged(server: RedisServer, versions: Registry) -> None:
    async def one() -> None:
        async with serving(server, versions) as service:
            answers = await service.decider.decide([live_click(1), live_click(2)])
        assert service.log.answers == answers

    run(one())


def test_a_batch_goes_to_the_accelerator_and_a_single_click_does_not(
    server: RedisServer, versions: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[str, int]] = []

    def on_a_stand_in(
        version: ModelVersion, facts: Facts, reals: Reals, device: str = "cpu"
    ) -> Probabilities:
        assert facts.dtype == np.int32
        assert reals.dtype == np.float32
        sent.append((device, facts.shape[1]))
        return version.scorer.probabilities(facts, reals)

    async def both() -> ListLog:
        async with serving(server, versions) as service:
            model = service.decider.engine.model
            assert model is not None
            model.on_accelerator = True
            await service.decider.decide([live_click(1 + i) for i in range(ROUND + 2)])
            await service.decider.decide([live_click(0)])
            return service.log

    monkeypatch.setattr(ModelVersion, "probabilities", on_a_stand_in)
    answers = run(both()).answers
    assert sent == [("cuda", ROUND), ("cuda", 2)]
    assert {answer.reason for answer in answers} == {"scored"}
    monkeypatch.undo()
    version = versions.load("v1")
    for answer in answers:
        expected = replayed(version, answer.facts or [], answer.reals or [])
        assert answer.probability == pytest.approx(expected, abs=1e-6)


def test_a_batch_has_the_time_of_all_its_rounds(server: RedisServer, versions: Registry) -> None:
    async def batch() -> list[str]:
        async with serving(server, versions, deadline=0.4) as service:
            await service.decider.decide([live_click(0)])
            with server.client() as client:
                client.client_pause(500, all=True)
            clicks = [live_click(1 + i) for i in range(ROUND + 1)]
            return [answer.reason for answer in await service.decider.decide(clicks)]

    assert run(batch()) == ["scored"] * (ROUND + 1)


def test_a_batch_is_answered_in_its_order(server: RedisServer, versions: Registry) -> None:
    async def batch() -> list[str]:
        async with serving(server, versions) as service:
            clicks = [live_click(i) for i in range(3 * ROUND + 1)]
            answers = await service.decider.decide(clicks)
            assert [a.facts and a.facts[0] for a in answers] == list(range(1, len(clicks) + 1))
            return [a.click.click_id for a in answers]

    assert run(batch()) == [f"c{i}" for i in range(3 * ROUND + 1)]
    assert scripts_run(server) == 4 + 1  # the first is told the script


def test_clicks_that_wait_go_together_and_single_ones_first(
    server: RedisServer, versions: Registry
) -> None:
    async def crowd() -> list[str]:
        async with serving(server, versions) as service:
            decider = service.decider
            await decider.decide([live_click(0)])
            batch = [live_click(100 + i) for i in range(ROUND)]
            singles = [[live_click(i)] for i in range(1, 11)]
            waiting = [decider.decide(clicks) for clicks in ([batch[0]], batch[1:], *singles)]
            await asyncio.gather(*waiting)
        return [a.click.click_id for a in sorted(service.log.answers, key=lambda a: a.seq)]

    order = run(crowd())
    assert order[:12] == ["c0", "c100", *(f"c{i}" for i in range(1, 11))]
    assert scripts_run(server) == 1 + 1 + 2


def test_a_late_store_is_answered_for_and_its_stamp_still_logged(
    server: RedisServer, versions: Registry
) -> None:
    async def late() -> ListLog:
        async with serving(server, versions, deadline=0.02) as service:
            with server.client() as client:
                client.client_pause(90, all=True)
            (told,) = await service.decider.decide([live_click(1)])
            assert (told.decision, told.reason, told.source) == (
                "undecided",
                "store_timeout",
                "unstamped",
            )
            assert service.log.answers == []
            await until(lambda: len(service.log.answers) == 1)
            return service.log

    (logged,) = run(late()).answers
    assert (logged.decision, logged.reason, logged.source) == ("undecided", "store_timeout", "live")
    assert logged.store_epoch
    assert logged.facts is not None
    assert (logged.model_version, logged.probability, logged.threshold) == (None, None, None)


def test_a_click_that_was_never_sent_is_not_counted(
    server: RedisServer, versions: Registry
) -> None:
    async def behind() -> ListLog:
        async with serving(server, versions, deadline=0.02) as service:
            with server.client() as client:
                client.client_pause(90, all=True)
            sent = asyncio.ensure_future(service.decider.decide([live_click(1)]))
            await until(lambda: service.log.expected == 1 and not service.decider._singles)
            await service.decider.decide([live_click(2)])
            await sent
            await until(lambda: len(service.log.answers) == 2)
            await until(lambda: not service.decider.breaker.is_open)
            service.decider._deadline = PATIENT
            (third,) = await service.decider.decide([live_click(3)])
            assert third.facts is not None
            assert third.facts[0] == 2  # itself and the first
            return service.log

    sources = {a.click.click_id: a.source for a in run(behind()).answers}
    assert sources == {"c1": "live", "c2": "unstamped", "c3": "live"}


def test_a_caller_that_hangs_up_does_not_undo_its_click(
    server: RedisServer, versions: Registry
) -> None:
    async def hanging_up() -> None:
        async with serving(server, versions) as service:
            calls = [
                asyncio.ensure_future(
                    service.decider.decide([live_click(100 * n + i) for i in some])
                )
                for n, some in enumerate((range(1), range(1), range(2 * ROUND)))
            ]
            await asyncio.sleep(0)
            for call in calls:
                call.cancel()
            await until(lambda: len(service.log.answers) == 2 + 2 * ROUND)
            assert {answer.source for answer in service.log.answers} == {"live"}

    run(hanging_up())


def test_a_store_that_dies_is_left_alone_and_found_again(
    server: RedisServer, versions: Registry
) -> None:
    async def outage() -> list[tuple[str, str]]:
        async with serving(server, versions) as service:
            decider = service.decider
            found = await decider.decide([live_click(1)])
            server.stop()
            found += await decider.decide([live_click(2)])
            assert decider.breaker.is_open
            found += await decider.decide([live_click(3)])
            server.start()
            await until(lambda: not decider.breaker.is_open)
            found += await decider.decide([live_click(4)])
            assert found[0].store_epoch != found[3].store_epoch
            assert [a.seq for a in found] == sorted(a.seq for a in found)
            return [(a.source, a.reason) for a in found]

    away = ("unstamped", "store_unavailable")
    assert run(outage()) == [("live", "scored"), away, away, ("live", "scored")]


def test_a_stuck_store_opens_the_breaker(server: RedisServer, versions: Registry) -> None:
    async def stuck() -> None:
        async with serving(server, versions, deadline=0.02) as service:
            decider = service.decider
            os.kill(server.process.pid, signal.SIGSTOP)
            try:
                (told,) = await decider.decide([live_click(1)])
                assert told.reason == "store_timeout"
                await until(lambda: decider.breaker.is_open)
                (told,) = await decider.decide([live_click(2)])
                assert told.reason == "store_unavailable"
                await until(lambda: len(service.log.answers) == 2)  # the first is given up
            finally:
                os.kill(server.process.pid, signal.SIGCONT)
            await until(lambda: not decider.breaker.is_open)
            decider._deadline = PATIENT
            (told,) = await decider.decide([live_click(3)])
            assert told.reason == "scored"

    run(stuck())


def test_a_full_store_is_told_apart_and_recovers(server: RedisServer, versions: Registry) -> None:
    async def full() -> None:
        async with serving(server, versions) as service:
            decider = service.decider
            with server.client() as client:
                client.config_set("maxmemory", "1")
                (told,) = await decider.decide([live_click(1)])
                assert (told.source, told.reason) == ("unstamped", "store_full")
                assert decider.breaker.is_open
                client.config_set("maxmemory", "0")
            await until(lambda: not decider.breaker.is_open)
            (told,) = await decider.decide([live_click(2)])
            assert told.reason == "scored"

    run(full())


def test_without_a_model_clicks_are_counted_and_undecided(
    server: RedisServer, versions: Registry
) -> None:
    async def none_yet() -> None:
        async with serving(server, versions, name=None) as service:
            (told,) = await service.decider.decide([live_click(1)])
            assert (told.decision, told.reason, told.source) == ("undecided", "no_model", "live")
            service.decider.use(service.engine("v1"))
            (told,) = await service.decider.decide([live_click(2)])
            assert told.facts is not None
            assert told.facts[0] == 2

    run(none_yet())


def test_a_model_is_swapped_between_rounds(server: RedisServer, versions: Registry) -> None:
    async def swapped() -> list[str | None]:
        async with serving(server, versions) as service:
            calls = []
            for number in range(40):
                if number == 20:
                    service.decider.use(service.engine("v2"))
                calls.append(asyncio.ensure_future(service.decider.decide([live_click(number)])))
                await asyncio.sleep(0.001)
            answers = [answer for call in calls for answer in await call]
            assert [a.facts and a.facts[0] for a in answers] == list(range(1, 41))
            assert len({a.store_epoch for a in answers}) == 1
            return [a.model_version for a in answers]

    names = run(swapped())
    assert names == sorted(names, key=str)
    assert set(names) == {"v1", "v2"}


def test_a_probability_that_is_no_number_decides_nothing(
    server: RedisServer, versions: Registry
) -> None:
    class Broken(NoProfiles):
        def value(self, profile: Profile, key: str | None, ts: int) -> float:
            return 0 if profile.is_flag else float("nan")

    async def broken() -> None:
        async with serving(server, versions) as service:
            model, _ = serve_version(versions, "v1", [], Broken())
            service.decider.use(Engine(service.decider.engine.store, model))
            (told,) = await service.decider.decide([live_click(1)])
            assert (told.decision, told.reason) == ("undecided", "no_probability")
            assert (told.probability, told.source) == (None, "live")

    run(broken())


def test_a_fault_of_ours_is_told_and_the_click_answered(
    server: RedisServer, versions: Registry
) -> None:
    class Faulty(LiveStore):
        async def observe(self, clicks: object) -> list[Stamped]:
            raise ZeroDivisionError

    async def faulty() -> list[object]:
        told: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, said: told.append(said))
        async with serving(server, versions) as service:
            store = Faulty(connect(server.url), Layout.of([SPEC]))
            service.decider.use(Engine(store, None))
            (answer,) = await service.decider.decide([live_click(1)])
            assert (answer.decision, answer.reason) == ("undecided", "store_unavailable")
        return told

    (said,) = run(faulty())
    assert "ZeroDivisionError" in repr(said)
