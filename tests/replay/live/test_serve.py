"""`replay serve` as a whole: its processes, a real Redis, a real lake."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from recovery.production import promote, rollback
from replay.lake import Lake
from replay.production import models_folder
from replay.snapshot import Snapshot, connect
from replay.span import now_micros
from tests.lakes import add_rows, make_lake
from tests.replay.live.services import CLICK, PATIENCE, SLOW, Service, ask, service, until
from tests.servers import RedisServer, redis_server
from tests.versions import BOTH, at_least


def put(lake: Lake, version: str) -> None:
    promote(lake, version, "test", "because", {}, now_micros())


def logged(lake: Lake, table: str) -> list[str]:
    """Return the click ids of a table, with repeats."""
    snapshot = Snapshot.take(lake)
    with connect(1) as connection:
        rows = connection.sql(f"SELECT click_id FROM {snapshot.source(table)}").fetchall()
    return [str(row[0]) for row in rows]


@dataclass
class Load:
    """Clicks, one after the other on one connection, until told to stop."""

    running: Service
    name: str
    answered: list[dict[str, Any]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    stop: Event = field(default_factory=Event)

    def run(self) -> None:
        connection = self.running.connect()
        while not self.stop.is_set():
            click_id = f"{self.name}-{len(self.answered) + len(self.failed)}"
            try:
                self.answered.append(ask(connection, {"click_id": click_id, **CLICK}))
            except (OSError, AssertionError) as exc:
                self.failed.append(f"{click_id}: {exc!r}")
                connection.close()
            time.sleep(0.005)
        connection.close()

    def saw(self, version: str) -> bool:
        return any(answer["model_version"] == version for answer in self.answered[-20:])


def go_on(made: list[Load], by: int) -> None:
    """Wait until each load has been answered more often."""
    goals = {load.name: len(load.answered) + by for load in made}
    until(lambda: all(len(load.answered) >= goals[load.name] for load in made), "answers")


@contextmanager
def loads(running: Service, name: str, count: int = 2) -> Iterator[list[Load]]:
    made = [Load(running, f"{name}{number}") for number in range(count)]
    threads = [Thread(target=load.run) for load in made]
    for thread in threads:
        thread.start()
    try:
        yield made
    finally:
        for load in made:
            load.stop.set()
        for thread in threads:
            thread.join(PATIENCE)


@dataclass
class Setting:
    lake: Lake
    spool: Path
    redis: RedisServer
    running: Service
    answered: list[str] = field(default_factory=list)

    def took(self, made: list[Load]) -> None:
        self.answered += [str(answer["click_id"]) for load in made for answer in load.answered]


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setting]:
    """One service of two workers, for the tests in their order; the last of them stops it."""
    home, spool = tmp_path_factory.mktemp("lake"), tmp_path_factory.mktemp("spool")
    rows = [{"key": "old", "valid_from": 1, "age": 1.0}]
    lake = make_lake(home, profiles_user=rows)
    for name, k in (("v1", 3), ("v2", 2)):
        at_least(lake, name, k)
    at_least(lake, "wide", 1, spec=BOTH, feature="clicks_user_1h")
    put(lake, "v1")
    with (
        redis_server() as redis,
        service(
            home, "--spool", str(spool), "--redis", redis.url, "--workers", "2", *SLOW
        ) as running,
    ):
        yield Setting(lake, spool, redis, running)


def test_a_click_is_decided_by_the_version_in_production(setting: Setting) -> None:
    found = [setting.running.decide(f"first{n}", user_id="first") for n in range(4)]
    setting.answered += [f"first{n}" for n in range(4)]
    assert [each["decision"] for each in found] == ["valid", "valid", "invalid", "invalid"]
    assert {each["model_version"] for each in found} == {"v1"}
    assert setting.running.get("/readyz")[0] == 200


def test_only_the_keeper_opens_the_lake(setting: Setting) -> None:
    def loaded(module: str) -> set[str]:
        maps = [Path(f"/proc/{p}/maps").read_text() for p in setting.running.processes(module)]
        assert maps
        return {name for name in ("duckdb", "deltalake") if any(name in m for m in maps)}

    assert loaded("replay.live.keeper") == {"duckdb", "deltalake"}
    assert loaded("replay.live.worker") == set()


def test_a_promotion_is_followed_without_losing_a_request(setting: Setting) -> None:
    with loads(setting.running, "swap", count=4) as made:
        go_on(made, 20)
        put(setting.lake, "wide")  # of another spec: the store's counters change too
        until(lambda: all(load.saw("wide") for load in made), "the promoted version decides")
    setting.took(made)
    assert [load.failed for load in made] == [[], [], [], []]
    for load in made:
        versions = [answer["model_version"] for answer in load.answered if answer["model_version"]]
        assert set(versions) == {"v1", "wide"}


def test_a_rollback_is_followed_without_losing_a_request(setting: Setting) -> None:
    with loads(setting.running, "back", count=4) as made:
        until(lambda: all(load.saw("wide") for load in made), "the version before decides")
        rollback(setting.lake, "test", now_micros())
        until(lambda: all(load.saw("v1") for load in made), "the one put back decides")
        go_on(made, 20)
        assert not any(load.saw("wide") for load in made)
        put(setting.lake, "wide")
        until(lambda: all(load.saw("wide") for load in made), "the rollback is undone")
    setting.took(made)
    assert [load.failed for load in made] == [[], [], [], []]


def test_a_damaged_version_is_refused_and_the_last_good_one_stays(setting: Setting) -> None:
    file = models_folder(setting.lake) / "v2" / "weights.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[:-4] + b"oops")
    row = {"at": now_micros(), "model_version": "v2", "action": "promote", "by": "test"}
    add_rows(setting.lake, "promotions", [{**row, "reason": "because", "metrics": "{}"}])
    refusals = "slidr_model_refused 2.0"
    until(lambda: refusals in setting.running.get("/metrics")[1], "both workers refuse it")
    assert setting.running.has_said("version v2 is refused")
    answer = setting.running.decide("good")
    setting.answered.append("good")
    assert answer["model_version"] == "wide"
    assert setting.running.get("/readyz")[0] == 200
    file.write_bytes(whole)
    until(lambda: refusals not in setting.running.get("/metrics")[1], "mended")
    until(lambda: setting.running.decide("mended")["model_version"] == "v2", "it decides")
    setting.answered.append("mended")


def test_profiles_that_land_reach_the_next_clicks(setting: Setting) -> None:
    caches = setting.spool / "profiles"
    before = {path.name for path in caches.iterdir()}
    add_rows(setting.lake, "profiles_user", [{"key": "new", "valid_from": 1, "age": 2.0}])
    until(lambda: {path.name for path in caches.iterdir()} - before, "a new cache")


def test_a_lake_that_is_away_is_waited_for(setting: Setting) -> None:
    home, elsewhere = setting.lake.home, setting.lake.home.with_name("elsewhere")
    with setting.lake.lock():  # no commit is half done: Delta would make the folders of its file
        home.rename(elsewhere)
    try:
        until(lambda: setting.running.has_said("decisions wait in the spool"), "the committer")
        until(lambda: setting.running.has_said("production can't be kept up"), "the pointer")
        found = [setting.running.decide(f"away{n}") for n in range(3)]
        setting.answered += [f"away{n}" for n in range(3)]
        assert {each["model_version"] for each in found} == {"v2"}
        assert setting.running.get("/readyz")[0] == 200
        assert not home.exists(), "nothing begins a lake anew where one is away"
    finally:
        elsewhere.rename(home)
    until(lambda: setting.running.has_said("works again"), "the lake is back")
    until(lambda: set(setting.answered) <= set(logged(setting.lake, "clicks")), "what waited")


def test_a_killed_worker_is_started_again(setting: Setting) -> None:
    workers = setting.running.processes("replay.live.worker")
    assert len(workers) == 2
    with loads(setting.running, "kill") as made:
        go_on(made, 5)
        os.kill(workers[0], signal.SIGKILL)
        until(lambda: setting.running.has_said("was ended by SIGKILL"), "its death is told")
        until(lambda: len(setting.running.processes("replay.live.worker")) == 2, "another worker")
        go_on(made, 5)
        until(lambda: "slidr_workers 2.0" in setting.running.get("/metrics")[1], "it serves")
    assert sum(len(load.failed) for load in made) <= 2, "at most what that worker had in hand"
    (keeper,) = setting.running.processes("replay.live.keeper")
    os.kill(keeper, signal.SIGKILL)
    until(lambda: setting.running.processes("replay.live.keeper") not in ([], [keeper]), "a keeper")


def test_two_services_serve_one_lake_and_end_without_losing_a_click(setting: Setting) -> None:
    place = ("--spool", str(setting.spool), "--redis", setting.redis.url)
    with service(setting.lake.home, *place, *SLOW) as second:
        with loads(setting.running, "one") as made, loads(second, "two") as others:
            go_on(made + others, 20)
            assert setting.running.stop() == 0
            go_on(others, 20)
            assert second.stop(signal.SIGINT) == 0
        setting.took(made + others)
    for table in ("clicks", "decisions"):
        found = logged(setting.lake, table)
        assert len(found) == len(set(found)), f"{table}: nothing twice"
        assert set(setting.answered) - set(found) == set(), f"{table}: nothing lost"
