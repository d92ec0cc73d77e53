"""The batch engine's faults against the real service on a real Redis, made to fail in the same way.

One day of a small shop: wrong versions are promoted and rolled back; the store is away, is sent
clicks twice, comes back from an old snapshot, is flushed, never hears of some sessions, and has a
wrong clock. What `replay serve` logs of the clicks must be what the simulation says that it logs,
features and decisions. (A version that was trained without labels is promoted as any other is;
features that read 0 are a fault within the service, which can't be made from without.)
"""

import datetime as dt
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from recovery.production import promote, rollback
from replay.lake import Lake
from replay.production import models_folder
from replay.snapshot import Snapshot, connect
from replay.training import open_registry
from scorer.serving.clicks import Click
from simulator.delivery import Delivery, delivery
from simulator.fault import Incident
from simulator.generate import Chunk, chunks
from simulator.profiles import ip_rows, snapshot_times, user_rows
from simulator.rows import click_rows
from simulator.scenario import Scenario
from simulator.world import World, make_world
from simulator.write import simulate
from tests.parity.service import serving
from tests.servers import RedisServer, redis_server
from tests.simulator.production import POINTER, small

INCIDENTS = [
    {"kind": "threshold_mistyped", "begins_hour": 3, "hours": 2, "threshold": 0.001},
    {"kind": "service_down", "begins_hour": 6, "hours": 1},
    {"kind": "log_twice", "begins_hour": 8, "hours": 1, "after_minutes": 45},
    {"kind": "counters_stale", "begins_hour": 12, "age_hours": 3},
    {"kind": "counters_flushed", "begins_hour": 16},
    {"kind": "log_late", "begins_hour": 17, "hours": 1, "share": 0.4, "late_hours": 2},
    {"kind": "clock_step", "begins_hour": 19, "hours": 1, "minutes": 15},
    {"kind": "bad_model", "begins_hour": 21, "hours": 2, "train_hours": 19},
]
ROBOTS = [
    {"kind": "background", "share": 0.2},
    {"kind": "burst", "share": 3.0, "begins_hour": 10, "hours": 10, "clicks_per_user": 30},
]
LOGGED = """
SELECT click_id, epoch_us(d.ts) AS ts, d.seq, source, decision, reason, model_version, threshold,
  slice, spec_digest, facts, reals, probability
FROM decisions d JOIN (FROM clicks SELECT click_id, source) USING (click_id)
"""
ASKED = tuple(Click.model_fields)


class Shipment(NamedTuple):
    """One click on its way to the service, at a time (µs); `again` where it was there before."""

    at: int
    again: bool
    click: dict[str, Any]


class Turns(NamedTuple):
    """What the store and the pointer suffer at each moment (µs) of the timeline."""

    redis: RedisServer
    url: str
    lake: Lake
    incidents: tuple[Incident, ...]

    def turn(self, at: int) -> None:
        for incident in self.incidents:
            fault, span = incident.fault, incident.span
            if fault.away and at == span.start:
                self._leave()
            if fault.away and at == span.end:
                self._socket("away").rename(self._socket())
                self._settle()
            if fault.forgets and at == span.start - fault.forgets:
                self.redis.client().save()
            if fault.forgets and at == span.start:
                self._forget(incident)
            if incident.version and at == span.start:
                metrics = open_registry(self.lake).manifest(incident.version).metrics
                promote(self.lake, incident.version, "test", "wrong", metrics, at)
                self._await_version(incident.version)
            if incident.version and at == span.end:
                rollback(self.lake, "test", at)
                self._await_version("v1")

    def _await_version(self, name: str) -> None:
        until = time.monotonic() + 60
        while httpx.get(f"{self.url}/readyz").json().get("model_version") != name:
            assert time.monotonic() < until
            time.sleep(0.1)

    def _leave(self) -> None:
        """Cut the service off: the server itself goes on, and keeps its counts."""
        with self.redis.client() as client:
            client.ping()
            self._socket().rename(self._socket("away"))
            client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    def _forget(self, incident: Incident) -> None:
        if incident.kind == "counters_flushed":
            self.redis.client().flushall()
        else:
            self.redis.stop()
            self.redis.start()  # on the snapshot that was saved
        self._settle()

    def _settle(self) -> None:
        time.sleep(3)  # more than the breaker's longest pause, should it have opened

    def _socket(self, suffix: str = "sock") -> Path:
        return self.redis.folder / f"redis.{suffix}"


def scenario(**more: object) -> Scenario:
    changes = {"start": dt.date(2024, 3, 4), "days": 1, "clicks_per_day": 500, "robots": ROBOTS}
    return small("service_down", **{"incidents": INCIDENTS, **changes, **more})


def shipments(world: World) -> Iterator[Shipment]:
    """Yield what is sent, copies too, as it comes."""
    for chunk in chunks(world):
        came = delivery(chunk, world.scenario.timeline)
        rows = _rows(world, chunk, came)
        clock = sum(incident.fault.clock for incident in chunk.incidents)
        for ts, row, detoured in zip(
            chunk.clicks.ts.tolist(), rows, came.detoured.tolist(), strict=True
        ):
            if detoured:
                continue  # it never reaches the service
            yield Shipment(ts, False, {**row, "time": ts + clock})
            for incident in chunk.incidents:
                if again := incident.fault.again:
                    yield Shipment(ts + again, True, {**row, "time": ts + again})


def _rows(world: World, chunk: Chunk, came: Delivery) -> list[dict[str, Any]]:
    names = [name for name in ASKED if name != "time"]
    return [
        row for batch in click_rows(world, chunk, came) for row in batch.select(names).to_pylist()
    ]


def furnish(home: Path, simulated: Lake, world: World) -> Lake:
    """Make the lake that the service logs to: profiles, the version, the pointer."""
    lake = Lake.create(home, "USD")
    lake.append("profiles_ip", ip_rows(world), ("profiles", 1))
    for number, night in enumerate(snapshot_times(world), start=1):
        lake.append("profiles_user", user_rows(world, night), ("profiles", number))
    shutil.copytree(models_folder(simulated), models_folder(lake))
    metrics = open_registry(lake).manifest("v1").metrics
    promote(lake, "v1", "test", "first", metrics, world.scenario.span.start)
    return lake


def send(url: str, redis: RedisServer, lake: Lake, world: World) -> None:
    """Send all shipments, one by one; let the store suffer in between."""
    timeline = world.scenario.timeline
    moments = sorted({moment for incident in timeline for moment in incident.turns})
    turns = Turns(redis, url, lake, timeline)
    with httpx.Client(base_url=url, timeout=30) as client:
        for shipment in sorted(shipments(world), key=lambda each: each.at):  # stable
            while moments and moments[0] <= shipment.at:
                turns.turn(moments.pop(0))
            if shipment.again:
                _forget_ids(redis)
            answer = client.post("/v1/decisions", json=shipment.click)
            assert answer.status_code == httpx.codes.OK, answer.text


def _forget_ids(redis: RedisServer) -> None:
    """Let ten minutes pass, after which the store no longer knows a click's id."""
    with redis.client() as client:
        if known := list(client.scan_iter("slidr:click:*", count=1000)):
            client.delete(*known)


def logged(lake: Lake) -> dict[str, dict[str, Any]]:
    """Return what was logged of each click, by its id."""
    snapshot = Snapshot.take(lake)
    with connect() as connection:
        snapshot.create_views(connection)
        rows = connection.sql(LOGGED).to_arrow_table().to_pylist()
    return {row.pop("click_id"): row for row in rows}


def differing(said: dict[str, Any], real: dict[str, Any]) -> dict[str, Any]:
    """Return the columns of one click that differ; probabilities by more than 1e-6."""
    found = {name: (said[name], real[name]) for name in said if said[name] != real[name]}
    p, q = found.pop("probability", (0.0, 0.0))
    if None in (p, q) or abs(p - q) > 1e-6:
        found["probability"] = (p, q)
    return found


def miscounted(said: dict[str, Any], without: dict[str, Any]) -> bool:
    """Whether a fault changed features, and not only which of them there are."""
    same_spec = said["spec_digest"] == without["spec_digest"]
    return same_spec and bool(said["facts"] != without["facts"])


def test_the_service_logs_what_the_simulation_says(tmp_path: Path) -> None:
    simulated = Lake.create(tmp_path / "simulated", "USD")
    simulate(simulated, scenario(), POINTER)
    world = make_world(scenario())
    served = furnish(tmp_path / "served", simulated, world)
    with redis_server("--dbfilename", "dump.rdb") as redis:
        options = ("--workers", "1", "--redis", redis.url, "--simulated-time")
        with serving(served.home, *options, "--deadline", "60000") as url:
            send(url, redis, served, world)
    said, real = logged(simulated), logged(served)
    assert len(real) == len(said) > 1500
    assert {row["source"] for row in said.values()} == {"live", "unstamped"}
    calm = Lake.create(tmp_path / "calm", "USD")
    shutil.copytree(models_folder(simulated), models_folder(calm))
    simulate(calm, scenario(incidents=[]), POINTER)
    without = logged(calm)
    assert sum(miscounted(said[click], without[click]) for click in said) > 500
    assert {row["model_version"] for row in said.values()} == {"v1", "v2", "v3", None}
    found = {click: differing(said[click], real[click]) for click in said}
    assert {click: columns for click, columns in found.items() if columns} == {}
