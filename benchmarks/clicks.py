"""Generated clicks for the benchmarks: string ids, sessions, shared addresses, robots, one hot IP.

Everything is drawn from one seed, so that everyone measures on the same rows. Humans click in
sessions of a few clicks from home, office and carrier addresses; robots (10%) click from few
addresses at a high rate, in whole seconds, so that ties abound; one address has 6% of all clicks.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from replay.lake import Lake
from replay.tables import CLICKS, TIMESTAMP

START = 1_772_323_200_000_000  # 2026-03-01T00:00Z
DAY = 86_400_000_000
ROBOT_SHARE = 0.10
HOT_SHARE = 0.06
ROBOT_USERS = 50_000_000  # robots' users are numbered from here, humans' below
FIRST_ROBOT = f"u{ROBOT_USERS:010d}"
BATCH = 250_000
DEVICES = ("desktop", "mobile_web", "mobile_app", "tablet")
Ints = NDArray[np.int64]


def make_lake(home: Path, clicks: int, days: float = 2.0, seed: int = 7) -> Lake:
    """Make a lake of generated clicks and profiles, or open the one made before."""
    if (home / "replay.toml").exists():
        return Lake.open(home)
    lake = Lake.create(home, "USD")
    table = draw(clicks, int(days * DAY), seed)
    lake.append("clicks", table.to_batches(BATCH), ("benchmark", 1))
    for name, column, key, values in (
        ("profiles_user", "account_age_days", "user_id", pa.float32()),
        ("profiles_ip", "is_datacenter", "ip", pa.bool_()),
    ):
        keys = table[key].drop_null().unique()
        rng = np.random.default_rng(seed)
        drawn = rng.integers(0, 2 if values == pa.bool_() else 3000, len(keys))
        rows = {
            "key": keys,
            "valid_from": pa.array(np.full(len(keys), START - DAY)).cast(TIMESTAMP),
            column: pa.array(drawn).cast(values),
        }
        lake.append(name, pa.table(rows).to_batches(), ("benchmark", 1))
    return lake


def draw(clicks: int, length: int, seed: int) -> pa.Table:
    """Draw clicks of `length` µs, in log order."""
    rng = np.random.default_rng(seed)
    hot, robots = int(clicks * HOT_SHARE), int(clicks * (ROBOT_SHARE - HOT_SHARE))
    parts = [
        _humans(rng, clicks - hot - robots, length),
        _robots(rng, robots, length, addresses=200),
        _robots(rng, hot, length, addresses=1),
    ]
    ts, user, session, ip = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(ts, kind="stable")
    ts, user, session, ip = ts[order], user[order], session[order], ip[order]
    seq = np.maximum.accumulate(ts - np.arange(clicks)) + np.arange(clicks)
    columns = {
        "seq": seq,
        "ts": pa.array(ts).cast(TIMESTAMP),
        "click_id": _ids("c", np.arange(clicks), 12),
        "source": pa.repeat("import", clicks),
        "store_epoch": pa.nulls(clicks, pa.string()),
        "user_id": _ids("u", user, 10),
        "session_id": _ids("s", session, 14),
        "ip": _addresses(ip),
        "user_agent": pa.array([f"agent/{k}" for k in range(50)]).take(pa.array(user % 50)),
        "device": pa.array(DEVICES).take(pa.array(user % len(DEVICES))),
        "logged_in": pa.array(user % 3 > 0),
        "advertiser_id": _ids("a", user * 7919 % 400, 4),
        "campaign_id": _ids("k", user * 104729 % 3000, 5),
        "ad_id": pa.nulls(clicks, pa.string()),
        "query": pa.nulls(clicks, pa.string()),
        "price_micros": user * 31 % 900_000 + 50_000,
        "ingested_at": pa.array(ts).cast(TIMESTAMP),
    }
    return pa.table(columns, schema=CLICKS.schema)


def _humans(rng: np.random.Generator, clicks: int, length: int) -> tuple[Ints, Ints, Ints, Ints]:
    """Draw sessions of about four clicks; users are heavy-tailed, addresses shared."""
    sessions = clicks // 4 + 1
    sizes = rng.geometric(0.25, sessions)
    session = np.repeat(np.arange(sessions), sizes)[:clicks]
    short = clicks - len(session)
    session = np.concatenate([session, np.full(short, sessions - 1)])
    starts = np.sort(rng.integers(0, length - 3_600_000_000, sessions))
    users = (rng.pareto(1.2, sessions) * clicks / 40).astype(np.int64) % (clicks // 10)
    think = rng.exponential(25e6, clicks).astype(np.int64)
    within = np.cumsum(think)
    first = np.searchsorted(session, np.arange(sessions))
    within -= within[np.minimum(first, clicks - 1)][session]
    ts = START + np.minimum(starts[session] + within, length - 1)
    user = users[session]
    home = user // 2  # two users a home
    carrier = 10_000_000 + user % 500
    ip = np.where(user % 5 == 0, carrier, home)
    return ts, user, session, ip


def _robots(
    rng: np.random.Generator, clicks: int, length: int, addresses: int
) -> tuple[Ints, Ints, Ints, Ints]:
    """Draw robots' clicks in whole seconds, from few addresses, in new sessions all the time."""
    seconds = np.sort(rng.integers(0, length // 1_000_000, clicks))
    ip = 20_000_000 + addresses * 1000 + rng.integers(0, addresses, clicks)
    user = ROBOT_USERS + addresses * 100_000 + rng.integers(0, max(addresses * 20, 300), clicks)
    session = 900_000_000 + addresses * 1_000_000 + np.arange(clicks) // 12
    return START + seconds * 1_000_000, user, session, ip


def _ids(prefix: str, numbers: Ints, width: int) -> pa.Array:
    digits = np.char.zfill(numbers.astype(str), width)
    return pa.array(np.char.add(prefix, digits).astype(object), pa.string())


def _addresses(numbers: Ints) -> pa.Array:
    unique, where = np.unique(numbers, return_inverse=True)
    mixed = unique * 2_654_435_761 % (1 << 32)
    texts = [f"{v >> 24}.{v >> 16 & 255}.{v >> 8 & 255}.{v & 255}" for v in mixed.tolist()]
    return pa.array(texts, pa.string()).take(pa.array(where))
