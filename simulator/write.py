"""A simulation into a lake, in commits that can be repeated: what a click needs before the click.

Each chunk is one commit per table under the simulation's own name, so a simulation that was
interrupted goes on where it stopped when it is started again with the same scenario.
"""

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from replay.ahead import ahead
from replay.lake import Lake
from replay.snapshot import Snapshot, connect
from replay.span import Span
from simulator.decider import Decider
from simulator.errors import DaysTaken
from simulator.generate import Chunk, chunk_spans, chunks
from simulator.incident_rows import incident_rows
from simulator.landing import Landing
from simulator.mark import passed, write_mark
from simulator.memory import share_one_heap
from simulator.pointer import Pointer
from simulator.profiles import ip_rows, snapshot_times, user_rows
from simulator.scenario import Scenario
from simulator.world import World, make_world


@dataclass
class Written:
    """What a simulation made: clicks by kind of actor, purchases, and money in micros."""

    clicks: Counter[str] = field(default_factory=Counter)
    micros: Counter[str] = field(default_factory=Counter)
    purchases: int = 0

    def count(self, world: World, chunk: Chunk) -> None:
        """Add a chunk's clicks."""
        for number, kind in enumerate(world.kinds.to_pylist()):
            mine = chunk.clicks.kind == number
            self.clicks[kind] += int(mine.sum())
            self.micros[kind] += int(chunk.clicks.price[mine].sum())


def simulate(
    lake: Lake,
    scenario: Scenario,
    pointer: Pointer | None = None,
    *,
    since: int | None = None,
    chunk_hours: int | None = None,
    threads: int = 2,
    advance: Callable[[int], None] = lambda _: None,
) -> Written:
    """Write a scenario's clicks, purchases, profiles and truth to a lake, and what was decided.

    A scenario with a [production] needs the `pointer` that it moves. With `since` (µs) the lake has
    the scenario's rows up to then, and gets those that follow, as if all had been written at once.
    Raises DaysTaken, and writes nothing, where the lake already has clicks in the time to write.
    """
    share_one_heap()
    world = make_world(scenario)
    writer = f"simulate/{_name(scenario)}/{chunk_hours}" + (f"/{since}" if since else "")
    written = Written()
    with lake.lock():
        _refuse_taken(lake, scenario, writer, since, len(chunk_spans(world, chunk_hours, since)))
        begin = _trained(lake, scenario, pointer, threads) if scenario.production else None
        _write_profiles(lake, world, writer, since)
        if since is None:
            lake.append("incident_truth", [incident_rows(scenario)], (writer, 1))
        production = begin() if begin else None
        landing = Landing(lake, world, writer, production, since or 0)
        bills = landing.bills if production else None
        drawn = chunks(world, chunk_hours, threads, bills, since)
        for chunk in drawn if production else ahead(drawn):
            purchases = landing.land(chunk)
            if chunk.span.end > (since or 0):
                written.purchases += purchases
                written.count(world, chunk)
            advance(len(chunk.clicks))
        landing.close()
        write_mark(lake, scenario)
    return written


def _trained(
    lake: Lake, scenario: Scenario, pointer: Pointer | None, threads: int
) -> Callable[[], Decider]:
    """Train the healthy version; return what makes a production once there are profiles."""
    if pointer is None:
        raise ValueError("a scenario with a [production] needs what moves the pointer")
    from simulator.production import Production  # torch: other scenarios need none
    from simulator.versions import healthy_version

    healthy = healthy_version(lake, scenario, simulate)
    return partial(Production, lake, scenario, healthy, pointer, threads)


def _name(scenario: Scenario) -> str:
    return hashlib.sha256(scenario.model_dump_json(exclude={"bounds"}).encode()).hexdigest()[:16]


def _refuse_taken(
    lake: Lake, scenario: Scenario, writer: str, since: int | None, total: int
) -> None:
    """Refuse where clicks stand in the span, unless they are this simulation's own first part."""
    done = lake.transaction("clicks", writer) or 0
    begin = scenario.span.start if since is None else since
    if 0 < done < total or (done and not passed(lake, begin)):
        return
    span = scenario.span if since is None else Span(since, scenario.span.end)
    source = Snapshot.take(lake).source("clicks", span)
    with connect() as connection:
        row = connection.execute(f"SELECT count(*) FROM {source}").fetchone()
    if row and row[0]:
        raise DaysTaken(
            f"{lake.home} already has {row[0]:,} clicks in {span}; go on after them with "
            "--append, simulate other days with --start, or another lake with --home"
        )


def _write_profiles(lake: Lake, world: World, writer: str, since: int | None) -> None:
    if since is None:
        lake.append("profiles_ip", ip_rows(world), (writer, 1))
    nights = [night for night in snapshot_times(world) if since is None or night >= since]
    for number, valid_from in enumerate(nights, start=1):
        lake.append("profiles_user", user_rows(world, valid_from), (writer, number))
