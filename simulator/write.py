"""A simulation into a lake, in commits that can be repeated: what a click needs before the click.

Each chunk is one commit per table under the simulation's own name, so a simulation that was
interrupted goes on where it stopped when it is started again with the same scenario.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from replay.lake import Lake
from replay.snapshot import Snapshot, connect
from replay.tables import INCIDENT_TRUTH
from simulator.columns import HOUR
from simulator.errors import DaysTaken
from simulator.generate import Chunk, ahead, chunk_spans, chunks
from simulator.memory import share_one_heap
from simulator.profiles import ip_rows, snapshot_times, user_rows
from simulator.rows import click_rows, purchase_rows, times, truth_rows
from simulator.scenario import Scenario
from simulator.world import World, make_world


@dataclass(frozen=True)
class Written:
    """What a simulation made: clicks by kind of actor, purchases, and money in micros."""

    clicks: Counter[str] = field(default_factory=Counter)
    micros: Counter[str] = field(default_factory=Counter)
    purchases: int = 0


def simulate(
    lake: Lake,
    scenario: Scenario,
    *,
    chunk_hours: int | None = None,
    threads: int = 2,
    advance: Callable[[int], None] = lambda _: None,
) -> Written:
    """Write a scenario's clicks, purchases, profiles and truth to a lake.

    Raises DaysTaken, and writes nothing, where the lake already has clicks in that time.
    """
    share_one_heap()
    world = make_world(scenario)
    spans = chunk_spans(world, chunk_hours)
    writer = f"simulate/{_name(scenario)}/{chunk_hours}"
    clicks, micros, purchases = Counter[str](), Counter[str](), 0
    with lake.lock():
        _refuse_taken(lake, scenario, writer, len(spans))
        _write_profiles(lake, world, writer)
        lake.append("incident_truth", [_incidents(world)], (writer, 1))
        for number, chunk in enumerate(ahead(chunks(world, chunk_hours, threads)), start=1):
            purchases += sum(batch.num_rows for batch in purchase_rows(world, chunk))
            lake.append("purchases", purchase_rows(world, chunk), (writer, number))
            lake.append("truth", ahead(truth_rows(world, chunk)), (writer, number))
            lake.append("clicks", ahead(click_rows(world, chunk)), (writer, number))
            _count(world, chunk, clicks, micros)
            advance(len(chunk.clicks))
    return Written(clicks, micros, purchases)


def _name(scenario: Scenario) -> str:
    return hashlib.sha256(scenario.model_dump_json().encode()).hexdigest()[:16]


def _refuse_taken(lake: Lake, scenario: Scenario, writer: str, total: int) -> None:
    """Refuse where clicks stand in the span, unless they are this simulation's own first part."""
    done = lake.transaction("clicks", writer) or 0
    if 0 < done < total:
        return
    source = Snapshot.take(lake).source("clicks", scenario.span)
    with connect() as connection:
        row = connection.execute(f"SELECT count(*) FROM {source}").fetchone()
    if row and row[0]:
        raise DaysTaken(
            f"{lake.home} already has {row[0]:,} clicks in {scenario.span}; "
            "simulate other days with --start, or another lake with --home"
        )


def _write_profiles(lake: Lake, world: World, writer: str) -> None:
    lake.append("profiles_ip", ip_rows(world), (writer, 1))
    for number, valid_from in enumerate(snapshot_times(world), start=1):
        lake.append("profiles_user", user_rows(world, valid_from), (writer, number))


def _incidents(world: World) -> pa.RecordBatch:
    """Rows of `incident_truth`: the robots that come and go, and the people who do."""
    rows = [*_robot_rows(world.scenario), *_surge_rows(world.scenario)]
    start = world.scenario.span.start
    bounds = np.array([active for _, _, active, _ in rows]).reshape(-1, 2) * HOUR + start
    columns = {
        "incident_id": pa.array([name for name, _, _, _ in rows], pa.string()),
        "kind": pa.array([kind for _, kind, _, _ in rows], pa.string()),
        "from_ts": times(bounds[:, 0].astype(np.int64)),
        "to_ts": times(bounds[:, 1].astype(np.int64)),
        "description": pa.array([about for _, _, _, about in rows], pa.string()),
    }
    batch = pa.RecordBatch.from_pydict(columns, schema=INCIDENT_TRUTH.schema)
    return batch.sort_by("from_ts")


Row = tuple[str, str, tuple[float, float], str]


def _robot_rows(scenario: Scenario) -> Iterator[Row]:
    for number, robot in enumerate(scenario.robots, start=1):
        if active := robot.active():
            hours = active[1] - active[0]
            about = f"{robot.kind}: {robot.share:.0%} of a day's human clicks in {hours:g} h"
            yield f"robots-{number}", f"robot_{robot.kind}", active, about


def _surge_rows(scenario: Scenario) -> Iterator[Row]:
    for number, surge in enumerate(scenario.humans.surges, start=1):
        active = (surge.begins_hour, surge.begins_hour + surge.hours)
        about = f"{surge.kind}: {surge.lift:g} times the usual sessions, all of them people's"
        yield f"people-{number}", f"human_{surge.kind}", active, about


def _count(world: World, chunk: Chunk, clicks: Counter[str], micros: Counter[str]) -> None:
    for number, kind in enumerate(world.kinds.to_pylist()):
        mine = chunk.clicks.kind == number
        clicks[kind] += int(mine.sum())
        micros[kind] += int(chunk.clicks.price[mine].sum())
