"""What every kind of robot must hold to, whatever its skill; and that the checks can fail."""

import re
from math import sqrt
from pathlib import Path

import numpy as np
import pytest

from simulator.agents import AGENTS
from simulator.columns import DEVICES, HOUR, SPILL_HOURS, Clicks, Unit, concatenate
from simulator.draw import generator
from simulator.errors import BadScenario
from simulator.generate import Chunk, chunks
from simulator.market import Market
from simulator.robots import ROBOTS
from simulator.robots.background import BACKGROUND, Background
from simulator.scenario import load_scenario, parse_scenario, shipped
from simulator.team import Draw, RobotKind, RobotSettings, Team
from simulator.world import World, make_world
from tests.simulator.worlds import all_of, changed, hour_by_hour, most_per_hour, world_of

NAMES = [robot.name for robot in ROBOTS]
EVERYBODY = make_world(load_scenario("all_robots", {"clicks_per_day": 60_000, "seed": 7}))
AT = {"begins_hour": 30.25, "hours": 3.5}


def team_of(world: World, kind: str) -> Team:
    return world.teams[[robot.kind for robot in world.scenario.robots].index(kind)]


def check_draws_from_its_place_alone(
    draw: Draw, settings: RobotSettings, team: Team, market: Market, hours: range
) -> None:
    """An hour's clicks are the same whichever hours were drawn before it."""
    units = [Unit(7, team.population, hour) for hour in hours]
    forward = [draw(settings, team, market, unit) for unit in units]
    backward = [draw(settings, team, market, unit) for unit in reversed(units)]
    for one, other in zip(forward, reversed(backward), strict=True):
        for name, column in vars(one).items():
            assert np.array_equal(column, getattr(other, name)), name


@pytest.mark.parametrize("kind", ROBOTS, ids=NAMES)
def test_an_hour_is_drawn_from_its_place_alone(kind: RobotKind) -> None:
    team = team_of(EVERYBODY, kind.name)
    settings = EVERYBODY.scenario.robots[team.kind - 1]
    hours = EVERYBODY.scenario.hours
    # From 28 hours on all of them are there, whatever their window, night or shift.
    check_draws_from_its_place_alone(kind.draw, settings, team, EVERYBODY.market, hours[28:44])


def test_a_robot_that_remembers_breaks_the_contract() -> None:
    memory = [0]

    def remembers(settings: RobotSettings, team: Team, market: Market, unit: Unit) -> Clicks:
        memory[0] += 1
        return BACKGROUND.draw(settings, team, market, Unit(memory[0], unit.population, unit.hour))

    team, hours = team_of(EVERYBODY, "background"), EVERYBODY.scenario.hours[:2]
    with pytest.raises(AssertionError):
        check_draws_from_its_place_alone(
            remembers, Background(share=0.1), team, EVERYBODY.market, hours
        )


@pytest.mark.parametrize("name", NAMES)
def test_its_clicks_are_its_own_and_near_the_hour_in_which_they_begin(name: str) -> None:
    team = team_of(EVERYBODY, name)
    hours = list(hour_by_hour(EVERYBODY, team.population))
    for hour, clicks in hours:
        assert ((clicks.ts >= hour * HOUR) & (clicks.ts < (hour + SPILL_HOURS) * HOUR)).all()
    drawn = concatenate([clicks for _, clicks in hours])
    assert len(drawn) > 100
    assert (drawn.kind == team.kind).all()
    mine = (drawn.actor >= team.first_user) & (drawn.actor < team.first_user + team.users)
    assert mine.all()
    own = (drawn.ip >= team.first_address) & (drawn.ip < team.first_address + team.addresses)
    assert (own | (drawn.ip < team.places.total)).all()
    assert drawn.agent.max() < len(AGENTS)
    assert drawn.device.max() < len(DEVICES)
    assert (drawn.ad // EVERYBODY.market.settings.ads_per_campaign == drawn.campaign).all()
    assert not (drawn.logged_in & ~drawn.known).any()


@pytest.mark.parametrize(("chunk_hours", "threads"), [(1, 1), (5, 2), (24, 2)])
def test_chunks_and_threads_change_no_click(chunk_hours: int, threads: int) -> None:
    check_same(list(chunks(EVERYBODY, 7, 2)), list(chunks(EVERYBODY, chunk_hours, threads)))


@pytest.mark.parametrize("most", [20, 400])
def test_a_busy_hour_is_cut_into_parts_and_no_click_changes(
    monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr("simulator.generate.CHUNK_CLICKS", most)
    parts = list(chunks(EVERYBODY))
    assert min(part.span.length for part in parts) < HOUR
    assert max(len(part.clicks) for part in parts) < 1.5 * most + 50
    check_same(list(chunks(EVERYBODY, 7)), parts)


def test_chunks_without_a_click_change_none(monkeypatch: pytest.MonkeyPatch) -> None:
    world = make_world(load_scenario("quiet", {"clicks_per_day": 100, "robots": []}))
    whole = list(chunks(world, 24))
    monkeypatch.setattr("simulator.generate.CHUNK_CLICKS", 1)
    parts = list(chunks(world))
    assert min(len(part.clicks) for part in parts) == 0
    check_same(whole, parts)


def check_same(one: list[Chunk], other: list[Chunk]) -> None:
    first, again = (concatenate([chunk.clicks for chunk in parts]) for parts in (one, other))
    for name, column in vars(first).items():
        assert np.array_equal(column, getattr(again, name)), name
    first_seq, seq = (np.concatenate([chunk.seq for chunk in parts]) for parts in (one, other))
    assert np.array_equal(first_seq, seq)


def test_no_two_clicks_or_sessions_share_a_number() -> None:
    drawn = [all_of(EVERYBODY, population) for population in EVERYBODY.populations]
    numbers = np.concatenate([clicks.number for clicks in drawn])
    assert len(np.unique(numbers)) == len(numbers)
    sessions = np.concatenate([np.unique(clicks.session) for clicks in drawn])
    assert len(np.unique(sessions)) == len(sessions)
    for clicks in drawn[1:]:
        pairs = np.unique(np.stack([clicks.session, clicks.actor.astype(np.uint64)]), axis=1)
        assert pairs.shape[1] == len(np.unique(clicks.session))


@pytest.mark.parametrize("name", NAMES)
def test_it_clicks_as_much_as_its_share_says(name: str) -> None:
    world = world_of({"kind": name, "share": 0.2, **({} if not_an_attack(name) else AT)})
    [robot] = world.scenario.robots
    total = robot.total(2) * world.scenario.clicks_per_day
    mean = getattr(robot, "mean_session", 4.0)
    # Five standard deviations of sessions of geometric length, and what is cut off or too long.
    bound = 5 * sqrt((2 * mean - 1) / total) + 0.05
    assert len(all_of(world, world.teams[0].population)) == pytest.approx(total, rel=bound)


def not_an_attack(name: str) -> bool:
    return not ROBOTS[NAMES.index(name)].settings.model_fields["begins_hour"].is_required()


@pytest.mark.parametrize("name", NAMES)
def test_it_comes_and_goes_when_it_is_told_to(name: str) -> None:
    world = world_of({"kind": name, "share": 0.5, **AT})
    start = world.scenario.span.start
    clicks = all_of(world, world.teams[0].population)
    if name not in ("rival", "click_farm"):  # not their time of day
        assert len(clicks) > 100
    assert (clicks.ts >= start + 30.25 * HOUR).all()
    assert (clicks.ts < start + 33.75 * HOUR).all()


@pytest.mark.parametrize("name", NAMES)
def test_it_clicks_only_what_it_aims_at(name: str) -> None:
    data = {"kind": name, "share": 0.1, "aims": ["cmp-0007"], **AT}
    if not_an_attack(name):
        data = {key: value for key, value in data.items() if key not in AT}
    world = world_of(data)
    clicks = all_of(world, world.teams[0].population)
    assert set(clicks.campaign.tolist()) == {7}


@pytest.mark.parametrize("name", NAMES)
def test_more_volume_makes_more_robots_and_no_other_kind_of_click(name: str) -> None:
    few, many = (
        team_of(changed(EVERYBODY, clicks_per_day=volume), name) for volume in (2_000, 200_000)
    )
    assert few.users >= 1
    assert many.users > few.users


def test_the_smallest_world_has_room_for_all() -> None:
    world = changed(EVERYBODY, clicks_per_day=100)
    assert sum(len(all_of(world, population)) for population in world.populations) > 100


def test_every_kind_has_a_scenario_of_its_own_and_a_place_in_the_busiest() -> None:
    assert set(NAMES) - set(shipped()) == {"background"}  # it is in all of them
    for name in set(NAMES) - {"background"}:
        assert name in {robot.kind for robot in load_scenario(name).robots}
    assert {robot.kind for robot in load_scenario("all_robots").robots} == set(NAMES)


@pytest.mark.parametrize("kind", ROBOTS, ids=NAMES)
def test_the_page_about_robots_has_its_row_and_each_of_its_keys(kind: RobotKind) -> None:
    page = (Path(__file__).parents[2] / "docs" / "robots.md").read_text()
    [row] = [line for line in page.splitlines() if line.startswith(f"| `{kind.name}` ")]
    common = set(RobotSettings.model_fields)
    assert set(re.findall(r"`(\w+)`", row.rsplit(" | ", 1)[1])) == (
        set(kind.settings.model_fields) - common
    )
    assert common - {"kind"} <= set(re.findall(r"`(\w+)`", page))


@pytest.mark.parametrize(
    ("robot", "message"),
    [
        ({"kind": "rival", "aims": ["cmp-042"]}, r"robot 1 \(rival\): aims: .*'cmp-042'. Did you"),
        ({"kind": "crawler", "aims": ["shoes"]}, "They go from cmp-0000 to cmp-0159"),
        ({"kind": "rival", "aims": ["cmp-0001", "cmp-0002"]}, "aims: .*at most 1"),
        ({"kind": "low_and_slow", "clicks_per_user": 50}, "clicks_per_hour 2: give at most 24"),
        ({"kind": "adaptive", "back_off": 1.5}, "back_off"),
        ({"kind": "crawler", "begins_hour": 3}, "begins_hour and hours go together"),
        ({"kind": "low_and_slo"}, "Did you mean low_and_slow"),
        ({"kind": "session_mimic", "jittre": 1}, "Did you mean jitter"),
        ({"kind": "residential_proxy"}, "begins_hour: Field required"),
        ({"kind": "burst", "begins_hour": 3}, "hours: Field required"),
    ],
)
def test_what_a_robot_cannot_do_is_said(robot: dict[str, object], message: str) -> None:
    data = {"title": "t", "start": "2026-03-01T00:00:00Z", "robots": [{"share": 0.1, **robot}]}
    with pytest.raises(BadScenario, match=message):
        parse_scenario(data, "mine.toml")


def test_there_are_no_more_infected_machines_than_homes() -> None:
    data = {"kind": "low_and_slow", "share": 10, "clicks_per_user": 2, "clicks_per_hour": 1}
    world = world_of(data, clicks_per_day=2_000)
    clicks = all_of(world, world.teams[0].population)
    assert most_per_hour(clicks) == 1
    assert len(np.unique(clicks.ip)) == len(world.teams[0].homes) < world.teams[0].users


def test_the_generator_of_a_place_is_its_own() -> None:
    first = {int(generator(7, population, 9).integers(1 << 60)) for population in range(12)}
    assert len(first) == 12
