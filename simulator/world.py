"""A scenario's people, market and robots, and the texts that stand for their numbers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa

from replay.span import Span
from simulator.addresses import CARRIER, DATACENTER, HOME, OFFICE, addresses
from simulator.agents import agent_table
from simulator.columns import DEVICES, HOUR, Billed, Clicks, Unit
from simulator.draw import hex_strings, salt
from simulator.errors import BadScenario
from simulator.humans import HUMANS, human_clicks
from simulator.market import Market, make_market
from simulator.people import People, make_people
from simulator.scenario import KINDS, Scenario
from simulator.team import ALWAYS, RobotSettings, Team

CLICK_SALT, SESSION_SALT, USER_SALT, PURCHASE_SALT = ((0, 10), (0, 11), (0, 12), (0, 13))


@dataclass(frozen=True)
class World:
    """Everything that clicks are drawn from. `texts` are by click column."""

    scenario: Scenario
    people: People
    market: Market
    teams: tuple[Team, ...]
    texts: dict[str, pa.Array]
    kinds: pa.Array

    @property
    def populations(self) -> range:
        """Numbers of the populations: the humans', then each robot team's."""
        return range(HUMANS, HUMANS + 1 + len(self.teams))

    def draw(
        self, population: int, hour: int, feedback: Mapping[int, Billed] | None = None
    ) -> Clicks:
        """Draw what one population begins in one hour, from the seed and its feedback alone.

        `feedback` is by hour. What the billing delay does not let a robot see yet is cut here, so
        it may hold more hours than that, but no fewer.
        """
        scenario = self.scenario
        if population == HUMANS:
            unit = Unit(scenario.seed, population, hour)
            return human_clicks(self.people, self.market, scenario.clicks_per_day, unit)
        number = population - HUMANS - 1
        settings, team = scenario.robots[number], self.teams[number]
        seen = {at: bill for at, bill in (feedback or {}).items() if at + team.billing_delay < hour}
        unit = Unit(scenario.seed, population, hour, seen)
        clicks = KINDS[settings.kind].draw(settings, team, self.market, unit)
        return clicks.take((clicks.ts >= team.window.start) & (clicks.ts < team.window.end))

    def key(self, place: tuple[int, int]) -> np.uint64:
        """The word under which one sort of opaque id is made."""
        return salt(self.scenario.seed, *place)


def make_world(scenario: Scenario) -> World:
    """Draw the world of a scenario."""
    people = make_people(scenario.humans, scenario.clicks_per_day, scenario.seed)
    market = make_market(scenario.market, scenario.seed)
    teams = _teams(scenario, people, market)
    users = np.arange(len(people) + sum(team.users for team in teams), dtype=np.uint64)
    places = people.places
    hosted = places.vpns + sum(team.addresses for team in teams)
    ip = [
        addresses(HOME, places.homes),
        addresses(OFFICE, places.offices),
        addresses(CARRIER, places.carriers),
        addresses(DATACENTER, hosted),
    ]
    texts = {
        **market.tables,
        "user": hex_strings(users, salt(scenario.seed, *USER_SALT), prefix="u"),
        "ip": pa.concat_arrays(ip),
        "agent": agent_table(),
        "device": pa.array(DEVICES),
    }
    kinds = pa.array(["human", *(robot.kind for robot in scenario.robots)])
    return World(scenario, people, market, teams, texts, kinds)


def _teams(scenario: Scenario, people: People, market: Market) -> tuple[Team, ...]:
    teams: list[Team] = []
    user, address = len(people), people.places.total
    homes = np.unique(people.home)
    campaigns = {name: i for i, name in enumerate(market.tables["campaign"].to_pylist())}
    watch = _watch(scenario, people, market)
    for number, robot in enumerate(scenario.robots):
        users = robot.users(scenario.clicks_per_day)
        held = robot.addresses(users)
        if robot.homes(users) > len(homes):
            raise BadScenario(
                f"robot {1 + number} ({robot.kind}) needs {robot.homes(users):,} homes, and people "
                f"live in {len(homes):,}: give it less share or more clicks_per_user"
            )
        teams.append(
            Team(
                population=HUMANS + 1 + number,
                kind=1 + number,
                first_user=user,
                users=users,
                first_address=address,
                addresses=held,
                places=people.places,
                homes=homes,
                watch=watch,
                clicks_per_day=scenario.clicks_per_day,
                begin=scenario.hours.start,
                billing_delay=scenario.billing_delay_hours,
                window=_window(robot, scenario.span.start),
                aims=np.array([campaigns[aim] for aim in robot.aims], np.int64),
            )
        )
        user, address = user + users, address + held
    return tuple(teams)


def _window(robot: RobotSettings, start: int) -> Span:
    active = robot.active()
    if active is None:
        return ALWAYS
    return Span(*(start + round(hours * HOUR) for hours in active))


def _watch(scenario: Scenario, people: People, market: Market) -> Callable[[int], Clicks]:
    @lru_cache(maxsize=2)
    def watch(hour: int) -> Clicks:
        unit = Unit(scenario.seed, HUMANS, hour)
        clicks = human_clicks(people, market, scenario.clicks_per_day, unit)
        return clicks.take(np.lexsort((clicks.ts, clicks.session)))

    return watch
