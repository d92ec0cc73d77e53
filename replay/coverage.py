"""How well the log covers a span: where it begins, where it has holes, which clicks that touches.

*Cold start*: clicks so soon after the log's first that a window may reach before it. *Gap*: whole
hours without a click that the neighbouring hours do not explain: with at least 14 clicks in the
hour before and in the hour after, an empty hour has a chance of e^−14 < 10^−6 if clicks come by
chance at the lower of those rates (Poisson). A gap touches the clicks whose longest window sees it.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import duckdb

from replay.errors import OutsideLog
from replay.snapshot import Snapshot
from replay.span import Span, iso

HOUR = 3_600_000_000
WEEK = 168 * HOUR
EXPECTED_CLICKS = 14


class Bounds(NamedTuple):
    """The log's first and last ts, both inclusive, µs."""

    first: int
    last: int


@dataclass(frozen=True)
class Coverage:
    """What is known of the log around a span."""

    bounds: Bounds
    clicks: int
    cold_clicks: int
    gaps: tuple[Span, ...]
    gap_clicks: int

    def notes(self, look_back: int) -> list[str]:
        """Say what to know before trusting windows that reach `look_back` µs back."""
        found = []
        if self.cold_clicks:
            found.append(
                f"cold start: the log begins at {iso(self.bounds.first)}, so windows of "
                f"{self.cold_clicks:,} clicks reach before it"
            )
        found += [
            f"gap: no click in {gap}, which the hours around it do not explain" for gap in self.gaps
        ]
        if self.gaps:
            found.append(
                f"gap: windows (up to {look_back // HOUR} h) of {self.gap_clicks:,} clicks see "
                "such an hour"
            )
        return found


def log_bounds(connection: duckdb.DuckDBPyConnection, snapshot: Snapshot) -> Bounds:
    """Return the log's exact bounds; raise OutsideLog where it is empty."""
    source = snapshot.source("clicks")
    query = f"SELECT epoch_us(min(ts)), epoch_us(max(ts)) FROM {source}"
    row = connection.sql(query).fetchall()[0]
    if row[0] is None:
        raise OutsideLog("the click log is empty; bring clicks in with `replay import clicks FILE`")
    return Bounds(*row)


def cover(
    connection: duckdb.DuckDBPyConnection,
    snapshot: Snapshot,
    span: Span,
    look_back: int,
    chosen: str = "true",
) -> Coverage:
    """Look at the log around a span; raise OutsideLog where the span holds no click.

    Clicks are counted among those that meet the SQL condition `chosen`; gaps are the whole log's.
    """
    bounds = log_bounds(connection, snapshot)
    seen = Span(span.start - look_back, span.end)
    if not _count(connection, snapshot, span):
        raise OutsideLog(
            f"no click in {span}; the log has clicks from {iso(bounds.first)} to {iso(bounds.last)}"
        )
    warm = bounds.first + look_back
    cold = Span(span.start, min(warm, span.end)) if warm > span.start else None
    # A gap that reaches over the span's end has its neighbour beyond it: hence a week more.
    around = Span(seen.start - WEEK, seen.end + WEEK)
    gaps = tuple(
        gap
        for gap in find_gaps(_hours(connection, snapshot, around))
        if gap.end > seen.start and gap.start < seen.end
    )
    touched = [Span(gap.start, gap.end + look_back) for gap in gaps]
    return Coverage(
        bounds,
        _count(connection, snapshot, span, chosen),
        _count(connection, snapshot, cold, chosen) if cold else 0,
        gaps,
        sum(_count(connection, snapshot, part, chosen) for part in _within(touched, span)),
    )


def find_gaps(hours: dict[int, int]) -> list[Span]:
    """Return the runs of empty hours that their neighbours do not explain.

    `hours` is the log's number of clicks by hour since the epoch.

    >>> find_gaps({0: 50, 1: 40, 4: 60, 5: 3, 7: 2})
    [Span(start=7200000000, end=14400000000)]
    """
    return [
        Span((before + 1) * HOUR, after * HOUR)
        for before, after in pairwise(sorted(hours))
        if after - before > 1 and min(hours[before], hours[after]) >= EXPECTED_CLICKS
    ]


def _within(parts: list[Span], span: Span) -> list[Span]:
    """Cut overlapping spans (in order) to disjoint ones inside `span`."""
    disjoint: list[Span] = []
    reached = span.start
    for part in parts:
        start, end = max(part.start, reached), min(part.end, span.end)
        if start < end:
            disjoint.append(Span(start, end))
            reached = end
    return disjoint


def _hours(connection: duckdb.DuckDBPyConnection, snapshot: Snapshot, span: Span) -> dict[int, int]:
    source = snapshot.source("clicks", span)
    query = f"SELECT epoch_us(ts) // {HOUR}, count(*) FROM {source} GROUP BY 1"
    return dict(connection.sql(query).fetchall())


def _count(
    connection: duckdb.DuckDBPyConnection, snapshot: Snapshot, span: Span, chosen: str = "true"
) -> int:
    query = f"SELECT count(*) FROM {snapshot.source('clicks', span)} WHERE {chosen}"
    return int(connection.sql(query).fetchall()[0][0])
