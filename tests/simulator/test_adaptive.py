"""The robot that reads its bills, in a closed loop with a detector made of two rules."""

from collections.abc import Callable

import numpy as np
import pytest

from simulator.agents import ROBOT_AGENT
from simulator.bills import Bills
from simulator.columns import HOUR, Billed, Clicks, concatenate
from simulator.generate import chunks
from simulator.humans import HUMANS
from simulator.robots.adaptive import Adaptive, tactic
from simulator.world import World
from tests.simulator.worlds import Mask, hours_of, world_of

DELAY = 3
PER_ADDRESS = 12  # clicks in an hour that the detector lets an address have
ROBOT = {"kind": "adaptive", "share": 0.15}
Detector = Callable[[Clicks], Mask]


@pytest.fixture(scope="module")
def world() -> World:
    return world_of(ROBOT, days=5, clicks_per_day=20_000, billing_delay_hours=DELAY)


def by_rules(clicks: Clicks) -> Mask:
    """Refuse scripts, and addresses with many clicks in an hour."""
    pairs = np.stack([clicks.ip, hours_of(clicks)])
    _, row, count = np.unique(pairs, axis=1, return_inverse=True, return_counts=True)
    refused: Mask = (count[row.ravel()] > PER_ADDRESS) | (clicks.agent >= ROBOT_AGENT)
    return refused


def nobody(clicks: Clicks) -> Mask:
    return np.zeros(len(clicks), bool)


def run(
    world: World, detect: Detector, *, told: bool = True, chunk_hours: int = 1, threads: int = 1
) -> tuple[Clicks, Mask]:
    """Simulate, decide and tell; return the robot's clicks, and which were invalidated."""
    bills = Bills()
    parts = []
    for chunk in chunks(world, chunk_hours, threads, bills):
        invalid = detect(chunk.clicks)
        if told:
            bills.add(chunk.clicks, invalid)
        mine = chunk.clicks.kind == world.teams[0].kind
        parts.append((chunk.clicks.take(mine), invalid[mine]))
    return concatenate([clicks for clicks, _ in parts]), np.concatenate([bad for _, bad in parts])


def at_hours(world: World, clicks: Clicks, low: int, high: int) -> Mask:
    begin = world.scenario.hours.start
    inside: Mask = (hours_of(clicks) >= begin + low) & (hours_of(clicks) < begin + high)
    return inside


def test_told_it_stays_under_and_untold_it_does_not(world: World) -> None:
    told, invalid = run(world, by_rules)
    untold, blind = run(world, by_rules, told=False)
    assert blind.mean() > 0.9  # untold it never changes
    first, late = at_hours(world, told, 0, 2 * DELAY), at_hours(world, told, 72, 120)
    assert invalid[first].mean() > 0.9
    assert invalid[late].mean() < 0.3 * blind[at_hours(world, untold, 72, 120)].mean()
    # It stays under with as many clicks that pass as it can, and not by falling silent.
    assert (~invalid[late]).sum() > (~blind[at_hours(world, untold, 72, 120)]).sum()
    assert late.sum() > 500


def test_once_nobody_looks_its_rate_recovers(world: World) -> None:
    looks_until = world.scenario.hours.start + 36

    def until_then(clicks: Clicks) -> Mask:
        return by_rules(clicks) & (hours_of(clicks) < looks_until)

    clicks, _ = run(world, until_then)
    full = 0.15 * 20_000 / 24
    at_first, caught, at_last = (
        at_hours(world, clicks, low, low + 12).sum() / 12 for low in (0, 30, 108)
    )
    assert caught < 0.5 * full
    assert caught < at_first
    assert at_last == pytest.approx(full, rel=0.35)
    assert at_last > 2 * caught


def test_once_caught_its_addresses_and_agents_are_others(world: World) -> None:
    clicks, _ = run(world, by_rules)
    before = clicks.take(at_hours(world, clicks, 0, 2 * DELAY))
    after = clicks.take(at_hours(world, clicks, 2 * DELAY + 2, 4 * DELAY))
    team = world.teams[0]
    assert before.ip.min() >= team.first_address
    assert np.isin(after.ip, team.homes).all()
    assert not np.isin(after.agent, before.agent).any()
    per_address = [len(part) / len(np.unique(part.ip)) for part in (before, after)]
    assert per_address[1] < per_address[0] / 4


def test_it_knows_nothing_before_the_delay_is_over(world: World) -> None:
    told, _ = run(world, by_rules)
    untold, _ = run(world, by_rules, told=False)
    early = [clicks.take(at_hours(world, clicks, 0, 2 * DELAY)) for clicks in (told, untold)]
    assert np.array_equal(np.sort(early[0].number), np.sort(early[1].number))
    late = [clicks.take(at_hours(world, clicks, 2 * DELAY, 4 * DELAY)) for clicks in (told, untold)]
    assert len(late[0]) < len(late[1])


def test_a_bill_that_is_not_due_changes_nothing(world: World) -> None:
    population, hour = HUMANS + 1, world.scenario.hours.start + 2 * DELAY
    first = range(hour - 2 * DELAY, hour - DELAY)
    due = {at: Billed(100, 0) for at in first}
    early = {at: Billed(100, 100) for at in range(hour - DELAY, hour + 99)}
    plain, more = (world.draw(population, hour, bills) for bills in (due, {**due, **early}))
    assert np.array_equal(plain.ts, more.ts)
    caught = world.draw(population, hour, {at: Billed(100, 100) for at in first})
    assert len(caught) < len(plain)


@pytest.mark.parametrize(("chunk_hours", "threads"), [(1, 2), (3, 1), (24, 2)])
def test_chunks_and_threads_change_no_click(world: World, chunk_hours: int, threads: int) -> None:
    one, other = (
        run(world, by_rules),
        run(world, by_rules, chunk_hours=chunk_hours, threads=threads),
    )
    assert np.array_equal(one[0].number, other[0].number)
    assert np.array_equal(one[0].ip, other[0].ip)
    assert np.array_equal(one[1], other[1])


def test_a_tactic_waits_until_it_was_judged() -> None:
    world = world_of(ROBOT, billing_delay_hours=2)
    settings, begin = Adaptive.model_validate(ROBOT), world.scenario.hours.start
    bills = {begin + at: Billed(10, 10) for at in range(48)}
    moves = [tactic(settings, world.teams[0], begin + at, bills).moves for at in range(10)]
    assert moves == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2]


def test_bills_add_up_by_population_and_hour(world: World) -> None:
    chunk = next(chunks(world, 6))
    bills, halves = Bills(), Bills()
    odd = chunk.clicks.number % np.uint64(2) == 1
    bills.add(chunk.clicks, odd)
    for part in (slice(None, 100), slice(100, None)):
        halves.add(chunk.clicks.take(part), odd[part])
    for population in world.populations:
        assert bills.of(population) == halves.of(population)
        mine = chunk.clicks.kind == population - HUMANS
        counted = bills.of(population).values()
        assert sum(bill.clicks for bill in counted) == mine.sum()
        assert sum(bill.invalid for bill in counted) == (mine & odd).sum()
    assert min(bills.of(HUMANS)) == chunk.span.start // HOUR


def test_caught_again_it_moves_again(world: World) -> None:
    begin, delay = world.scenario.hours.start, world.scenario.billing_delay_hours
    bills = {begin + at: Billed(10, 10) for at in range(99)}
    once, twice = (
        concatenate(
            [world.draw(HUMANS + 1, begin + stage * 2 * delay + h, bills) for h in range(6)]
        )
        for stage in (1, 2)
    )
    assert not np.isin(twice.ip, once.ip).any()
    agents = [
        dict(zip(part.actor.tolist(), part.agent.tolist(), strict=True)) for part in (once, twice)
    ]
    both = agents[0].keys() & agents[1].keys()
    assert len(both) > 3
    # Agents are drawn from few, so some robots happen on the one that they had.
    assert sum(agents[0][actor] != agents[1][actor] for actor in both) > len(both) / 2
