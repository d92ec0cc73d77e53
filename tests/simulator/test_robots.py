"""The property that makes each robot what it is."""

from math import log, sqrt

import numpy as np
import pytest

from simulator.agents import AGENTS, ROBOT_AGENT
from simulator.columns import DEVICES, HOUR, Clicks, concatenate
from simulator.humans import HUMANS
from simulator.robots.crawler import Crawler
from simulator.scenario import load_scenario
from simulator.world import World, make_world
from tests.simulator.worlds import all_of, hours_of, most_per_hour, robots_of, world_of

SECONDS = 1_000_000


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(load_scenario("all_robots", {"clicks_per_day": 60_000, "seed": 7}))


@pytest.fixture(scope="module")
def people(world: World) -> Clicks:
    return all_of(world, HUMANS)


def test_a_single_address_outruns_every_address_of_people(world: World, people: Clicks) -> None:
    team, clicks = robots_of(world, "single_address")
    assert set(clicks.ip.tolist()) == {team.first_address}
    assert len(set(clicks.agent.tolist())) == 1
    assert most_per_hour(clicks) > 5 * most_per_hour(people)


def test_a_burst_is_many_users_on_hosted_addresses_at_few_campaigns(world: World) -> None:
    _, clicks = robots_of(world, "burst")
    assert len(set(clicks.campaign.tolist())) == 4
    assert clicks.ip.min() >= world.people.places.total
    assert 1 < len(set(clicks.ip.tolist())) < len(set(clicks.actor.tolist()))


def test_a_residential_proxy_is_somebody_s_home(world: World, people: Clicks) -> None:
    team, clicks = robots_of(world, "residential_proxy")
    addresses = np.unique(clicks.ip)
    assert np.isin(addresses, world.people.home).all()
    assert np.isin(addresses, people.ip).mean() > 0.5
    assert len(addresses) > 10 * team.users / len(addresses)
    # No address tells: in an hour, none has as many of its clicks as people's busiest has.
    assert most_per_hour(clicks) < most_per_hour(people)
    assert len(set(clicks.campaign.tolist())) == 4


def test_low_and_slow_stays_under_its_clicks_an_hour(world: World) -> None:
    _, clicks = robots_of(world, "low_and_slow")
    assert most_per_hour(clicks) == 2
    order = np.lexsort((clicks.ts, clicks.ip))
    ip, ts = clicks.ip[order], clicks.ts[order]
    # The third click after one on the same address lies at least an hour later.
    same = ip[3:] == ip[:-3]
    assert same.sum() > 1000
    assert (ts[3:] - ts[:-3])[same].min() >= HOUR
    homes = np.unique(np.stack([clicks.actor, clicks.ip, clicks.agent]), axis=1)
    assert homes.shape[1] == len(np.unique(clicks.ip)) == len(np.unique(clicks.actor))


def test_a_faster_machine_breaks_the_limit_of_a_slower_one() -> None:
    _, clicks = robots_of(
        world_of({"kind": "low_and_slow", "share": 0.1, "clicks_per_hour": 4}), "low_and_slow"
    )
    assert 2 < most_per_hour(clicks) <= 4


def test_a_click_farm_is_real_phones_in_a_shift(world: World, people: Clicks) -> None:
    team, clicks = robots_of(world, "click_farm")
    agents = np.unique(np.stack([clicks.actor, clicks.device, clicks.agent]), axis=1)
    assert agents.shape[1] == len(np.unique(clicks.actor))
    assert {DEVICES[device] for device in agents[1]} == {"mobile_web", "mobile_app"}
    assert agents[2].max() < ROBOT_AGENT
    places = world.people.places
    assert clicks.ip.min() >= places.carrier_start
    assert clicks.ip.max() < places.carrier_start + places.carriers
    assert len(np.unique(clicks.ip)) < team.users
    local = (hours_of(clicks) + 7) % 24
    assert ((local >= 8) & (local < 19)).all()  # a session may outlast the shift's last hour
    assert np.median(busy_hours(clicks)) > np.quantile(busy_hours(people), 0.99)


def busy_hours(clicks: Clicks) -> np.ndarray:
    """In how many hours of one day each user clicks."""
    day = clicks.take(hours_of(clicks) // 24 == int(hours_of(clicks).max()) // 24)
    pairs = np.unique(np.stack([day.actor, hours_of(day)]), axis=1)
    return np.unique(pairs[0], return_counts=True)[1]


def test_a_crawler_visits_every_campaign_in_turn_at_an_even_pace(world: World) -> None:
    team, clicks = robots_of(world, "crawler")
    campaigns = len(world.market.bid)
    settings = next(robot for robot in world.scenario.robots if isinstance(robot, Crawler))
    for robot in np.unique(clicks.actor):
        mine = clicks.take(clicks.actor == robot)
        assert len(mine) > campaigns
        assert ((np.diff(mine.campaign) - 1) % campaigns == 0).all()
        gaps = np.diff(mine.ts)
        assert gaps.max() / gaps.min() < (1 + settings.jitter) / (1 - settings.jitter) + 1e-6
    assert {AGENTS[agent] for agent in clicks.agent} == {AGENTS[-1]}
    per_hour = np.unique(hours_of(clicks), return_counts=True)[1]
    assert per_hour.max() - per_hour.min() <= 1 + team.users
    assert not clicks.known.any()


def test_a_rival_drains_one_campaign_at_night() -> None:
    world = world_of({"kind": "rival", "share": 0.05, "aims": ["cmp-0042"], "zone": -5})
    _, clicks = robots_of(world, "rival")
    local = (hours_of(clicks) - 5) % 24
    assert set(local.tolist()) == {1, 2, 3, 4}
    assert set(clicks.campaign.tolist()) == {42}
    people = all_of(world, HUMANS)
    night = np.isin((hours_of(people) - 5) % 24, [1, 2, 3, 4])
    theirs = people.price[night & (people.campaign == 42)].sum()
    assert clicks.price.sum() > 10 * theirs > 0


def test_without_an_aim_a_rival_chooses_one_by_the_seed() -> None:
    chosen = {
        int(
            robots_of(world_of({"kind": "rival", "share": 0.02}, seed=seed), "rival")[1].campaign[0]
        )
        for seed in range(4)
    }
    assert len(chosen) > 1


def gaps_and_lengths(clicks: Clicks) -> tuple[np.ndarray, np.ndarray]:
    """Seconds between a session's clicks, and how many clicks each session has."""
    order = np.lexsort((clicks.ts, clicks.session))
    session, ts = clicks.session[order], clicks.ts[order]
    same = session[1:] == session[:-1]
    return np.diff(ts)[same] / SECONDS, np.unique(session, return_counts=True)[1]


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """The largest difference between two distribution functions (Kolmogorov and Smirnov)."""
    at = np.concatenate([one, other])
    below = [np.searchsorted(np.sort(x), at, side="right") / len(x) for x in (one, other)]
    return float(np.abs(below[0] - below[1]).max())


def bound(one: int, other: int) -> float:
    """What two samples of one distribution exceed once in a million (Dvoretzky, Massart)."""
    return sqrt(log(2e6) / 2) * sqrt(1 / one + 1 / other)


@pytest.fixture(scope="module")
def mimicked() -> World:
    data = {"kind": "session_mimic", "share": 0.25}
    return world_of(data, clicks_per_day=300_000, start="2026-03-04T00:00:00Z")


def test_a_mimic_s_sessions_are_people_s(mimicked: World) -> None:
    _, robots = robots_of(mimicked, "session_mimic")
    # Two weekdays are replayed from an hour of the day before each; people of that hour are
    # those of the two days themselves.
    before, after = (
        concatenate([mimicked.teams[0].watch((day + shift) * 24 + 20) for day in days(mimicked)])
        for shift in (-1, 0)
    )
    gaps, lengths = gaps_and_lengths(robots)
    their_gaps, their_lengths = gaps_and_lengths(after)
    seen_gaps, seen_lengths = gaps_and_lengths(before)
    most = bound(len(seen_lengths), len(their_lengths))
    assert most < 0.05
    assert distance(lengths, their_lengths) < most
    # Jitter of 0.15 widens the logarithm of a gap by 1.2% at most: 0.003.
    assert distance(gaps, their_gaps) < bound(len(seen_gaps), len(their_gaps)) + 0.003 < 0.05
    assert distance(first_of(robots, robots.device), first_of(after, after.device)) < most
    assert distance(first_of(robots, robots.query), first_of(after, after.query)) < most


def first_of(clicks: Clicks, column: np.ndarray) -> np.ndarray:
    """One value for each session."""
    return column[np.unique(clicks.session, return_index=True)[1]]


def test_other_robots_sessions_are_not(mimicked: World) -> None:
    world = world_of({"kind": "background", "share": 0.5})
    gaps, lengths = gaps_and_lengths(robots_of(world, "background")[1])
    their_gaps, their_lengths = gaps_and_lengths(mimicked.teams[0].watch(days(mimicked)[0] * 24))
    assert distance(lengths, their_lengths) > 0.3
    assert distance(gaps, their_gaps) > 0.3


def days(world: World) -> range:
    return range(world.scenario.hours.start // 24, world.scenario.hours.stop // 24)


def test_a_mimic_replays_recorded_sessions_under_other_names(mimicked: World) -> None:
    world, (_, robots) = mimicked, robots_of(mimicked, "session_mimic")
    record = world.teams[0].watch((days(world)[0] - 1) * 24 + 20)
    walks = {walk for walk in walks_of(record) if len(walk) > 4}
    first_day = robots.take(hours_of(robots) < world.scenario.hours.start + 20)
    replayed = [walk for walk in walks_of(first_day) if len(walk) > 4]
    assert len(replayed) > 100
    whole = [walk in walks for walk in replayed]
    assert np.mean(whole) > 0.95  # the rest run into the end of what was cut out here
    assert not np.isin(robots.actor, record.actor).any()
    assert np.isin(robots.ip, world.people.home).all()


def walks_of(clicks: Clicks) -> list[tuple[int, ...]]:
    """The ads of each session, in order."""
    order = np.lexsort((clicks.ts, clicks.session))
    cuts = np.flatnonzero(np.diff(clicks.session[order])) + 1
    return [tuple(ads.tolist()) for ads in np.split(clicks.ad[order], cuts)]


@pytest.mark.parametrize("kind", ["background", "residential_proxy", "low_and_slow"])
def test_where_nobody_has_a_line_robots_are_behind_carriers(kind: str) -> None:
    robot: dict[str, object] = {"kind": kind, "share": 0.05}
    if kind == "residential_proxy":
        robot |= {"begins_hour": 3, "hours": 5}
    world = world_of(robot, humans={"mobile_only": 1.0, "students": 0.0}, clicks_per_day=20_000)
    team, clicks = robots_of(world, kind)
    hosted = clicks.ip >= team.first_address
    carriers = (clicks.ip >= team.places.carrier_start) & (clicks.ip < team.places.vpn_start)
    assert np.all(hosted | carriers)
    assert carriers.sum() > 50
