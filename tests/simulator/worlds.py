"""Worlds for tests of robots: all of a kind's clicks, drawn hour by hour."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from simulator.columns import HOUR, Clicks, concatenate
from simulator.scenario import Scenario, parse_scenario
from simulator.team import Team
from simulator.world import World, make_world

Mask = npt.NDArray[np.bool_]


def world_of(*robots: dict[str, object], **changes: object) -> World:
    """Return the world of a two-day scenario with these robots and 60,000 human clicks a day."""
    plain = {"title": "test", "start": "2026-03-02T00:00:00Z", "clicks_per_day": 60_000, "seed": 7}
    return make_world(parse_scenario({**plain, "robots": list(robots), **changes}, "test"))


def changed(world: World, **changes: object) -> World:
    """Return the same world with other keys."""
    data: dict[str, object] = {**world.scenario.model_dump(), **changes}
    return make_world(Scenario.model_validate(data))


def hour_by_hour(world: World, population: int) -> Iterator[tuple[int, Clicks]]:
    """Yield each simulated hour, and what a population begins in it."""
    for hour in world.scenario.hours:
        yield hour, world.draw(population, hour)


def all_of(world: World, population: int) -> Clicks:
    """Return what a population does in the whole span, by time."""
    clicks = concatenate([drawn for _, drawn in hour_by_hour(world, population)])
    return clicks.take(np.argsort(clicks.ts, kind="stable"))


def robots_of(world: World, kind: str) -> tuple[Team, Clicks]:
    """Return the only team of a kind, and all that it does."""
    [team] = [team for team in world.teams if world.scenario.robots[team.kind - 1].kind == kind]
    return team, all_of(world, team.population)


def hours_of(clicks: Clicks) -> npt.NDArray[np.int64]:
    """Return the hour of each click, since the epoch."""
    return clicks.ts // HOUR


def most_per_hour(clicks: Clicks) -> int:
    """Return the most clicks that one address has in one hour of the clock."""
    pairs = np.stack([clicks.ip, hours_of(clicks)], axis=1)
    return int(np.unique(pairs, axis=0, return_counts=True)[1].max())
