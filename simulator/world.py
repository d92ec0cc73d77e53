"""A scenario's people, market and robots, and the texts that stand for their numbers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import ceil

import numpy as np
import pyarrow as pa

from simulator.addresses import CAMPUS, CARRIER, DATACENTER, HOME, OFFICE, addresses
from simulator.agents import agent_table
from simulator.budgets import live_market
from simulator.columns import DEVICES, MOST_PARTS, Billed, Clicks, Unit, concatenate
from simulator.draw import mix, salt
from simulator.humans import HUMANS, human_clicks
from simulator.market import Market, make_market
from simulator.people import People, make_people
from simulator.scenario import KINDS, Scenario
from simulator.team import Team
from simulator.teams import make_teams

CLICK_SALT, SESSION_SALT, USER_SALT, PURCHASE_SALT = ((0, 10), (0, 11), (0, 12), (0, 13))
LOGGED_SALT = (0, 14)
PART_CLICKS_A_DAY = 8_000_000
MOST_WATCHED = 60_000  # clicks, about


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
        market = live_market(self.market, self.people, scenario.seed, hour)
        if population == HUMANS:
            return self._humans(market, hour)
        number = population - HUMANS - 1
        settings, team = scenario.robots[number], self.teams[number]
        seen = {at: bill for at, bill in (feedback or {}).items() if at + team.billing_delay < hour}
        unit = Unit(scenario.seed, population, hour, feedback=seen)
        clicks = KINDS[settings.kind].draw(settings, team, market, unit)
        inside = (clicks.ts >= team.window.start) & (clicks.ts < team.window.end)
        return self._logged(clicks.take(inside))

    def _humans(self, market: Market, hour: int) -> Clicks:
        """Draw people's hour in parts, so that memory does not grow with what is not logged."""
        drawn = [
            self._logged(_human_part(self.scenario, self.people, market, hour, part))
            for part in range(_parts(self.scenario))
        ]
        return drawn[0] if len(drawn) == 1 else concatenate(drawn)

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
    teams = make_teams(scenario, people, market, _watch(scenario, people, market))
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
        "ip": pa.concat_arrays(ip),
        "agent": agent_table(),
        "device": pa.array(DEVICES),
    }
    kinds = pa.array(["human", *(robot.kind for robot in scenario.robots)])
    return World(scenario, people, market, teams, texts, kinds)


def _human_part(scenario: Scenario, people: People, market: Market, hour: int, part: int) -> Clicks:
    """Draw a part of people's hour, on that hour's market."""
    unit = Unit(scenario.seed, HUMANS, hour, part)
    return human_clicks(people, market, scenario.clicks_per_day / _parts(scenario), unit)


def _parts(scenario: Scenario) -> int:
    """In how many parts people's hour is drawn."""
    return min(ceil(scenario.clicks_per_day / PART_CLICKS_A_DAY), MOST_PARTS)


def _watch(scenario: Scenario, people: People, market: Market) -> Callable[[int], Clicks]:
    """Return what shows what people do in an hour, by session, and a sample of a busy one."""

    @lru_cache(maxsize=2)
    def watch(hour: int) -> Clicks:
        live = live_market(market, people, scenario.seed, hour)
        clicks = _human_part(scenario, people, live, hour, 0)
        if len(clicks) > MOST_WATCHED:
            share = MOST_WATCHED / len(clicks)
            clicks = clicks.take(mix(clicks.session) < np.uint64(share * 2**64))
        return clicks.take(np.lexsort((clicks.ts, clicks.session)))

    return watch
