"""The robot teams of a scenario: which users and addresses of the world's tables are whose."""

from collections.abc import Callable

import numpy as np

from replay.span import Span
from simulator.columns import HOUR, Clicks
from simulator.humans import HUMANS
from simulator.market import Market
from simulator.people import People
from simulator.scenario import Scenario
from simulator.team import ALWAYS, RobotSettings, Team


def make_teams(
    scenario: Scenario, people: People, market: Market, watch: Callable[[int], Clicks]
) -> tuple[Team, ...]:
    """Return each robot population's team; `watch` returns what people do in an hour."""
    teams: list[Team] = []
    user, address = len(people), people.places.total
    places = people.places
    homes = np.unique(people.home[people.home >= 0]).astype(np.int64)
    if not len(homes):
        homes = places.carrier_start + np.arange(places.carriers)
    campaigns = {name: i for i, name in enumerate(market.tables["campaign"].to_pylist())}
    for number, robot in enumerate(scenario.robots):
        users = robot.users(scenario.clicks_per_day)
        held = robot.addresses(users)
        teams.append(
            Team(
                population=HUMANS + 1 + number,
                kind=1 + number,
                first_user=user,
                users=users,
                first_address=address,
                addresses=held,
                places=places,
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
