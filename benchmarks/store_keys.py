"""Entities of known habits for the live store: how often each clicks, and who is behind an address.

Clicks come in log order over one day that ends now, so that no window is cut short and nothing
expires while it is measured. People's clicks stand in sessions of a few, half a minute apart.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from time import time_ns

import numpy as np

from benchmarks.clicks import DAY, START, draw
from scorer.spec import Spec, load_spec

THINK = 30_000_000  # µs between a session's clicks, on average
PER_SESSION = 4


@dataclass(frozen=True, slots=True)
class StoreClick:
    """What the default spec's counters read of a click; `time` in µs since the epoch."""

    click_id: str
    user_id: str | None
    session_id: str | None
    ip: str | None
    time: int


@dataclass(frozen=True)
class Habit:
    """How an entity of one kind behaves on a day.

    `least` to `most` clicks each, by `users` users (of an address) in sessions of four; `steady`
    ones click evenly over the day instead.
    """

    kind: str
    name: str
    least: int
    most: int
    keys: int
    users: int = 1
    steady: bool = False

    @property
    def clicks(self) -> str:
        """Clicks a day, as text."""
        return f"{self.least:,}" if self.least == self.most else f"{self.least:,} to {self.most:,}"


HABITS: tuple[Habit, ...] = (
    Habit("user_id", "light", 1, 3, 20_000),
    Habit("user_id", "medium", 30, 30, 2_000),
    Habit("user_id", "hot", 20_000, 20_000, 8, steady=True),
    Habit("session_id", "light", 1, 3, 20_000),
    Habit("session_id", "medium", 10, 10, 4_000),
    Habit("session_id", "hot", 20_000, 20_000, 8, steady=True),
    Habit("ip", "light", 1, 3, 20_000, users=2),
    Habit("ip", "medium", 30, 30, 2_000, users=5),
    Habit("ip", "hot", 20_000, 20_000, 8, users=2_000, steady=True),
)


def spec_of(kind: str) -> Spec:
    """Return the part of the default spec that is kept for one kind of entity."""
    whole = load_spec("default").model_dump()
    groups = {
        name: [group for group in whole[name] if group["entity"] == (kind,)]
        for name in ("counts", "distincts", "gaps")
    }
    return Spec.model_validate(groups)


def clicks_of(habit: Habit, seed: int = 7) -> Iterator[StoreClick]:
    """Yield a day's clicks of all keys of a habit, in log order."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(habit.least, habit.most + 1, habit.keys)
    key = np.repeat(np.arange(habit.keys), sizes)
    order = np.arange(len(key)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    session = order // PER_SESSION
    first = rng.integers(0, DAY - 4 * PER_SESSION * THINK, (habit.keys, int(session.max()) + 1))
    within = rng.exponential(THINK, len(key)).cumsum()
    within -= within[np.flatnonzero(order % PER_SESSION == 0)][
        np.cumsum(order % PER_SESSION == 0) - 1
    ]
    ts = first[key, session] + np.minimum(within, 4 * PER_SESSION * THINK - 1).astype(np.int64)
    if habit.steady:
        ts = rng.integers(0, DAY, len(key))
    user = rng.integers(0, habit.users, len(key))
    base = time_ns() // 1000 - DAY
    for at in np.argsort(ts, kind="stable").tolist():
        columns: dict[str, str | None] = {"user_id": None, "session_id": None, "ip": None}
        if habit.kind == "ip":
            columns["user_id"] = f"u-{key[at]}-{user[at]}"
            columns["session_id"] = f"s-{key[at]}-{session[at]}"
        columns[habit.kind] = f"{habit.name}-{key[at]}"
        yield StoreClick(click_id=f"c-{at}", time=base + int(ts[at]), **columns)


def nobodys_clicks(clicks: int) -> Iterator[StoreClick]:
    """Yield clicks of nobody, a day ago, of which only the ids are remembered."""
    early = time_ns() // 1000 - DAY
    for number in range(clicks):
        yield StoreClick(f"c-{number}", None, None, None, early)


def mixed_day(clicks: int) -> Iterator[StoreClick]:
    """Yield a day of the benchmarks' own clicks: people, shared addresses, robots, one hot IP."""
    base = time_ns() // 1000 - DAY - START
    table = draw(clicks, DAY, 7).select(["click_id", "user_id", "session_id", "ip", "ts"])
    for batch in table.to_batches(100_000):
        columns = batch.to_pydict()
        times = batch.column("ts").cast("int64").to_pylist()
        names = (columns[name] for name in ("click_id", "user_id", "session_id", "ip"))
        for click_id, user, session, ip, ts in zip(*names, times, strict=True):
            yield StoreClick(click_id, user, session, ip, base + ts)
