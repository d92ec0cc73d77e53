"""DuckDB windows over the lake's files, in three orders and with two forms of distinct counts.

The SQL is the fastest that we could write for the generated clicks: ids become 64-bit hashes as
they are read (which leaves equality to chance, but sorts faster than strings), nothing is spent on
nulls, of which there are none, rows come back unsorted, and memory is not limited.

The orders:

- `SHARED`: one key for all windows, time · 2²⁴ + position, so that one sort per entity serves them
  all. Exact. It holds 2²⁴ clicks of 3 days.
- `COMPOSITE`: bucket · 2³³ + position. Exact for any log, but each resolution sorts anew.
- `PLAIN`: the time alone, as most people write it; later clicks with the same time are counted.

The forms of distinct counts:

- "aggregate": `count(DISTINCT member)` over the frame.
- "runs": a member's clicks form a run while each sees the one before it in its window; the count is
  that of the runs begun, less that of the runs that have left the window.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from benchmarks.duckdb_distincts import distincts, neighbours, runs
from benchmarks.source import PLACE, THREADS, Source
from replay.snapshot import connect
from scorer.spec import Window

KEYS = ("user_id", "session_id", "ip")
MOST_CLICKS, MOST_TIME = 1 << 24, 1 << 38
POSITIONS = 1 << 33


@dataclass(frozen=True)
class Order:
    """How rows are ordered and how far a frame reaches back, in SQL.

    `key` is computed once per click (t: µs, rn: position, first: the log's first µs).
    """

    name: str
    ties: Literal["none", "time"]
    unit: int
    key: str
    by: Callable[[Window], str]
    reach: Callable[[Window], str]


def _edge(window: Window) -> str:
    """Write SQL for the start of the window's first bucket; µs."""
    return f"(t // {window.resolution} - {window.buckets - 1}) * {window.resolution}"


def _by_time(name: str, ties: Literal["none", "time"], unit: int, place: str, first: int) -> Order:
    """Order by time from `first`, in `unit` steps per µs that leave room for the place."""
    return Order(
        name,
        ties,
        unit,
        f"(t - {first}) * {unit}::BIGINT{place}",
        lambda _: "k",
        lambda window: f"(k - ({_edge(window)} - {first}) * {unit}::BIGINT)",
    )


def shared(first: int) -> Order:
    """Return the exact order that all windows share."""
    return _by_time("one key for all windows", "none", MOST_CLICKS, " + rn", first)


def plain(first: int) -> Order:
    """Return the order by time alone."""
    return _by_time("RANGE by time", "time", 1, "", first)


def composite(first: int) -> Order:
    """Return the exact order by bucket and position, a key per resolution."""
    return Order(
        "a key per resolution",
        "none",
        0,
        "rn",
        lambda w: f"(t // {w.resolution} - {first // w.resolution}) * {POSITIONS}::BIGINT + rn",
        lambda w: f"(rn + {w.buckets - 1} * {POSITIONS}::BIGINT)",
    )


@dataclass(frozen=True)
class DuckWindows:
    """All features of the spec by SQL windows, on as many threads as ours.

    `nulls` are the key columns that hold some; `since` is the first µs whose clicks are answered.
    """

    source: Source
    order: Order
    distinct: Literal["aggregate", "runs"]
    nulls: frozenset[str] = frozenset()
    since: int | None = None

    def __post_init__(self) -> None:
        short = self.source.clicks < MOST_CLICKS and self.source.span.length < MOST_TIME
        if self.order.unit == MOST_CLICKS and not short:
            raise ValueError("the shared key holds 16 million clicks of 3 days at most")
        if self.nulls and self.distinct == "aggregate":
            raise ValueError("nulls are left out of distinct counts by runs alone")

    @property
    def form(self) -> str:
        """The order and the form of distinct counts."""
        return f"{self.order.name}, distinct counts by {self.distinct}"

    @property
    def features(self) -> tuple[str, ...]:
        """All features of the spec."""
        return self.source.spec.names

    @property
    def ties(self) -> Literal["none", "time"]:
        """Which later clicks are wrongly counted."""
        return self.order.ties

    def pieces(self) -> Iterator[pa.Table]:
        """Run the SQL and yield its one answer."""
        with connect(THREADS, memory_limit="90%") as connection:
            for statement in self.prepare():
                connection.execute(statement)
            yield connection.sql(self.query()).to_arrow_table()

    def prepare(self) -> Iterator[str]:
        """Write the SQL that comes before the query: the tables that it reads."""
        spec, snapshot, span = self.source.spec, self.source.snapshot, self.source.span
        keys = ", ".join(self._key(key) for key in KEYS)
        devices = (f"(device = '{d}')::INTEGER AS device_{d}" for d in spec.flags.devices)
        flags = ", ".join(["logged_in::INTEGER AS logged_in", *devices])
        yield (
            f"CREATE TEMP TABLE log AS SELECT *, {self.order.key} AS k FROM"
            f" (SELECT epoch_us(ts) AS t, {keys}, {flags},"
            " row_number() OVER (ORDER BY ts, seq, click_id) AS rn"
            f" FROM {snapshot.source('clicks', span)})"
        )
        if self.distinct == "runs":
            yield f"CREATE TEMP TABLE neighbours AS {neighbours(spec, self.nulls)}"
            counted = runs(spec, self.order.unit, self.source.span.start)
            yield f"CREATE TEMP TABLE runs AS {counted}"

    def _key(self, key: str) -> str:
        """Write SQL for a key's hash; a null is alone with itself, and said to be none."""
        if key not in self.nulls:
            return f"hash({key}) AS {key}"
        return f"hash(coalesce({key}, click_id)) AS {key}, {key} IS NULL AS no_{key}"

    def query(self) -> str:
        """Write the SQL that gives a row for each click from `since` on."""
        spec, snapshot = self.source.spec, self.source.snapshot
        windowed = ", ".join(self._windowed())
        joins = "".join(
            f" ASOF LEFT JOIN (SELECT hash(key) AS key, epoch_us(valid_from) AS valid_from,"
            f" {p.column} FROM {snapshot.source('profiles_' + p.table)}) AS {p.table}_now"
            f" ON w.{p.table.replace('user', 'user_id')} = {p.table}_now.key"
            f" AND w.t >= {p.table}_now.valid_from"
            for p in spec.profiles
        )
        counted = " JOIN runs USING (rn)" if self.distinct == "runs" else ""
        answered = "" if self.since is None else f" WHERE w.t >= {self.since}"
        profiles = ", ".join(
            f"coalesce({p.table}_now.{p.column}::{kind}, {float(p.default)})::{kind} AS {p.name}"
            for p in spec.profiles
            for kind in ["INTEGER" if p.is_flag else "FLOAT"]
        )
        names = [n for n in spec.facts if n not in {p.name for p in spec.profiles}]
        return (
            f"SELECT w.rn AS {PLACE}, {', '.join(names)}, {', '.join(_time_parts())}, {profiles}"
            f" FROM (SELECT *, {windowed} FROM log) AS w{counted}{joins}{answered}"
        )

    def _windowed(self) -> Iterator[str]:
        for counts in self.source.spec.counts:
            for name, window in zip(counts.names, counts.parsed, strict=True):
                yield self._over("count(*)", counts.entity[0], window, name)
        if self.distinct == "aggregate":
            for group, window, name in distincts(self.source.spec):
                yield self._over(f"count(DISTINCT {group.member})", group.entity[0], window, name)
        for gap in self.source.spec.gaps:
            # Ordered by k and rn, not by rn: DuckDB then shares the sort with the windows by k.
            since = f"t - lag(t) OVER (PARTITION BY {gap.entity[0]} ORDER BY k, rn)"
            cap = gap.cap_us
            yield f"(least(coalesce({since}, {cap}), {cap}) // 1000)::INTEGER AS {gap.name}"

    def _over(self, aggregate: str, entity: str, window: Window, name: str) -> str:
        by, reach = self.order.by(window), self.order.reach(window)
        counted = (
            f"{aggregate} OVER (PARTITION BY {entity} ORDER BY {by}"
            f" RANGE BETWEEN {reach} PRECEDING AND CURRENT ROW)"
        )
        if entity in self.nulls:
            counted = f"CASE WHEN no_{entity} THEN 0 ELSE {counted} END"
        return f"({counted})::INTEGER AS {name}"


def _time_parts() -> Iterator[str]:
    """Write the default spec's time features; its zone is UTC, so that integers do."""
    turns = {"hour": "(t // 60000000 % 1440) / 1440", "weekday": "((t // 86400000000 + 3) % 7) / 7"}
    for name, turn in turns.items():
        for part in ("sin", "cos"):
            yield f"{part}(2 * pi() * {turn})::FLOAT AS {name}_{part}"


def duckdb_engines(source: Source) -> dict[str, list[DuckWindows]]:
    """Return DuckDB's engines by name, each with the forms of which the fastest is measured."""
    first = source.span.start
    return {
        "duckdb-exact": [
            DuckWindows(source, shared(first), "aggregate"),
            DuckWindows(source, shared(first), "runs"),
        ],
        "duckdb-composite": [DuckWindows(source, composite(first), "aggregate")],
        "duckdb-plain": [
            DuckWindows(source, plain(first), "aggregate"),
            DuckWindows(source, plain(first), "runs"),
        ],
    }
