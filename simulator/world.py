"""A scenario's people, market and robots, and the texts that stand for their numbers."""

from dataclasses import dataclass, replace
from math import ceil

import numpy as np
import pyarrow as pa

from simulator.addresses import CAMPUS, CARRIER, DATACENTER, HOME, OFFICE, addresses
from simulator.agents import agent_table
from simulator.budgets import live_market
from simulator.columns import DEVICES, MOST_PARTS, Clicks, Unit, concatenate
from simulator.draw import hex_strings, mix, salt
from simulator.humans import HUMANS, human_clicks
from simulator.market import Market, make_market
from simulator.people import People, make_people
from simulator.scenario import KINDS, Scenario
from simulator.team import Team

CLICK_SALT, SESSION_SALT, USER_SALT, PURCHASE_SALT = ((0, 10), (0, 11), (0, 12), (0, 13))
LOGGED_SALT = (0, 14)
PART_CLICKS_A_DAY = 8_000_000


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

    def draw(self, population: int, hour: int) -> Clicks:
        """Draw what one population begins in one hour; depends on nothing else but the seed."""
        scenario = self.scenario
        unit = Unit(scenario.seed, population, hour)
        market = live_market(self.market, self.people, scenario.seed, hour)
        if population == HUMANS:
            return self._humans(market, unit)
        number = population - HUMANS - 1
        settings = scenario.robots[number]
        clicks = KINDS[settings.kind].draw(settings, self.teams[number], market, unit)
        return self._logged(clicks)

    def _humans(self, market: Market, unit: Unit) -> Clicks:
        """Draw people's hour in parts, so that memory does not grow with what is not logged."""
        per_day = self.scenario.clicks_per_day
        parts = min(ceil(per_day / PART_CLICKS_A_DAY), MOST_PARTS)
        drawn = [
            self._logged(human_clicks(self.people, market, per_day / parts, replace(unit, part=n)))
            for n in range(parts)
        ]
        return drawn[0] if parts == 1 else concatenate(drawn)

    def _logged(self, clicks: Clicks) -> Clicks:
        """Thin clicks to the share that the scenario logs, whoever made them."""
        share = self.scenario.logged
        if share == 1:
            return clicks
        return clicks.take(mix(clicks.number ^ self.key(LOGGED_SALT)) < np.uint64(share * 2**64))

    def key(self, place: tuple[int, int]) -> np.uint64:
        """The word under which one sort of opaque id is made."""
        return salt(self.scenario.seed, *place)


def make_world(scenario: Scenario) -> World:
    """Draw the world of a scenario."""
    begin = scenario.hours.start
    people = make_people(scenario.humans, scenario.clicks_per_day, scenario.seed, begin)
    market = make_market(scenario.market, scenario.seed)
    teams = _teams(scenario, people)
    users = np.arange(len(people) + sum(team.users for team in teams), dtype=np.uint64)
    places = people.places
    hosted = places.vpns + sum(team.addresses for team in teams)
    ip = [
        addresses(HOME, places.homes),
        addresses(OFFICE, places.offices),
        addresses(CAMPUS, places.campuses * places.campus_addresses),
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


def _teams(scenario: Scenario, people: People) -> tuple[Team, ...]:
    teams: list[Team] = []
    user, address = len(people), people.places.total
    for number, robot in enumerate(scenario.robots):
        users = robot.users(scenario.clicks_per_day)
        held = ceil(users / robot.users_per_address)
        teams.append(
            Team(
                population=HUMANS + 1 + number,
                kind=1 + number,
                first_user=user,
                users=users,
                first_address=address,
                addresses=held,
                people=people.places,
                clicks_per_day=scenario.clicks_per_day,
                begin=scenario.hours.start,
            )
        )
        user, address = user + users, address + held
    return tuple(teams)
