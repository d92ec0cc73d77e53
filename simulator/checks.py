"""What must hold of a scenario's parts together: their times, their aims, and room for them all."""

from collections.abc import Sequence
from itertools import pairwise

from scorer.errors import nearest
from simulator.addresses import DATACENTER, room
from simulator.fault import Incident
from simulator.incidents.checks import place_of
from simulator.market import MarketSettings, campaign_ids
from simulator.people import HumanSettings, count_networks, count_people
from simulator.places import VPN_EXITS
from simulator.surges import Surge
from simulator.team import RobotSettings

MOST_USERS = 40_000_000  # people and robots
MOST_POPULATIONS = 250  # a click's number has 8 bits for its population
MOST_ADS = 1_000_000


def check_robots(robots: Sequence[RobotSettings], market: MarketSettings, hours: int) -> None:
    """Raise ValueError, naming the robot, where one comes too late or aims at no campaign."""
    known = campaign_ids(market)
    for number, robot in enumerate(robots, start=1):
        place = f"robot {number} ({robot.kind})"
        for aim in robot.aims:
            if aim not in known:
                hint = nearest(aim, known, f"They go from {known[0]} to {known[-1]}.")
                raise ValueError(f"{place}: aims: no campaign with the id {aim!r}. {hint}")
        if active := robot.active():
            _check_begin(place, active[0], hours)


def check_surges(surges: Sequence[Surge], hours: int) -> None:
    """Raise ValueError, naming the surge, where one comes after the simulated hours."""
    for number, surge in enumerate(surges, start=1):
        _check_begin(f"surge {number} ({surge.kind})", surge.begins_hour, hours)


def _check_begin(place: str, begins: float, hours: int) -> None:
    if begins >= hours:
        raise ValueError(
            f"{place}: begins_hour {begins:g} is not before the end: {hours} hours are simulated; "
            "give more --days"
        )


def check_promotions(timeline: Sequence[Incident], promoted_at: int, end: int) -> None:
    """Raise ValueError where versions would come into production out of turn; times in µs.

    `timeline` is in the order of beginning; the healthy version comes at `promoted_at`.
    """
    if promoted_at >= end:
        raise ValueError(
            "production: promoted_hour is not before the end of the simulated time; give more "
            "--days"
        )
    promoting = [incident for incident in timeline if incident.version]
    for incident in promoting:
        if incident.span.start <= promoted_at:
            raise ValueError(
                f"{place_of(incident)} puts a version into production before, or when, the right "
                "one comes; let it begin later"
            )
    for before, after in pairwise(promoting):
        if after.span.start <= before.span.end:
            raise ValueError(
                f"{place_of(before)} and {place_of(after)} put a version into production at the "
                "same time; let one end before the other begins"
            )


def check_room(
    humans: HumanSettings,
    market: MarketSettings,
    robots: Sequence[RobotSettings],
    clicks_per_day: int,
    populations: int,
) -> None:
    """Raise ValueError where a world would have more than it can hold; nothing is drawn for it.

    `populations` is how many populations of robots click at the most, the days before included.
    """
    users = [robot.users(clicks_per_day) for robot in robots]
    people = count_people(humans, clicks_per_day)
    _check_count("users", people + sum(users), MOST_USERS, "lower --clicks-per-day")
    if populations > MOST_POPULATIONS:
        raise ValueError(
            f"{populations:,} populations of robots, those of production's history_days included, "
            f"but there is room for {MOST_POPULATIONS}: give fewer robots or history_days"
        )
    ads = market.advertisers * market.campaigns_per_advertiser * market.ads_per_campaign
    _check_count("ads", ads, MOST_ADS, "give fewer advertisers, campaigns or ads")
    hosted = sum(robot.addresses(count) for robot, count in zip(robots, users, strict=True))
    networks = count_networks(humans, people) | {DATACENTER: VPN_EXITS + hosted}
    for kind, count in networks.items():
        _check_count(f"{kind} addresses", count, room(kind), "lower --clicks-per-day")


def _check_count(what: str, count: int, most: int, hint: str) -> None:
    if count > most:
        raise ValueError(f"{count:,} {what} are too many, there is room for {most:,}: {hint}")
