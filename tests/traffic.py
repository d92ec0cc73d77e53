"""A log in bulk: humans at any microsecond, robots on whole seconds, and one address for many.

Unlike the colliding clicks of `tests.strategies` it looks like a log: two days of 2026, string ids,
thousands of keys. One row in ten is a robot's; robots share few addresses, and ties are theirs.
"""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from replay.tables import TABLES

FIRST = 1_772_409_600_000_000  # 2026-03-02T00:00Z
SECOND = 1_000_000
DAY = 86_400 * SECOND
DEVICES = ("desktop", "mobile_web", "mobile_app", "tablet", "tv")
Numbers = NDArray[np.int64]


def traffic(rows: int, seed: int = 0) -> pa.Table:
    """Return that many clicks, in no order of time."""
    draw = np.random.default_rng(seed)
    robot = draw.random(rows) < 0.1
    ts = FIRST + draw.integers(0, 2 * DAY, rows)
    bursts = FIRST + draw.integers(0, 2 * DAY // SECOND, 12) * SECOND
    ts[robot] = draw.choice(bursts, robot.sum()) + draw.integers(0, 900, robot.sum()) * SECOND
    keys = rows // 20 + 5
    user = np.where(robot, draw.integers(0, 5, rows), draw.integers(0, keys, rows))
    ip = np.where(robot, draw.integers(0, 9, rows), draw.integers(0, keys, rows))
    ip[draw.random(rows) < 0.06] = 0
    nothing = np.zeros(rows, bool)
    columns: dict[str, object] = {
        "seq": draw.integers(0, 3, rows),
        "ts": pa.array(ts),
        "click_id": _ids("c", draw.permutation(rows), nothing),
        "user_id": _ids("user-", user, draw.random(rows) < 0.05),
        "session_id": _ids("s", user * 3 + draw.integers(0, 3, rows), draw.random(rows) < 0.05),
        "ip": _ids("10.", ip, draw.random(rows) < 0.02),
        "user_agent": _ids("agent ", ip % 7, nothing),
        "device": np.array(DEVICES)[draw.integers(0, len(DEVICES), rows)],
        "logged_in": draw.random(rows) < 0.4,
        "price_micros": draw.integers(10_000, 900_000, rows),
        "ingested_at": pa.array(ts),
    }
    for name in ("source", "advertiser_id", "campaign_id"):
        columns[name] = np.full(rows, "x")
    schema = TABLES["clicks"].schema
    for name in set(schema.names) - set(columns):
        columns[name] = pa.nulls(rows, schema.field(name).type)
    return pa.table({name: columns[name] for name in schema.names}).cast(schema)


def profiles(clicks: pa.Table, seed: int = 0) -> Mapping[str, pa.Table]:
    """Return up to three snapshots for most users and addresses of the clicks."""
    draw = np.random.default_rng(seed)
    clicks = clicks.sort_by("click_id")  # whatever order they come in
    users, valid = _snapshots(clicks, "user_id", draw)
    ages = pa.array(draw.random(len(users)) * 900, mask=draw.random(len(users)) < 0.05)
    ips, since = _snapshots(clicks, "ip", draw)
    return {
        "user": pa.table({"key": users, "valid_from": valid, "account_age_days": ages}),
        "ip": pa.table(
            {"key": ips, "valid_from": since, "is_datacenter": draw.random(len(ips)) < 0.5}
        ),
    }


def _snapshots(
    clicks: pa.Table, column: str, draw: np.random.Generator
) -> tuple[pa.Array, pa.Array]:
    """Return keys and times; some times are those of clicks."""
    known = clicks.select([column, "ts"]).drop_null()
    picked = known.take(draw.choice(len(known), min(len(known), 60_000), replace=False))
    once = picked.group_by([column, "ts"]).aggregate([])
    once = once.sort_by([("ts", "ascending"), (column, "ascending")])
    return once.column(column).combine_chunks(), once.column("ts").combine_chunks()


def _ids(prefix: str, numbers: Numbers, null: NDArray[np.bool_]) -> pa.Array:
    return pa.array(np.char.add(prefix, numbers.astype(str)), pa.string(), mask=null)
