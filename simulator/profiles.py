"""Dated snapshots of users and addresses, as a nightly job would have landed them.

They depend on the date and not on where a simulation begins, so the days that follow agree with it.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from replay.tables import TIMESTAMP
from simulator.columns import HOUR
from simulator.draw import Flags, Ints, SmallInts, Words, generator, mix
from simulator.rows import times, user_ids
from simulator.world import World

DAY = 24 * HOUR
ROBOT_LIFE = 60  # days after which a robot's account is replaced
USERS_AT_ONCE = 1_000_000
REFRESH = 4  # after the first night, one in so many users changes a night
ROBOT_PROFILES_PLACE = (0, 3)
USER_COLUMNS = (("account_age_days", pa.int32()), ("rfm_score", pa.float32()))
IP_COLUMNS = (("is_datacenter", pa.bool_()),)


def snapshot_times(world: World) -> list[int]:
    """Return when snapshots become valid: the start, and each midnight UTC after it; µs."""
    return [day.start for day in world.scenario.span.cut(DAY)]


def user_rows(world: World, valid_from: int) -> Iterator[pa.RecordBatch]:
    """Yield `profiles_user` rows of one night: everyone with an account first, then who changed."""
    people, scenario = world.people, world.scenario
    robots = sum(team.users for team in world.teams)
    rng = generator(scenario.seed, *ROBOT_PROFILES_PLACE)
    account = np.concatenate([people.account, np.ones(robots, bool)])
    life = np.concatenate([people.account_life, np.full(robots, ROBOT_LIFE, np.int32)])
    born = np.concatenate([people.account_born, _small(rng.integers(0, ROBOT_LIFE, robots))])
    rfm = np.concatenate([people.rfm, _small(rng.integers(0, 12, robots))])
    day = (valid_from + DAY - 1) // DAY
    first = valid_from == scenario.span.start
    for low in range(0, len(life), USERS_AT_ONCE):
        everyone = np.arange(low, min(low + USERS_AT_ONCE, len(life)))
        changed = mix(everyone.astype(np.uint64) + np.uint64(day << 40)) % np.uint64(REFRESH) == 0
        rows = everyone[account[everyone] & (changed | first)]
        user = rows.astype(np.uint64)
        score = np.clip(rfm[rows] + _drift(user, day // 7, 7) + _drift(user, day, 2), 0, 100)
        keys = user_ids(world, rows)
        yield _batch(keys, valid_from, USER_COLUMNS, [(day - born[rows]) % life[rows], score])


def _small(values: Ints) -> SmallInts:
    return values.astype(np.int32)


def _drift(user: Words, period: int, most: int) -> Ints:
    """Return how far each user's score strays in one period: a whole number, at most `most`."""
    words = mix(user + np.uint64(period << 42) + np.uint64(most << 36))
    return (words % np.uint64(2 * most + 1)).astype(np.int64) - most


def ip_rows(world: World) -> Iterator[pa.RecordBatch]:
    """Yield `profiles_ip` rows: what a list of networks knows, which is no home and no robot.

    Addresses of carriers and offices are on it as such; homes are not on it at all.
    """
    places = world.people.places
    rows = np.arange(places.office_start, len(world.texts["ip"]))
    keys = world.texts["ip"].take(pa.array(rows))
    yield _batch(keys, world.scenario.span.start, IP_COLUMNS, [rows >= places.vpn_start])


def _batch(
    keys: pa.Array,
    valid_from: int,
    columns: tuple[tuple[str, pa.DataType], ...],
    values: Sequence[Ints | Flags],
) -> pa.RecordBatch:
    fields = [("key", pa.string(), False), ("valid_from", TIMESTAMP, False)]
    schema = pa.schema(
        [pa.field(*field) for field in fields] + [pa.field(name, kind) for name, kind in columns]
    )
    arrays = [
        pa.array(value, kind) if kind == pa.bool_() else pa.array(value).cast(kind)
        for value, (_, kind) in zip(values, columns, strict=True)
    ]
    moments = times(np.full(len(keys), valid_from))
    return pa.RecordBatch.from_arrays([keys, moments, *arrays], schema=schema)
