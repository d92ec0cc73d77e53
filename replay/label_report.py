"""How many clicks of a span stand for humans: by slice, hour of week and source. Frozen data."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import pyarrow as pa

from replay.labels import Labels, no_clicks, weak_labels
from replay.snapshot import Snapshot, connect
from replay.span import Span, iso
from scorer.metrics import Share
from scorer.slices import DEFAULT_COLUMNS, slice_key

HOURS = 24

# 1970 began on a Thursday, 72 hours after Monday 0:00.
_QUERY = """
WITH labelled AS (
  SELECT source, (epoch_us(ts) // 3600000000 + 72) % 168 AS hour_of_week, {columns},
    click_id IN (SELECT click_id FROM purchasing_clicks) AS purchasing,
    logged_in AND coalesce(user_id IN (SELECT user_id FROM accounts), false) AS high_rfm
  FROM {clicks}
)
SELECT source, hour_of_week, {columns}, count(*), count(*) FILTER (purchasing OR high_rfm),
  count(*) FILTER (purchasing), count(*) FILTER (high_rfm)
FROM labelled GROUP BY ALL
"""

Key = TypeVar("Key", str, int)


@dataclass(frozen=True)
class Count:
    """Some clicks by label: a human one is `purchasing`, of a `high_rfm` account, or both.

    >>> Count(clicks=9, human=3, purchasing=2, high_rfm=2).by_source
    {'purchase': 1, 'purchase and RFM': 1, 'RFM': 1, 'none': 6}
    """

    clicks: int = 0
    human: int = 0
    purchasing: int = 0
    high_rfm: int = 0

    def __add__(self, other: "Count") -> "Count":
        """Count two disjoint sets of clicks as one."""
        return Count(
            self.clicks + other.clicks,
            self.human + other.human,
            self.purchasing + other.purchasing,
            self.high_rfm + other.high_rfm,
        )

    @property
    def share(self) -> Share:
        """Human clicks / clicks."""
        return Share(self.human, self.clicks)

    @property
    def by_source(self) -> dict[str, int]:
        """Clicks by where their label is from; `none` are the non-human ones."""
        return {
            "purchase": self.human - self.high_rfm,
            "purchase and RFM": self.purchasing + self.high_rfm - self.human,
            "RFM": self.human - self.purchasing,
            "none": self.clicks - self.human,
        }


@dataclass(frozen=True)
class LabelReport:
    """The labels of the clicks of [start, end), by the purchases known before `known_by`; µs.

    Of `scored` accounts with a purchase, `high_rfm` have an RFM score of `threshold` or more.
    `hours` is keyed by the hour of the week (UTC): 0 begins on Monday at 0:00, 167 is the last.
    `log_sources` is keyed by the clicks' own source: live, unstamped or import.
    """

    start: int
    end: int
    known_by: int
    threshold: int
    scored: int
    high_rfm: int
    total: Count
    slices: Mapping[str, Count]
    hours: Mapping[int, Count]
    log_sources: Mapping[str, Count]

    def to_json(self) -> dict[str, Any]:
        """Return it as one JSON document; times in UTC."""
        return {
            **asdict(self),
            **{name: iso(getattr(self, name)) for name in ("start", "end", "known_by")},
            "sources": self.total.by_source,
            "slices": [{"slice": key, **asdict(count)} for key, count in self.slices.items()],
            "hours": [
                {"weekday": hour // HOURS, "hour": hour % HOURS, **asdict(count)}
                for hour, count in self.hours.items()
            ],
        }


def read_labels(snapshot: Snapshot, span: Span, known_by: int) -> LabelReport:
    """Count the labels that training on the clicks of `span` would see at `known_by` (µs).

    Raises OutsideLog where the span holds no click.
    """
    labels = weak_labels(snapshot, span, known_by)
    cells = _cells(snapshot, span, labels)
    if not cells:
        raise no_clicks(snapshot, span)
    return LabelReport(
        start=span.start,
        end=span.end,
        known_by=known_by,
        threshold=snapshot.lake.config.labels.rfm_threshold,
        scored=labels.scored,
        high_rfm=len(labels.accounts),
        total=sum((cell.count for cell in cells), Count()),
        slices=_by(cells, lambda cell: cell.slice_key),
        hours=_by(cells, lambda cell: cell.hour_of_week),
        log_sources=_by(cells, lambda cell: cell.source),
    )


@dataclass(frozen=True)
class _Cell:
    """The clicks of one source, hour of the week and slice."""

    source: str
    hour_of_week: int
    slice_key: str
    count: Count


def _cells(snapshot: Snapshot, span: Span, labels: Labels) -> list[_Cell]:
    clicks = snapshot.source("clicks", span)
    with connect() as connection:
        connection.register("purchasing_clicks", pa.table({"click_id": labels.purchasing}))
        connection.register("accounts", pa.table({"user_id": labels.accounts}))
        query = _QUERY.format(clicks=clicks, columns=", ".join(DEFAULT_COLUMNS))
        rows = connection.sql(query).fetchall()
    counts = 2 + len(DEFAULT_COLUMNS)
    return [
        _Cell(
            row[0],
            row[1],
            slice_key(dict(zip(DEFAULT_COLUMNS, row[2:counts], strict=True))),
            Count(*row[counts:]),
        )
        for row in rows
    ]


def _by(cells: Sequence[_Cell], key: Callable[[_Cell], Key]) -> dict[Key, Count]:
    """Add up the cells of each key, in the order of the keys."""
    found: dict[Key, Count] = {}
    for cell in cells:
        found[key(cell)] = found.get(key(cell), Count()) + cell.count
    return dict(sorted(found.items()))
