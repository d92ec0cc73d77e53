"""How robots move: sessions, the campaigns that they go for, and whole clicks out of it all."""

from dataclasses import dataclass

import numpy as np

from simulator.columns import HOUR, SPILL_HOURS, Clicks, Unit
from simulator.draw import Flags, Ints, Words, generator
from simulator.humans import purchases
from simulator.market import TOPICS, Market
from simulator.team import RobotSettings, Team

SECOND = 1_000_000


@dataclass(frozen=True)
class Moves:
    """What a robot's code decides about each click; `finish` fills in what is common."""

    ts: Ints
    robot: Ints  # 0 to team.users − 1
    session: Words
    ip: Ints
    agent: Ints
    device: Ints
    campaign: Ints
    ad: Ints | None = None  # any of the campaign's
    query: Ints | None = None  # none


def finish(
    rng: np.random.Generator,
    settings: RobotSettings,
    team: Team,
    market: Market,
    unit: Unit,
    moves: Moves,
) -> Clicks:
    """Fill in price, ad, login and the rare purchase, and return whole clicks.

    Clicks later than the hour after the unit's are left out.
    """
    count = len(moves.ts)
    # Who logs in and who shows an id is a robot's habit, not a click's.
    habit = moves.robot * 7_919 % 1_000 / 1000
    logged_in: Flags = habit < settings.logged_in
    after, amount, names = purchases(rng, rng.random(count) < settings.buys)
    clicks = Clicks(
        ts=moves.ts,
        number=unit.numbers(count),
        actor=team.first_user + moves.robot,
        known=logged_in | (habit < settings.known),
        session=moves.session,
        ip=moves.ip,
        agent=moves.agent,
        device=moves.device,
        logged_in=logged_in,
        campaign=moves.campaign,
        ad=market.ads(rng, moves.campaign) if moves.ad is None else moves.ad,
        query=np.full(count, -1) if moves.query is None else moves.query,
        price=market.prices(rng, moves.campaign),
        kind=np.full(count, team.kind),
        buys_after=after,
        amount=amount,
        names_click=names,
    )
    return clicks.take(moves.ts < unit.start + SPILL_HOURS * HOUR)


def sessions(rng: np.random.Generator, lengths: Ints, gap_seconds: float) -> tuple[Ints, Ints]:
    """Return each click's session, and its time (µs) since the session's first click.

    `lengths` are ≥ 1; the gaps are exponential, with a mean of `gap_seconds`.

    >>> row, offset = sessions(generator(1), np.array([2, 1]), 10.0)
    >>> row.tolist(), (offset == 0).tolist()
    ([0, 0, 1], [True, False, True])
    """
    row = np.repeat(np.arange(len(lengths)), lengths)
    gaps = np.rint(rng.exponential(gap_seconds * SECOND, len(row))).astype(np.int64)
    total = np.cumsum(gaps)
    return row, total - np.repeat(total[np.cumsum(lengths) - lengths], lengths)


def browse(rng: np.random.Generator, team: Team, market: Market, count: int) -> Ints:
    """Draw a campaign for each of `count` clicks: what the team aims at, else any, as people do."""
    if len(team.aims):
        return team.aims[rng.integers(0, len(team.aims), count)]
    return market.campaigns(rng, rng.integers(0, len(TOPICS), count))


def targets(team: Team, market: Market, seed: int, count: int) -> Ints:
    """Choose the campaigns to drain, the same in every hour: the team's aims, else `count`."""
    if len(team.aims):
        return team.aims
    campaigns = len(market.bid)
    return (
        generator(seed, team.population)
        .choice(campaigns, min(count, campaigns), replace=False)
        .astype(np.int64)
    )
