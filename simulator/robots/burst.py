"""A burst: for some hours, many users behind a set of data-centre addresses drain few campaigns.

Its clicks carry whole-second times, so that many share one.
"""

from typing import Literal

from simulator.agents import agent_of
from simulator.attack import Attack, starts
from simulator.columns import Clicks, Unit
from simulator.draw import generator, weighted, weights_of
from simulator.market import Market
from simulator.moves import SECOND, Moves, finish, targets
from simulator.team import Hosted, RobotKind, RobotSettings, Team

DEVICE_SHARES = (0.6, 0.4, 0.0, 0.0)
SESSION_MINUTES = 20
SESSIONS_PER_HOUR = 60 // SESSION_MINUTES


class Burst(Attack, Hosted):
    """How a burst runs."""

    kind: Literal["burst"] = "burst"


def draw(settings: RobotSettings, team: Team, market: Market, unit: Unit) -> Clicks:
    """Draw the burst's clicks in the unit's hour; an hour partly inside gets its part."""
    assert isinstance(settings, Burst)  # noqa: S101
    rng = generator(unit.seed, *unit.place)
    ts = starts(rng, settings, team, unit) // SECOND * SECOND
    count = len(ts)
    robot = rng.integers(0, team.users, count)
    piece = (ts - unit.start) // (SESSION_MINUTES * 60 * SECOND)
    # A robot changes its address with each session, and comes back to it.
    address = (robot + piece * 5) % team.addresses
    device = weighted(rng, weights_of(DEVICE_SHARES), team.users)[robot]
    chosen = targets(team, market, unit.seed, settings.campaigns)
    moves = Moves(
        ts=ts,
        robot=robot,
        session=unit.numbers(team.users * SESSIONS_PER_HOUR)[robot * SESSIONS_PER_HOUR + piece],
        ip=team.first_address + address,
        agent=agent_of(team.first_user + robot, device),
        device=device,
        campaign=chosen[rng.integers(0, len(chosen), count)],
    )
    return finish(rng, settings, team, market, unit, moves)


BURST = RobotKind("burst", Burst, draw, "many users behind data-centre addresses, for some hours")
