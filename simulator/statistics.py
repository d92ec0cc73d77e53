"""What a click log is like, in named figures; any lake's, real or simulated.

One function for each family of figures, and one row in FAMILIES. Each asks DuckDB about the tables
`clicks` (ts in µs, seq, hashed ids) and `purchases`. A figure that the log can't give (it has no
addresses, no sessions, or less than a day) is None.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import duckdb
import numpy as np

from replay.snapshot import Snapshot, connect
from replay.span import Span
from replay.tables import CLICKS
from simulator.columns import HOUR
from simulator.errors import BadComparison
from simulator.tail import tail_exponent

DAY = 24 * HOUR
ATTRIBUTION = 72 * HOUR
KEYS = {"user": "user", "ip": "address"}
QUANTILES = (0.5, 0.9, 0.99)

Scale = Literal["ratio", "share", "exponent"]
Connection = duckdb.DuckDBPyConnection
Family = Callable[[Connection], Iterator["Figure"]]


@dataclass(frozen=True)
class Figure:
    """One statistic of a log; None where the log can't say."""

    name: str
    value: float | None
    unit: str = ""
    scale: Scale = "ratio"


@dataclass(frozen=True)
class Measured:
    """A log's figures; `hourly` is the share of clicks in each UTC hour, None under a day."""

    span: Span
    clicks: int
    figures: tuple[Figure, ...]
    hourly: tuple[float, ...] | None


def measure(snapshot: Snapshot, span: Span, user_by: Sequence[str] = ("user_id",)) -> Measured:
    """Measure the clicks of `span`; `user_by` names the click columns that tell users apart.

    Raises BadComparison where a column is unknown, or where the span holds no click.
    """
    for name in user_by:
        if name not in CLICKS.schema.names:
            known = ", ".join(CLICKS.schema.names)
            raise BadComparison(f"--user-by: clicks have no column {name!r}; known: {known}")
    with connect() as connection:
        _prepare(connection, snapshot, span, user_by)
        [clicks] = _row(connection, "SELECT count(*) FROM clicks")
        if not clicks:
            raise BadComparison(f"{snapshot.lake.home} has no clicks in {span} to compare")
        hourly = _hourly(connection, span)
        figures = [figure for family in FAMILIES for figure in family(connection)]
        return Measured(span, int(clicks), (*figures, *_extremes(hourly)), hourly)


def _prepare(
    connection: Connection, snapshot: Snapshot, span: Span, user_by: Sequence[str]
) -> None:
    """Copy what is asked about into tables of numbers."""
    user = " || '-' || ".join(f'"{name}"::VARCHAR' for name in user_by)
    connection.execute("CREATE MACRO word(x) AS CASE WHEN x IS NOT NULL THEN hash(x) END")
    connection.execute(
        f"""
        CREATE TEMP TABLE clicks AS
        SELECT epoch_us(ts) AS ts, seq, word(click_id) AS click, word({user}) AS user,
          word(ip) AS ip, word(session_id) AS session, word(user_id) AS buyer,
          word(advertiser_id) AS advertiser
        FROM {snapshot.source("clicks", span)};
        CREATE TEMP TABLE purchases AS
        SELECT epoch_us(ts) AS ts, word(click_id) AS click, word(user_id) AS buyer,
          word(advertiser_id) AS advertiser
        FROM {snapshot.source("purchases", span)};
        """
    )


def _row(connection: Connection, query: str) -> list[float | None]:
    row = connection.execute(query).fetchone() or ()
    return [None if value is None or value != value else float(value) for value in row]


def clicks_per_key(connection: Connection) -> Iterator[Figure]:
    """How many clicks a user and an address have, and how heavy the tail is."""
    for key, name in KEYS.items():
        query = f"SELECT count(*) AS n FROM clicks WHERE {key} IS NOT NULL GROUP BY {key}"
        yield from _counts(connection, query, f"clicks per {name}")


def users_per_address(connection: Connection) -> Iterator[Figure]:
    """How many users share an address."""
    query = """
        SELECT count(DISTINCT user) AS n FROM clicks WHERE ip IS NOT NULL AND user IS NOT NULL
        GROUP BY ip
    """
    yield from _counts(connection, query, "users per address")


def clicks_per_session(connection: Connection) -> Iterator[Figure]:
    """How many clicks a session has, and how long one of several clicks lasts."""
    query = "SELECT count(*) AS n FROM clicks WHERE session IS NOT NULL GROUP BY session"
    yield from _counts(connection, query, "clicks per session")
    lasted = """
        SELECT (max(ts) - min(ts)) / 60e6 AS value FROM clicks WHERE session IS NOT NULL
        GROUP BY session HAVING count(*) > 1
    """
    yield from _quantiles(connection, lasted, "session of several clicks", "min")


def gaps(connection: Connection) -> Iterator[Figure]:
    """Time from click to click of one user, and of one address; deviation / mean is its burstiness.

    A Poisson process has deviation / mean = 1.
    """
    for key, name in KEYS.items():
        query = f"""
            SELECT (ts - lag(ts) OVER (PARTITION BY {key} ORDER BY ts, seq)) / 1e6 AS value
            FROM clicks WHERE {key} IS NOT NULL
        """
        yield from _quantiles(connection, query, f"gap by {name}", "s")
        spread = f"SELECT stddev_pop(value) / nullif(avg(value), 0) FROM ({query})"
        yield Figure(f"gap by {name}, deviation / mean", _row(connection, spread)[0])


def conversion(connection: Connection) -> Iterator[Figure]:
    """How many purchases there are, and how long after the click that they name, or the last one.

    The last click is that of the same user and advertiser, at most 72 h before.
    """
    [rate] = _row(
        connection,
        "SELECT (SELECT count(*) FROM purchases) / nullif((SELECT count(*) FROM clicks), 0)",
    )
    yield Figure("purchases per click", rate or None)
    named = """
        SELECT (p.ts - c.ts) / 1e6 AS value FROM purchases p JOIN clicks c USING (click)
        WHERE p.ts >= c.ts
    """
    yield from _quantiles(connection, named, "purchase after the click it names", "s")
    last = f"""
        SELECT (p.ts - c.ts) / 1e6 AS value FROM purchases p ASOF JOIN clicks c
        ON p.buyer = c.buyer AND p.advertiser = c.advertiser AND p.ts >= c.ts
        WHERE p.ts - c.ts <= {ATTRIBUTION}
    """
    yield from _quantiles(connection, last, "purchase after the buyer's last click", "s")


def burstiness(connection: Connection) -> Iterator[Figure]:
    """How bursty the seconds of an hour are, hour by hour, so that the day's rhythm has no part.

    Variance / mean is 1 for a Poisson process, and near 1 for any thin sample.
    """
    [dispersion] = _row(
        connection,
        """
        WITH seconds AS (SELECT ts // 1000000 AS s, count(*) AS n FROM clicks GROUP BY s),
        hours AS (SELECT sum(n) AS n, sum(n * n) AS squares FROM seconds GROUP BY s // 3600)
        SELECT avg(squares / n - n / 3600) FROM hours
        """,
    )
    yield Figure("clicks per second, variance / mean", dispersion)


FAMILIES: tuple[Family, ...] = (
    clicks_per_key,
    users_per_address,
    gaps,
    clicks_per_session,
    burstiness,
    conversion,
)


def _counts(connection: Connection, query: str, name: str) -> Iterator[Figure]:
    counts = connection.execute(query).fetchnumpy()["n"]
    known = len(counts) > 1
    yield Figure(f"{name}, mean", float(counts.mean()) if known else None)
    yield Figure(
        f"{name}, share with one", float((counts == 1).mean()) if known else None, scale="share"
    )
    yield Figure(f"{name}, 99th percentile", float(np.quantile(counts, 0.99)) if known else None)
    yield Figure(f"{name}, tail exponent", tail_exponent(counts), scale="exponent")


def _quantiles(connection: Connection, query: str, name: str, unit: str) -> Iterator[Figure]:
    wanted = ", ".join(f"quantile_cont(value, {q})" for q in QUANTILES)
    found = _row(connection, f"SELECT {wanted} FROM ({query})")
    for q, value in zip(QUANTILES, found, strict=True):
        label = "median" if q == 0.5 else f"{q * 100:.0f}th percentile"
        yield Figure(f"{name}, {label}", value, unit)


def _hourly(connection: Connection, span: Span) -> tuple[float, ...] | None:
    if span.length < DAY:
        return None
    rows = connection.execute(
        f"SELECT ts // {HOUR} % 24 AS hour, count(*) FROM clicks GROUP BY hour"
    ).fetchall()
    counts = dict(rows)
    total = sum(counts.values())
    return tuple(counts.get(hour, 0) / total for hour in range(24))


def _extremes(hourly: Sequence[float] | None) -> list[Figure]:
    sides = {"busiest": max, "idlest": min}
    return [
        Figure(f"{name} hour of the day / mean", side(hourly) * 24 if hourly else None)
        for name, side in sides.items()
    ]
